"""Requests about runs of an agent: flags into objects."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.agents import EFFORTS, KINDS, LANGUAGES
from codexctl_tasks.requests.prompt_runs import PromptRunRequest
from codexctl_tasks.settings.environment import event_subject, path_of, switch, value
from codexctl_tasks.settings.slots import no_slot_named, slot_fields, slot_lease_s
from codexctl_tasks.settings.values import choice, count, parts, timeout_s
from codexctl_tasks.settings.workspaces import DEFAULT_CLAIM, folder_of

MOST_RETRIES = 3
DEFAULT_RESULT = "agent-result"
TOKEN = "CODEXCTL_MODEL_TOKEN"  # noqa: S105 - the variable, not its value
KEYS = ("CODEXCTL_MODEL_KEY", "OPENAI_API_KEY")
"""Variables that may hold the key of the model; the first one that does."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


def prompt_run_request(
    *,
    kind: str = "",
    lang: str = "",
    model: str = "",
    models: str = "",
    effort: str = "",
    seen: str = "",
    resume: str = "",
    template: str = "",
    prompt_file: str = "",
    output_schema: str = "",
    **given: Any,
) -> PromptRunRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of the run and of `slot_fields`."""
    fields = _run(**given)
    language, thinking = value("lang", lang).lower(), value("effort", effort).lower()
    text, schema = value("prompt-file", prompt_file), value("output-schema", output_schema)
    if text and value("template", template):
        raise UsageError("--template", "cannot be combined with --prompt-file", "give one")
    return PromptRunRequest(
        **fields,
        kind=choice("kind", value("kind", kind, "dev"), KINDS),
        language=choice("lang", language, LANGUAGES) if language else "",
        model=_word("model", model),
        models=parts("models", models),
        seen=value("seen", seen),
        effort=choice("effort", thinking, EFFORTS) if thinking else "",
        thread=_word("resume", resume),
        template=value("template", template),
        prompt=path_of(text),
        schema=path_of(schema),
    )


def _run(
    *,
    timeout: str = "",
    retries: str = "",
    model_url: str = "",
    claim: str = "",
    path: str = "",
    folder: str = "",
    slot_lease: str = "",
    result_dir: str = "",
    dry_run: bool = False,
    force: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """Return where the agent works, how long, and with which model behind it."""
    fields = slot_fields(**given)
    if fields["issue"] and fields["pr"]:
        raise UsageError("--issue", "cannot be combined with --pr", "say what it is about")
    if not (fields["source"].slot or fields["issue"] or fields["pr"]):
        fields |= _subject(**given)
    return {
        **fields,
        "timeout_s": timeout_s("timeout", timeout, 0.0),
        "retries": _retries(retries),
        "model_url": _address(value("model-url", model_url)),
        "model_token": os.environ.get(TOKEN, "").strip(),
        "model_key": next(filter(None, (os.environ.get(n, "").strip() for n in KEYS)), ""),
        "claim": value("claim", claim, DEFAULT_CLAIM),
        "path": value("path", path),
        "folder": folder_of(folder, fields["source"].config),
        "lease_s": slot_lease_s(slot_lease),
        "result": Path(value("result-dir", result_dir, DEFAULT_RESULT)),
        "dry_run": dry_run or switch("CODEXCTL_DRY_RUN"),
        "force": force,
    }


def _subject(**given: Any) -> dict[str, Any]:
    """Return the Issue or pull request of the event that started this run of a workflow."""
    kind, number = event_subject()
    if not number:
        raise no_slot_named(**given)
    return {kind: number}


def _retries(given: str) -> int:
    number = count("retries", given, MOST_RETRIES)
    if number > MOST_RETRIES:
        raise UsageError("--retries", f"{number} is too many", f"give 0 to {MOST_RETRIES}")
    return number


def _word(flag: str, given: str) -> str:
    text = value(flag, given)
    if text and not _WORD.fullmatch(text):
        raise UsageError(f"--{flag}", f"{text[:80]!r} is no name", "use letters, digits, . _ : / -")
    return text


def _address(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/@]+(/[^\s]*)?", text):
        fix = "write http://HOST:PORT/v1; the token is read from CODEXCTL_MODEL_TOKEN"
        raise UsageError("--model-url", f"{text[:80]!r} is no address", fix)
    return text.rstrip("/")
