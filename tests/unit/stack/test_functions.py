"""The functions of templates, in both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = "versions: {go: '1.22'}\ncodex: {extraTools: [a, b]}\n"
SAME = {
    "envOr": ('{{ envOr "A" "x" }}', "{{ envOr('A', 'x') }}", "1"),
    "envOr of a missing one": ('{{ envOr "NO" "x" }}', "{{ envOr('NO', 'x') }}", "x"),
    "envOr of an empty one": ('{{ envOr "EMPTY" "x" }}', "{{ envOr('EMPTY', 'x') }}", "x"),
    "envOr of blanks": ('({{ envOr "BLANK" "x" }})', "({{ envOr('BLANK', 'x') }})", "( )"),
    "default": ('{{ default "a" "b" }}', "{{ default('a', 'b') }}", "a"),
    "default of a blank": ('{{ default " " "b" }}', "{{ default(' ', 'b') }}", "b"),
    "default of an empty one": ('{{ default "" "b" }}', "{{ default('', 'b') }}", "b"),
    "ternary": ('{{ ternary true "a" "b" }}', "{{ ternary(true, 'a', 'b') }}", "a"),
    "ternary of a comparison": (
        '{{ ternary (eq .Env "x") "a" "b" }}',
        "{{ ternary(Env == 'x', 'a', 'b') }}",
        "b",
    ),
    "toLower": ('{{ toLower "ÄbC" }}', "{{ toLower('ÄbC') }}", "äbc"),
    "trimPrefix": ('{{ trimPrefix "v1" "v" }}', "{{ trimPrefix('v1', 'v') }}", "1"),
    "trimPrefix of another": ('{{ trimPrefix "1v" "v" }}', "{{ trimPrefix('1v', 'v') }}", "1v"),
    "slug": ('{{ slug " A b_C " }}', "{{ slug(' A b_C ') }}", "a-b-c"),
    "slug keeps runs": ('{{ slug "a  b__c/d" }}', "{{ slug('a  b__c/d') }}", "a--b--c/d"),
    "truncSHA": (
        '{{ truncSHA "0123456789abcdef" }}',
        "{{ truncSHA('0123456789abcdef') }}",
        "0123456789ab",
    ),
    "truncSHA of a short one": ('{{ truncSHA "abc" }}', "{{ truncSHA('abc') }}", "abc"),
    "join": ('{{ join .Codex.ExtraTools "+" }}', "{{ join(Codex.ExtraTools, '+') }}", "a+b"),
    "indent": ('{{ indent 2 "a\\n\\nb\\n" }}', "{{ indent(2, 'a\\n\\nb\\n') }}", "  a\n  \n  b"),
    "indent of nothing": ('({{ indent 2 "" }})', "({{ indent(2, '') }})", "()"),
    "printf": (
        '{{ printf "%s-%03d %q" .Env 7 "x" }}',
        "{{ printf('%s-%03d %q', Env, 7, 'x') }}",
        'staging-007 "x"',
    ),
    "index": ('{{ index .Versions "go" }}', "{{ index(Versions, 'go') }}", "1.22"),
    "index of a missing one": ('({{ index .Versions "x" }})', "({{ index(Versions, 'x') }})", "()"),
    "index of a list": ("{{ index .Codex.ExtraTools 1 }}", "{{ index(Codex.ExtraTools, 1) }}", "b"),
    "now": ('{{ now.Format "MST" }}', "{{ now().Format('MST') }}", "UTC"),
}


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in {"A": "1", "EMPTY": "", "BLANK": " "}.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.mark.parametrize(("go", "jinja", "text"), SAME.values(), ids=SAME)
def test_functions_are_the_same_in_both(shop: Project, go: str, jinja: str, text: str) -> None:
    """Whoever rewrites a template finds every function where it was."""
    assert shop.text(go, stack=STACK) == text
    assert shop.text(jinja, stack=STACK) == text


JINJA = {
    "default filter: value first": ("{{ 'a' | default('b') }}", "a"),
    "default filter of a missing one": ("{{ Vars.X | default('b') }}", "b"),
    "default filter of an undefined name": ("{{ nothing | default('b') }}", "b"),
    "default filter of a blank": ("{{ ' ' | default('b') }}", "b"),
    "default filter of null": ("{{ Storage | default('b') }}", "b"),
    "default filter of 0": ("{{ 0 | default('b') }}", "0"),
    "default filter without a value": ("({{ Vars.X | default }})", "()"),
    "join filter": ("{{ [1, 'a'] | join('-') }}", "1-a"),
    "join filter without a separator": ("{{ [1, 'a'] | join }}", "1a"),
    "slug filter": ("{{ 'A b' | slug }}", "a-b"),
    "toLower filter": ("{{ 'A' | toLower }}", "a"),
    "truncSHA filter": ("{{ '0123456789abcdef' | truncSHA }}", "0123456789ab"),
    "trimPrefix filter": ("{{ 'v1' | trimPrefix('v') }}", "1"),
    "indent filter: the first line too": ("{{ 'a\nb' | indent(2) }}", "  a\n  b"),
    "indent filter without a width": ("{{ 'a\nb' | indent }}", "    a\n    b"),
    "indent filter of the others": ("{{ 'a\nb' | indent(2, first=false) }}", "a\n  b"),
    "indent function of the others": ("{{ indent(2, 'a\nb', first=false) }}", "a\n  b"),
    "ternary filter": ("{{ (Slot > 0) | ternary('a', 'b') }}", "b"),
    "printf filter": ("{{ '%05d' | printf(7) }}", "00007"),
    "index filter": ("{{ Versions | index('go') }}", "1.22"),
    "envOr without a fallback": ("({{ envOr('NO') }})", "()"),
    "Jinja2's own filters": ("{{ 'a-b' | replace('-', '_') | upper }}", "A_B"),
    "Jinja2's own tests": ("{{ 'yes' if Slot is even }}", "yes"),
}


@pytest.mark.parametrize(("template", "text"), JINJA.values(), ids=JINJA)
def test_functions_and_filters_of_jinja(shop: Project, template: str, text: str) -> None:
    """In Jinja2 every function is a filter as well, and less strict about types."""
    assert shop.text(template, stack=STACK) == text


PIPED = {
    "default takes the piped value last": ('{{ "x" | default "y" }}', "y"),
    "default of a blank": ('{{ "x" | default " " }}', "x"),
    "envOr": ('{{ "x" | envOr "NO" }}', "x"),
    "indent": ('{{ "a" | indent 3 }}', "   a"),
    "printf": ('{{ "a" | printf "%s-%s" "b" }}', "b-a"),
    "twice": ('{{ "A B" | toLower | slug }}', "a-b"),
}


@pytest.mark.parametrize(("template", "text"), PIPED.values(), ids=PIPED)
def test_pipes_of_go(shop: Project, template: str, text: str) -> None:
    """A pipe passes its value as the last argument."""
    assert shop.text(template, stack=STACK) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ slug .Slot }}",
        "{{ slug }}{{ .Env }}",
        '{{ slug "a" "b" }}',
        '{{ envOr "A" }}',
        '{{ envOr "A" 1 }}',
        '{{ ternary "true" "a" "b" }}',
        '{{ ternary 1 "a" "b" }}',
        '{{ indent "2" "a" }}',
        '{{ join "a,b" "," }}',
        '{{ join (index .Versions "go") "," }}',
        "{{ truncSHA 1 }}",
        '{{ default nil "a" }}',
        '{{ default .Slot "a" }}',
        '{{ now "x" }}',
    ],
)
def test_go_refuses_wrong_types_and_counts(shop: Project, template: str) -> None:
    """A number is no text: what never worked does not work in another way now."""
    with pytest.raises(ConfigurationError, match=r"^f\.yaml:1: "):
        shop.text(template, stack=STACK)


def test_both_sides_of_ternary_are_evaluated(shop: Project) -> None:
    """It is a function: the side that is not taken fails as well."""
    with pytest.raises(ConfigurationError):
        shop.text('{{ ternary true "a" (slug 1) }}')


def test_the_time_stands_still(shop: Project) -> None:
    """Two objects of one run get the same moment."""
    assert shop.text("{{ now() == Now }}") == "True"
    assert shop.text("{{ eq now.UnixNano .Now.UnixNano }}") == "true"
