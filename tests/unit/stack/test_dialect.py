"""Which template language a file is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.stack.dialect import Dialect, recognise
from codexctl_tasks.stack.templates import Templates

if TYPE_CHECKING:
    from pathlib import Path

GO = [
    "{{ .Env }}",
    "{{.Env}}",
    "{{- .Env -}}",
    "{{ . }}",
    "{{ $ }}",
    "{{ $.Env }}",
    "{{ $x }}",
    "{{ $x := 1 }}",
    "{{- $x := envOr `A` `b` -}}",
    '# {{- $x := envOr "A" "b" -}}',
    "{{/* comment */}}",
    "{{- /* comment */ -}}",
    "{{ if .Env }}a{{ end }}",
    '{{ if eq .Env "ai" }}a{{ else }}b{{ end }}',
    '{{ if or (eq .Env "ai") (eq .Env "dev") }}a{{ end }}',
    "{{ if true }}a{{ end }}",
    "{{ range .Vars }}a{{ end }}",
    "{{ range $k, $v := .Vars }}{{ $k }}{{ end }}",
    "{{ with .Storage }}a{{ end }}",
    '{{ define "a" }}b{{ end }}',
    '{{ template "a" . }}',
    '{{ envOr "A" "b" }}',
    "{{ envOr `A` `b` }}",
    "{{ slug .Env }}",
    "{{ slug $x }}",
    '{{ slug (index .Vars "a") }}',
    '{{ index .Versions "go" }}',
    '{{ printf "%s-%d" .Env .Slot }}',
    '{{ ternary (eq .Slot 1) "a" "b" }}',
    "{{ and .Storage .Storage.Data }}",
    "{{ not .Storage }}",
    "{{ not (eq .Slot 0) }}",
    '{{ (index .Vars "a") }}',
    '{{ "a" | printf "%q" }}',
    "{{ .Env | slug }}",
    '{{ "x" | envOr "A" }}',
    '{{ "x" | trimPrefix `A` }}',
    '{{ now.Format "2006" }}',
    "{{ len .Vars }}",
    "{{ eq 1 2 }}",
    "a: {{ .Env }} # '{% not jinja %}'",
    "{% is text %} {{ .Env }}",
    "{{ if\n  .Env }}a{{ end }}",
    "{{ `{{ Env }}` }}",
    '{{ toLower .Env }}{{ "{{ Env }}" }}',
    '{{ "Env" | printf "{{ %s }}" }}',
]
JINJA = [
    "{{ Env }}",
    "{{Env}}",
    "{{- Env -}}",
    "{{ Storage.Data.Size }}",
    "{{ Versions['go'] }}",
    "{{ envOr('A', 'b') }}",
    '{{ envOr("A", "b") }}',
    "{{ slug(Env) }}",
    "{{ Env | upper }}",
    "{{ Env|default('a') }}",
    "{{ Env ~ '-x' }}",
    "{{ Env + '-x' }}",
    "{{ 'a' }}",
    "{{ 'a' if Env else 'b' }}",
    '{{ "a" if Env else "b" }}',
    "{{ Env == 'ai' }}",
    "{{ Env in ('ai', 'dev') }}",
    "{{ Slot > 0 }}",
    "{{ Slot is defined }}",
    "{{ not Storage }}",
    "{{ Env and Slot }}",
    "{{ Slot * 2 }}",
    "{{ 1 + Slot }}",
    "{{ 10 < Slot }}",
    "{{ true and Env }}",
    "{{ now() }}",
    "{{ (Env) }}",
    "{{ ('a') }}",
    "{% if Env == 'ai' %}a{% endif %}{{ Env }}",
    "{# comment #}{{ Env }}",
    "{% raw %}{{ .Env }}{% endraw %}{{ Env }}",
    "{%- raw -%}{{ if .Env }}{{ end }}{%- endraw -%}{{ Env }}",
    "{{ '{{ .Env }}' }}{{ Env }}",
    "{{ Vars.A or 'b' }}",
    '{{ "%s" | format(Env) }}',
    "{{ dict(a=1) }}",
    "{{ Env\n  | upper }}",
]
EITHER = [
    "{{ true }}",
    "{{- nil -}}",
    '{{ "{{" }} .Env',
    "{{ now }}",
    "{{ 1 }}",
    '{{ "a" }}',
    "{% if x %}a{% endif %}",
    "{# a #}",
    "{{ nothing",
    "{{ }}",
]
NO_TEMPLATE = ["", "a: b\n", "a: {b: c}", "a: { {b: c}: d }", "a: '}}'", "# codexctl: x\n"]


def _valid_in_both(_: Dialect) -> bool:
    return True


def _asked_in_vain(dialect: Dialect) -> bool:
    pytest.fail(f"asked whether it is {dialect}, although there is no doubt")


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    names = dict.fromkeys(("Env", "Slot", "Vars", "Versions", "Storage"), "")
    functions = dict.fromkeys(
        ("envOr", "slug", "ternary", "toLower", "now"), lambda text="", _=None: text
    )
    return Templates(tmp_path_factory.mktemp("root"), names, functions)


@pytest.mark.parametrize("text", GO)
def test_go_is_recognised(templates: Templates, text: str) -> None:
    """A file of an existing repository is rendered as before, without a word about it."""
    assert recognise(text, Dialect.JINJA, lambda d: d is Dialect.GO) is Dialect.GO
    assert templates.recognise(text) is Dialect.GO


@pytest.mark.parametrize("text", JINJA)
def test_jinja_is_recognised(templates: Templates, text: str) -> None:
    """A new file needs no mark, also in a stack whose other files are in Go's language."""
    assert recognise(text, Dialect.GO, lambda d: d is Dialect.JINJA) is Dialect.JINJA
    assert templates.recognise(text) is Dialect.JINJA


@pytest.mark.parametrize("default", Dialect)
@pytest.mark.parametrize("text", EITHER)
def test_what_could_be_either_is_what_services_yaml_is(text: str, default: Dialect) -> None:
    """The other files of the stack decide; Go leaves `{%` alone."""
    assert recognise(text, default, _asked_in_vain) is default


@pytest.mark.parametrize("text", NO_TEMPLATE)
def test_a_file_without_braces_is_no_template(text: str) -> None:
    """Plain YAML is not touched at all."""
    assert recognise(text, Dialect.JINJA, _asked_in_vain) is None


CHOSEN = {
    "go": ("# codexctl: dialect=go\n{{ Env }}", Dialect.GO),
    "jinja": ("# codexctl: dialect=jinja\n{{ .Env }}", Dialect.JINJA),
    "without blanks": ("#codexctl:dialect=go\n{{ Env }}", Dialect.GO),
    "with blanks": ("#  codexctl:  dialect = go\n{{ Env }}", Dialect.GO),
    "behind comments": ("# a\n#\n# codexctl: dialect=go\n{{ Env }}", Dialect.GO),
    "windows": ("# a\r\n# codexctl: dialect=go\r\n{{ Env }}", Dialect.GO),
    "byte-order mark": ("\ufeff# codexctl: dialect=go\n{{ Env }}", Dialect.GO),
    "only line": ("# codexctl: dialect=go", Dialect.GO),
    "behind keys: too late": ("a: b\n# codexctl: dialect=go\n{{ Env }}", Dialect.JINJA),
    "unknown language": ("# codexctl: dialect=ruby\n{{ Env }}", Dialect.JINJA),
    "more words": ("# codexctl: dialect=go please\n{{ Env }}", Dialect.JINJA),
}


@pytest.mark.parametrize(("text", "dialect"), CHOSEN.values(), ids=CHOSEN)
def test_a_line_at_the_top_settles_it(text: str, dialect: Dialect) -> None:
    """Who knows better than codexctl says so in a comment."""
    assert recognise(text, Dialect.JINJA, lambda d: d is Dialect.JINJA) is dialect


BOTH = {
    "go first": ("{{ .Env }} {{ Env }}", Dialect.GO),
    "jinja first": ("{{ Env }} {{ .Env }}", Dialect.JINJA),
}


@pytest.mark.parametrize(("text", "first"), BOTH.values(), ids=BOTH)
def test_signs_of_both(text: str, first: Dialect) -> None:
    """The one that can be parsed; if none can, the one that comes first, for its error."""
    assert recognise(text, Dialect.GO, lambda d: d is Dialect.GO) is Dialect.GO
    assert recognise(text, Dialect.GO, lambda d: d is Dialect.JINJA) is Dialect.JINJA
    assert recognise(text, Dialect.JINJA, lambda _: False) is first


def test_go_strings_that_look_like_jinja(templates: Templates) -> None:
    """A template for another tool inside a Go string does not change the language."""
    assert templates.recognise('a: {{ "{{ Env }}" }}\nb: {{ .Env }}\n') is Dialect.GO
    assert templates.recognise("a: {{ '{{ .Env }}' }}\nb: {{ Env }}\n") is Dialect.JINJA


def test_a_manifest_follows_its_own_signs(tmp_path: Path) -> None:
    """Files of both languages may be in one stack; each is told apart by itself."""
    templates = Templates(tmp_path, {"Env": "staging"}, default=Dialect.GO)

    assert templates.render("{{ Env }}", "a.yaml").text == "staging"
    assert templates.render("{{ .Env }}", "b.yaml").text == "staging"
    assert templates.render("{{ .Env }}{% if %}", "c.yaml").text == "staging{% if %}"


def test_a_hostile_file_is_read_once() -> None:
    """Two hundred thousand beginnings without an end are no two hundred thousand searches."""
    text = "{% raw %}" * 200_000

    assert recognise(text + "{{ Env }}", Dialect.GO, lambda _: True) is Dialect.JINJA
