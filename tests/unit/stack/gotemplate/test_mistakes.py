"""What the author of a Go template reads about a mistake in its syntax."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack import gotemplate

_MISTAKES = [
    ("a\n{{ .Env", 2, "this action is not closed by `}}`"),
    ("a\n{{ .Env\n\n", 2, "this action is not closed by `}}`"),
    ("a\n{{ .Env\nb: c }}", 3, "unknown function 'b', in the action opened in line 2"),
    ("{{ .Env }", 1, "unexpected `}` in a command"),
    ("\n\n{{{ .Env }}}", 3, "unexpected `{` in an action"),
    ("{{ (print 1 }}", 1, "a parenthesis is not closed"),
    ("{{ print 1) }}", 1, "unexpected `)`"),
    ('{{ print\n"open }}', 2, "this string has no closing quote"),
    ("{{ `open }}\n", 1, "this raw string has no closing back quote"),
    ("{{ 'a }}", 1, "this character has no closing quote"),
    ("\n{{/* open }}\n", 2, "this comment has no end"),
    ("{{/* c */ }}", 1, "must follow the end of a comment"),
    ("{{ $x }}", 1, "undefined variable '$x'"),
    ("{{ $name := 1 }}\n{{ $nam }}", 2, "did you mean '$name'?"),
    ("\n{{ if false }}\n{{ toLowr .Env }}{{ end }}", 3, "unknown function 'toLowr'"),
    ("{{ toLowr .Env }}", 1, "did you mean 'toLower'?: fields begin with a dot"),
    ("a\n{{ if .Yes }}\nb\n\n", 2, "`if` has no `end`: add {{ end }}"),
    ("{{ range .L }}{{ with .X }}\n{{ end }}", 1, "`range` has no `end`"),
    ("a\n{{ end }}", 2, "`end` without a block that it could end"),
    ("{{ else }}", 1, "`else` without a block"),
    ("{{ if 1 }}\n{{ else }}\n{{ else }}{{ end }}", 3, "`if` cannot have this `else`"),
    ("{{ with 1 }}{{ else if 1 }}{{ end }}", 1, "unexpected `if` in the else of with"),
    ("{{ if }}{{ end }}", 1, "a value is missing in if"),
    ("{{}}", 1, "a value is missing in an action"),
    ("{{ range $a, $b, $c := .L }}{{ end }}", 1, "too many variables in range"),
    ("{{ $a, $b := .L }}", 1, "too many variables in an action"),
    ("{{ break }}", 1, "`break` outside of a range"),
    ("{{ if 1 }}\n{{ define `t` }}{{ end }}{{ end }}", 2, "`define` cannot stand here"),
    ("{{ define `t` }}a{{ end }}\n{{ define `t` }}b{{ end }}", 2, "'t' is defined twice"),
    ("{{ template t }}", 1, "unexpected `t` in template, which needs a name in quotes"),
    ("{{ 1 | 2 }}", 1, "`2` in stage 2 of a pipeline is no function"),
    ("{{ nil.X }}", 1, "`nil` has no fields"),
    ("{{ 12ab }}", 1, "'12a' is no number"),
    ("{{ 99999999999999999999 }}", 1, "does not fit into 64 bits"),
    ('{{ "\\q" }}', 1, "unknown escape"),
    ("{{ .Env€ }}", 1, "unexpected character '€' after '.Env'"),
    ("{{ print\n.Env\n, 1 }}", 3, "unexpected `,` in a command, in the action opened in line 1"),
]


@pytest.mark.parametrize(("text", "line", "message"), _MISTAKES)
def test_names_line_and_mistake(text: str, line: int, message: str) -> None:
    """A mistake is named in words, with the line in which an editor finds it."""
    with pytest.raises(ConfigurationError) as caught:
        gotemplate.parse(text, "web.yaml", ["toLower"])
    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("web.yaml", line)
    assert message in str(caught.value)


def test_is_one_line() -> None:
    """However much of the file the mistake swallows, the message stays one short line."""
    with pytest.raises(ConfigurationError) as caught:
        gotemplate.parse("{{ 1 `" + "long\n" * 100 + "`.x }}", "web.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
