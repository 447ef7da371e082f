"""The page; what a browser makes of it is tested in tests/browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from codexctl_tasks.reports.page import html_page, seconds_text
from tests.support import stories

STORIES = {
    "broken": stories.broken(),
    "healthy": stories.healthy(),
    "refused": stories.refused(),
    "nothing": stories.story(),
    "applied": stories.story(judged=False, applied="1 created"),
    "interrupted": stories.story(stories.UNDECIDED, exit_code=130),
    "hostile": stories.story(stories.hostile(), exit_code=1, title=stories.HOSTILE),
}


class _Reader(HTMLParser):
    """Collects elements, attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts += data


@pytest.mark.parametrize("name", STORIES)
def test_a_page_needs_nothing_else(name: str) -> None:
    """It can be mailed or archived: no script, no address, one style that the policy names."""
    page = html_page(STORIES[name])
    reader = _Reader(page)

    assert not {"script", "iframe", "img", "form", "object"} & set(reader.tags)
    links = [value for key, value in reader.attributes if key in ("href", "src", "srcset")]
    assert all(link.startswith(("#", "data:image/svg+xml,")) for link in links)
    assert not [key for key, _ in reader.attributes if key == "style" or key.startswith("on")]
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert "url(" not in style.replace("url(#hatch)", "")


def test_everything_that_is_known_is_on_the_page() -> None:
    """Headline, causes, places, hints, events, logs, moments, skipped objects."""
    texts = _Reader(html_page(stories.broken())).texts

    for text in (
        *("Failed", "shop.staging", "2 min", "1 ready, 2 failed", "3 created", "ana@laptop"),
        *(stories.MISSING, "pod web-7c9d8b6f5-x2kfl (3 of 3 pods show the same)"),
        *("the tag was not pushed", "web.yaml:1", "BackOff x7", "ConnectionError: Error 111"),
        *("16.0 s", "cured", "timed out", "not ready", "Job shop/reindex"),
    ):
        assert text in texts


def test_failures_are_open_and_the_rest_is_folded() -> None:
    """What broke can be read without a click; what is fine takes one line."""
    page = html_page(stories.broken())

    assert page.count("<details open>") == 7
    assert page.count('<details class="card ') == 2


def test_trouble_that_was_not_decided_is_told_like_a_failure() -> None:
    """After Ctrl-C one sees at once what was wrong so far."""
    page = html_page(stories.story(stories.CRASHING, stories.UNDECIDED, exit_code=130))

    assert '<a href="#wrong-1">StatefulSet shop/worker</a>: <span>' + stories.CRASH in page
    assert page.count('<article id="wrong-1" class="unknown">') == 1
    assert page.count('<details class="card unknown">') == 1


@pytest.mark.parametrize(
    ("story", "lead"),
    [
        ("healthy", "The workload is ready."),
        ("nothing", "There is no workload to wait for."),
        ("applied", "Nobody waited for the workloads."),
        ("refused", "The run was stopped before it changed anything."),
        ("interrupted", "The run was interrupted."),
    ],
)
def test_a_sentence_says_how_it_ended(story: str, lead: str) -> None:
    """Also a person who knows nothing about exit codes understands the first screen."""
    assert lead in html_page(STORIES[story])


def test_a_secret_with_markup_in_it_is_hidden() -> None:
    """Masking comes before escaping, which would change the secret."""
    secret = "onerror=alert(1)>"
    told = stories.story(
        *(stories.hostile(),), exit_code=1, mask=lambda text: text.replace(secret, "***")
    )

    page = html_page(told)

    assert "onerror" not in page
    assert "***" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (8.44, "8.4 s"), (30.0, "30 s"), (59.96, "1 min"), (125, "2 min 5 s")],
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    """Nobody divides by sixty."""
    assert seconds_text(seconds) == text
