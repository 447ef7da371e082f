"""A Go template becomes a template of Jinja2 that others can look at and change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Template, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codexctl_tasks.stack import gotemplate

if TYPE_CHECKING:
    from collections.abc import Iterator


def _translated(text: str) -> nodes.Template:
    return gotemplate.translate(gotemplate.parse(text, "web.yaml"))


def _find(tree: nodes.Node, kind: type[nodes.Node]) -> Iterator[Any]:
    """Find the nodes of a kind, also below a root that does not care to look."""
    return nodes.Node.find_all(tree, kind)


def test_text_keeps_its_line() -> None:
    """Each piece of text knows the line of its first character, after trimming."""
    tree = _translated("one\n{{ 1 }}\nthree {{ 2 -}}\n\n\nsix{{/* a\nb */}}seven\n\n{{- 3 }}")
    found = [(node.data, node.lineno) for node in _find(tree, nodes.TemplateData)]
    assert found == [("one\n", 1), ("\nthree ", 2), ("six", 6), ("seven", 7)]


def test_blocks_stay_blocks() -> None:
    """Loops, conditions and definitions are those of Jinja2, with their lines."""
    tree = _translated(
        "{{ define `t` }}x{{ end }}\n"
        "{{ range .L }}\n{{ if . }}{{ continue }}\n{{ else if 1 }}{{ break }}{{ end }}{{ end }}\n"
        "{{ with .X }}{{ template `t` . }}{{ end }}"
    )
    kinds = (nodes.Macro, nodes.For, nodes.If, nodes.Continue, nodes.Break)
    found = [(type(node).__name__, node.lineno) for kind in kinds for node in _find(tree, kind)]
    assert sorted(found) == [
        ("Break", 4),
        ("Continue", 3),
        ("For", 2),
        ("If", 3),
        ("If", 4),
        ("If", 5),
        ("Macro", 1),
    ]


def test_every_node_has_a_line() -> None:
    """What is added to the tree later can tell where it belongs."""
    tree = _translated("\n\n{{ range $i, $x := .L }}\n{{ $x | printf `%s` }}{{ end }}")
    assert {node.lineno for node in _find(tree, nodes.Stmt)} <= {1, 3, 4}
    assert all(
        node.lineno or isinstance(node, nodes.InternalName) for node in _find(tree, nodes.Node)
    )


def test_a_translation_can_be_rendered_again_and_again() -> None:
    """A template is compiled once; data and functions are given when it is rendered."""
    environment = ImmutableSandboxedEnvironment()
    tree = _translated("{{ $x := .A }}{{ range .L }}{{ $x = . }}{{ end }}{{ $x }}")
    code = environment.compile(tree, "web.yaml")
    rendered = []
    for values in (["a", "b"], [], ["c"]):
        gotemplate.install(environment, {"A": 1, "L": values}, {})
        rendered.append(Template.from_code(environment, code, environment.globals).render())
    assert rendered == ["b", "1", "c"]


def test_names_of_a_template_are_not_those_of_jinja() -> None:
    """A function or key named like something of Jinja2 means what it means in Go."""
    data = {"range": 1, "loop": 2, "self": 3, "caller": 4, "go_data": 5}
    text = (
        "{{ .range }}{{ .loop }}{{ .self }}{{ .caller }}{{ .go_data }}{{ range 2 }}{{ . }}{{ end }}"
    )
    assert gotemplate.render(text, data) == "1234501"


def test_output_is_not_escaped() -> None:
    """Manifests are no HTML: only what a template escapes itself is escaped."""
    assert gotemplate.render("{{ . }} {{ html . }}", "<&>") == "<&> &lt;&amp;&gt;"
