"""Templates come to an end, in time and in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.dialect import Dialect
from codexctl_tasks.stack.functions import functions
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.templates import Templates


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    known = functions({}, Time.of(datetime.now(UTC)))
    return Templates(tmp_path_factory.mktemp("root"), {"text": "x", "empty": []}, known)


NS = "{% set ns = namespace(t='x') %}"
LARGE = {
    "repetition": "{{ 'x' * 10**9 }}",
    "repetition from the left": "{{ 10**9 * 'x' }}",
    "repeated list": "{{ ([0] * 10**9)|length }}",
    "doubled": f"{NS}{{% for n in range(60) %}}{{% set ns.t = ns.t + ns.t %}}{{% endfor %}}",
    "doubled with ~": f"{NS}{{% for n in range(60) %}}{{% set ns.t = ns.t ~ ns.t %}}{{% endfor %}}",
    "sum of loops": "{% for n in range(2000) %}{{ 'x' * 10**4 }}{% endfor %}",
    "center": "{{ 'x'|center(10**9) }}",
    "method center": "{{ 'x'.center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "indent": "{{ 'x'|indent(10**9) }}",
    "format": "{{ '%999999999s' % 'x' }}",
    "format with a star": "{{ '%*s' % (10**9, 'x') }}",
    "format filter": "{{ '%999999999s'|format('x') }}",
    "format method": "{{ '{:999999999}'.format('x') }}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "range": "{{ range(10**9)|length }}",
    "batch": "{{ [1]|batch(10**9, 0)|list|length }}",
    "slice": "{{ [1]|slice(10**9)|list|length }}",
    "replace": "{{ ('x' * 10**6).replace('x', 'x' * 10**6) }}",
    "replace filter": "{{ ('x' * 10**6)|replace('x', 'x' * 10**6) }}",
    "join filter": "{{ (['x'] * 10**4) | join('x' * 10**6) }}",
    "join filter of long texts": "{{ (['x' * 10**6] * 10**4) | join }}",
    "join method": "{{ ('x' * 10**6).join(['x'] * 10**4) }}",
    "replace with less": "{{ ('x' * 10**5).replace('x', 'x' * 10**5) }}",
    "replace filter with less": "{{ ('x' * 10**5)|replace('x', 'x' * 10**5) }}",
    "many fields": "{{ ('%s' * 10**4) % (('x' * 10**6,) * 10**4) }}",
    "many fields of a filter": "{{ ('%(a)s' * 10**4)|format(a='x' * 10**6) }}",
    "many fields of a method": "{{ ('{0}' * 10**4).format('x' * 10**6) }}",
    "wordwrap": "{{ ('x' * 10**6)|wordwrap(1, wrapstring='x' * 10**6) }}",
    "tojson": "{{ [1]|tojson(indent=10**9) }}",
    "macro": "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "recursive loop": "{% for n in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "indent of Go": "{{ indent 1000000000 `x` }}",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_nothing_grows_without_measure(templates: Templates, text: str) -> None:
    """What would fill the memory or run for years is one line with file and line."""
    with pytest.raises(ConfigurationError, match=r"^f\.yaml(:2)?: template"):
        templates.render(f"a\n{text}", "f.yaml")


USUAL = {
    "loop": ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
    "else of a loop": ("{% for n in empty %}{{ n }}{% else %}none{% endfor %}", "none"),
    "break": (
        "{% for n in range(9) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}",
        "01",
    ),
    "macro": ("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
    "macro of a macro": (
        "{% macro a() %}a{% endmacro %}{% macro b() %}{{ a() }}b{% endmacro %}{{ b() }}",
        "ab",
    ),
    "tilde": ("{{ 1 ~ 'a' ~ none }}", "1aNone"),
    "repetition": ("{{ '-' * 10 }}", "-" * 10),
    "arithmetic": ("{{ 7 // 2 + 2 ** 3 % 5 }}", "6"),
    "padding": ("{{ 'x'.rjust(3) }}{{ 'x'|center(3) }}", "  x x "),
    "format": ("{{ '%5.1f'|format(1.25) }}{{ '%03d' % 7 }}", "  1.2007"),
    "format of names": ("{{ '%(a)s'|format(a=1) }}{{ '{b}'.format(b=2) }}", "12"),
    "join": ("{{ [1, 'a']|join('-') }}{{ '-'.join(['b', 'c']) }}", "1-ab-c"),
    "join of attributes": ("{{ [{'a': 1}, {'a': 2}]|join(',', attribute='a') }}", "1,2"),
    "join of a generator": ("{{ 'ab'|map('upper')|join('-') }}", "A-B"),
    "replace": ("{{ 'aba'|replace('a', 'c') }}{{ 'aba'.replace('a', '') }}", "cbcb"),
    "replace once": ("{{ 'aba'|replace('a', 'c', 1) }}", "cba"),
    "tojson": ("{{ {'a': [1]}|tojson(2) }}", '{\n  "a": [\n    1\n  ]\n}'),
}


@pytest.mark.parametrize(("text", "expected"), USUAL.values(), ids=USUAL)
def test_usual_templates_notice_nothing(templates: Templates, text: str, expected: str) -> None:
    """Bounds are far beyond what any real template needs."""
    assert templates.render(text, "f.yaml").text == expected


@pytest.mark.parametrize("dialect", Dialect)
def test_lines_are_not_counted_as_text(templates: Templates, dialect: Dialect) -> None:
    """A file of many short lines is not refused because codexctl remembers where each came from."""
    begin = "{% if text %}" if dialect is Dialect.JINJA else "{{ if .text }}"
    end = "{% endif %}" if dialect is Dialect.JINJA else "{{ end }}"
    text = "a: 1\n" * 60_000

    found = templates.render(begin + text + end, "a/rather/long/name/" * 9 + "f.yaml")

    assert found.text == text


def test_every_rendering_has_its_own_budget(templates: Templates) -> None:
    """A thousand files with loops are no endless loop."""
    for _ in range(3):
        text = "{% for n in range(90000) %}{% endfor %}" * 4
        assert templates.render(text, "f.yaml").text == ""
