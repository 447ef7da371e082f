"""The page in a real browser, on a phone and on a desk."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.reports.page import html_page
from tests.support import stories
from tests.support.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PHONE, DESK = (360, 800), (1280, 900)
STORIES = {
    "broken": stories.broken(),
    "healthy": stories.healthy(),
    "refused": stories.refused(),
    "hostile": stories.story(stories.hostile(), exit_code=1, title=stories.HOSTILE),
    "wide": stories.story(*([stories.wide()] * 3), exit_code=1, elapsed_s=3599.0, title="w" * 250),
}
TOO_WIDE = """
(width => [...document.body.querySelectorAll("*")]
    .filter(e => e.getClientRects().length && !e.closest("svg, thead"))
    .filter(e => Math.max(e.getBoundingClientRect().right, e.scrollWidth) > width + 0.5)
    .map(e => e.outerHTML.slice(0, 80)))(document.documentElement.clientWidth)
"""
FAINT = """
(() => {
    const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
    const light = colour => numbers(colour).slice(0, 3)
        .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => {
        for (; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((numbers(colour)[3] ?? 1) > 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    return [...document.body.querySelectorAll("*")].filter(own)
        .filter(e => e.tagName !== "title" && e.getClientRects().length).map(e => {
            const style = getComputedStyle(e);
            const text = e.closest("svg") ? style.fill : style.color;
            const [a, b] = [light(text), light(ground(e))].sort((x, y) => y - x);
            return [(a + 0.05) / (b + 0.05), e.textContent.slice(0, 40)];
        }).filter(([contrast]) => contrast < 4.5);
})()
"""
"""Texts whose contrast is below what WCAG 2.2 asks for (AA)."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give one browser to all tests of this file."""
    folder = tmp_path_factory.mktemp("browser")
    with Browser(folder) as found:
        yield found
    shutil.rmtree(folder, ignore_errors=True)


def _open(browser: Browser, name: str, folder: Path, *size: int, dark: bool = False) -> None:
    file = folder / "page.html"
    file.write_text(html_page(STORIES[name]), encoding="utf-8", newline="")
    browser.open(file, *size, dark=dark)
    assert browser.complaints == []
    assert browser.requests == [file.as_uri()]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", STORIES)
def test_a_page_fits_and_asks_for_nothing(
    browser: Browser, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    """No sideways scrolling, no request, no complaint of the browser, whatever a log says."""
    _open(browser, name, tmp_path, *size)

    assert browser.evaluate("innerWidth") == size[0]
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert browser.evaluate(TOO_WIDE) == []
    assert browser.evaluate("document.images.length + document.scripts.length") == 0
    picture = browser.screenshot(tmp_path / f"{name}.png")
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000  # an empty page is smaller


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_first_screen_says_what_broke(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Without scrolling one reads that it failed, what failed and why."""
    _open(browser, "broken", tmp_path, *size)

    lead = "document.querySelector('.lead')"
    assert browser.evaluate("document.querySelector('h1').innerText") == "Failed"
    assert browser.evaluate(f"{lead}.getBoundingClientRect().bottom") < size[1]
    shown = browser.evaluate(f"{lead}.innerText")
    assert "Deployment shop/web: image not found" in shown
    assert "StatefulSet shop/worker: crash loop, exit code 1" in shown


def test_everything_can_be_read(browser: Browser, tmp_path: Path) -> None:
    """Causes, moments, events and logs of failures are visible; the rest opens with one click."""
    _open(browser, "broken", tmp_path, *PHONE)

    shown = browser.evaluate("document.body.innerText")
    for text in (
        *(stories.MISSING, "redis.exceptions.ConnectionError: Error 111", "BackOff x7", "Skipped"),
        *("the tag was not pushed, or the name is misspelt", "pod worker-0", "16.0 s"),
    ):
        assert text in shown
    assert "2 of 3 pods ready" in shown
    assert "1 of 2 pods ready" not in shown
    browser.evaluate("document.querySelectorAll('summary').forEach(s => s.click())")
    assert "1 of 2 pods ready" in browser.evaluate("document.body.innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["broken", "healthy", "refused"])
def test_texts_stand_out(browser: Browser, tmp_path: Path, name: str, dark: bool) -> None:
    """The contrast suffices for weak eyes, in a light and in a dark room."""
    _open(browser, name, tmp_path, *DESK, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    assert browser.evaluate(FAINT) == []
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(14, 18, 24)") is dark


def test_a_screen_reader_finds_its_way(browser: Browser, tmp_path: Path) -> None:
    """One main heading, no level left out, tables with headers, pictures with words."""
    _open(browser, "broken", tmp_path, *PHONE)

    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    bars = browser.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))"
    )
    assert "trouble from 4.3 s to 24.3 s: " + stories.MISSING in bars[0]
    assert (
        browser.evaluate("document.querySelectorAll('svg:not([role=img],[aria-hidden])').length")
        == 0
    )
    rows = browser.evaluate(
        "[...document.querySelectorAll('tbody tr:not([aria-hidden])')].map(r => r.innerText)"
    )
    assert len(rows) == 5
    assert all(row.startswith(("Deployment", "StatefulSet", "DaemonSet")) for row in rows)
    assert "failed" in rows[0]  # not only red


def test_a_name_in_the_headline_leads_to_its_cause(browser: Browser, tmp_path: Path) -> None:
    """One click from the first screen to the log."""
    _open(browser, "broken", tmp_path, *PHONE)

    browser.evaluate("document.querySelectorAll('.lead a')[1].click()")

    target = "document.querySelector(':target')"
    assert browser.evaluate(f"{target}.querySelector('h3').innerText") == "StatefulSet shop/worker"
    assert abs(browser.evaluate(f"{target}.getBoundingClientRect().top")) < PHONE[1]
