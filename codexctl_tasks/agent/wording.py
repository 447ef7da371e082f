"""The words in which the end of an agent's run is told."""

# ruff: noqa: RUF001 - letters of Russian

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from codexctl_tasks.agent.result import Status


class Language(StrEnum):
    """In which it is told."""

    ENGLISH = "en"
    RUSSIAN = "ru"


@dataclass(frozen=True, slots=True)
class Words:
    """What is said at the end of a run."""

    heads: dict[Status, str]
    """What has happened."""
    advice: dict[Status, str]
    """What to do."""
    answered: str
    """What to do with an answer, which is not merged."""
    reason: str
    pull_request: str
    run: str
    branch: str
    environment: str
    duration: str
    tokens: str
    review: str
    blocked: str
    said: str


_ENGLISH = Words(
    heads={
        Status.SUCCESS: "✅ The agent is done",
        Status.NO_CHANGES: "➖ The agent is done, and has changed nothing",
        Status.AGENT_FAILED: "❌ The agent has failed",
        Status.TIMEOUT: "⏱️ The agent's time is over",
        Status.CANCELLED: "⏹️ The run was cancelled",
        Status.DENIED: "🚫 This run may not be started",
        Status.SLOT_TIMEOUT: "⏱️ No slot has become free",
        Status.INFRA_FAILED: "❌ The environment of the run has failed",
        Status.PUBLISH_BLOCKED: "🚫 The agent's work may not be published",
    },
    advice={
        Status.SUCCESS: "Read it before you merge it; a review that asks for changes goes on here.",
        Status.NO_CHANGES: "Read what it says; tell it more clearly what is to change, "
        "and start again.",
        Status.AGENT_FAILED: "The log tells why. Start it again: it goes on where it stopped.",
        Status.TIMEOUT: "Start it again: it goes on where it stopped; or ask for "
        "less, or give more time.",
        Status.CANCELLED: "Start it again when it is wanted: it goes on where it stopped.",
        Status.DENIED: "Somebody who may write to this repository can start it.",
        Status.SLOT_TIMEOUT: "Close what nobody needs, or raise maxSlots; then start it again.",
        Status.INFRA_FAILED: "It is not the agent's fault: the log tells what to mend.",
        Status.PUBLISH_BLOCKED: "Nothing was pushed. Ask for less, do that part by hand, "
        "or allow it in `codex.publish` of services.yaml.",
    },
    answered="Read it; a comment that asks for more goes on here.",
    reason="Why",
    pull_request="Pull request",
    run="Run",
    branch="Branch",
    environment="Environment",
    duration="Duration",
    tokens="Tokens",
    review="Look closely at",
    blocked="Not allowed",
    said="What the agent said",
)
_RUSSIAN = Words(
    heads={
        Status.SUCCESS: "✅ Агент закончил работу",
        Status.NO_CHANGES: "➖ Агент закончил работу и ничего не изменил",
        Status.AGENT_FAILED: "❌ Агент не справился",
        Status.TIMEOUT: "⏱️ Время агента вышло",
        Status.CANCELLED: "⏹️ Запуск отменён",
        Status.DENIED: "🚫 Этот запуск не разрешён",
        Status.SLOT_TIMEOUT: "⏱️ Свободного слота не нашлось",
        Status.INFRA_FAILED: "❌ Отказало окружение запуска",
        Status.PUBLISH_BLOCKED: "🚫 Работу агента нельзя опубликовать",
    },
    advice={
        Status.SUCCESS: "Прочтите перед слиянием; ревью с просьбой об изменениях продолжит работу.",
        Status.NO_CHANGES: "Прочтите ответ ниже; уточните, что изменить, и запустите снова.",
        Status.AGENT_FAILED: "Причина — в журнале запуска. Новый запуск продолжит с того же места.",
        Status.TIMEOUT: "Запустите снова: работа продолжится; или сузьте задачу, "
        "дайте больше времени.",
        Status.CANCELLED: "Запустите снова, когда понадобится: работа продолжится.",
        Status.DENIED: "Запустить может тот, у кого есть право записи в этот репозиторий.",
        Status.SLOT_TIMEOUT: "Закройте ненужное или увеличьте maxSlots, затем запустите снова.",
        Status.INFRA_FAILED: "Агент ни при чём: что починить — в журнале запуска.",
        Status.PUBLISH_BLOCKED: "Ничего не отправлено. Сузьте задачу, сделайте эту часть сами или "
        "разрешите её в `codex.publish` файла services.yaml.",
    },
    answered="Прочтите ответ; комментарий с вопросом продолжит работу.",
    reason="Причина",
    pull_request="Pull request",
    run="Запуск",
    branch="Ветка",
    environment="Окружение",
    duration="Длительность",
    tokens="Токены",
    review="Посмотрите внимательно",
    blocked="Не разрешено",
    said="Что сказал агент",
)
_WORDS = {Language.ENGLISH: _ENGLISH, Language.RUSSIAN: _RUSSIAN}


def words_of(language: Language) -> Words:
    """Return what is said in a language."""
    return _WORDS[language]
