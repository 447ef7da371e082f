"""What ``services.yaml`` says before it is rendered."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.header import Header, read_header


def _header(text: str, *, statements: bool = False) -> Header:
    return read_header(text, "services.yaml", statements=statements)


def test_the_keys_that_are_needed_before_rendering() -> None:
    """They keep their source text where they hold templates, and their spelling."""
    header = _header(
        "# {{- $x := 1 -}}\n"
        "project: ' shop '\n"
        "envFiles:\n- a.env\n- b.env\n"
        "versions: {go: 1.10, next: '{{ .Env }}', empty: }\n"
        "baseDomain: {staging: stage.example}\n"
        "namespace:\n  patterns:\n    staging: '{{ .Project }}-{{ .Slot }}'\n    ai:\n"
    )

    assert header.project == "shop"
    assert [(name, str(place)) for name, place in header.env_files] == [
        ("a.env", "services.yaml:4"),
        ("b.env", "services.yaml:5"),
    ]
    assert header.versions == {"go": "1.10", "next": "{{ .Env }}", "empty": ""}
    assert header.base_domain == {"staging": "stage.example"}
    assert header.patterns == {"staging": "{{ .Project }}-{{ .Slot }}", "ai": ""}
    assert str(header.location("namespace", "patterns", "staging")) == "services.yaml:10"
    assert str(header.location("nothing")) == "services.yaml:2"


@pytest.mark.parametrize(
    "text",
    [
        "project: a\nregistry: {{ $r }}\n",
        "project: a\nservices:\n- name: {{ .Env }}\n",
        "project: a\nservices: [{{ .Env }}]\n",
        "project: a\nx: &a [*a]\n",
        "project: a\nx: 1\nx: 2\n",
        "project: a\nversions: [not, a, mapping]\nenvFiles: text\nnamespace: []\n",
        "project: a\n? [a]\n: b\n",
        "---\nproject: a\n...\n",
        "\ufeffproject: a\n",
        "project: a\r\n",
    ],
)
def test_everything_else_is_looked_at_only_as_syntax(text: str) -> None:
    """Templates without quotes are odd YAML, but YAML: they make sense after rendering."""
    assert _header(text).project == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "services.yaml: is empty"),
        ("# a\n", "services.yaml: is empty"),
        ("~\n", "services.yaml: is empty"),
        ("# a\n- b\n", "services.yaml:2: is not a mapping of keys"),
        ("a: b\n---\n\nc: d\n", "services.yaml:4: begins a second document"),
        ("a: b\n{{ if .Env }}\nc: d\n{{ end }}\n", "services.yaml:2: is not valid YAML before it"),
        ("a: b\n{% if Env %}\nc: d\n{% endif %}\n", "services.yaml:2: is not valid YAML before it"),
        ("a: b\nc: {{ x }} y\n", "services.yaml:2: is not valid YAML before it is rendered"),
        ("a: b\nc: d: e\n", "services.yaml:2: is not valid YAML: "),
    ],
)
def test_a_raw_file_that_is_no_yaml(text: str, message: str) -> None:
    """The file has to be YAML before it is rendered, because these keys are needed for that."""
    with pytest.raises(ConfigurationError) as caught:
        _header(text)
    assert str(caught.value).startswith(message)


def test_statements_of_jinja_may_stand_between_the_lines() -> None:
    """Loops and comments around keys are skipped; every other line keeps its number."""
    header = _header(
        "{# a comment\nover two lines: [ #}\n"
        "{% set x = 1 %}\n"
        "project: a\n"
        "{% for n in range(3) -%}\n"
        "# {{ n }}\n"
        "{%- endfor %}\n"
        "{{ macro() }}\n"
        "versions:\n"
        "  {% if x %}\n"
        "  go: '1'\n"
        "  {% endif %}\n",
        statements=True,
    )

    assert (header.project, header.versions) == ("a", {"go": "1"})
    assert str(header.location("versions", "go")) == "services.yaml:11"


def test_the_names_of_all_environments() -> None:
    """Those with only a pattern too, each once."""
    text = "environments: {b: {}, a: }\nnamespace: {patterns: {c: x, a: '{{ Env }}'}}\n"
    assert _header(text).environments == ("b", "a", "c")
    assert _header("project: shop\n").environments == ()
