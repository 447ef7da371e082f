"""What the author of a Go template reads when it fails while it is rendered."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from codexctl_tasks.stack import gotemplate
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct

_DATA = Struct(
    Env="ai",
    Slot=2,
    Versions=StringMap(app="1.2.3"),
    List=["a", "b"],
    Map={"key": None},
    Storage=Struct(Data=None),
)


def _failure(text: str, *, strict: bool = False) -> tuple[str, int | None]:
    """Return the message and the line that the traceback tells."""
    with pytest.raises(gotemplate.GoTemplateError) as caught:
        gotemplate.render(text, _DATA, file="web.yaml", strict=strict)
    frames = traceback.extract_tb(caught.value.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "web.yaml"]
    return str(caught.value), lines[-1]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("eq 1 `a`", "eq: cannot compare int with string"),
        ("eq 1", "eq: eq needs something to compare with"),
        ("lt true false", "lt: bool has no order: only numbers and strings have"),
        (".Storage.Data.Size", ".Storage.Data is nil, so it has no field Size"),
        ("$.Storage.Data.Size", "$.Storage.Data is nil, so it has no field Size"),
        (".Map.key.x", ".Map.key is nil, so it has no field x"),
        (".Env.x", ".Env is string, so it has no field x"),
        (".Envv", "the context has no field Envv; did you mean 'Env'?"),
        ("(print 1).x", "(print 1) is string, so it has no field x"),
        (".Env 1", ".Env is no method, so it takes no argument"),
        ("1 2", "`1` is no function, so it takes no argument"),
        ("nil", "nil is no command"),
        ("index .List 5", "index: position 5 is out of range, the last one is 1"),
        ("index .List `a`", "index: a position is an int, not string"),
        ("index .Map 1", "index: the key of a map is a string, not int"),
        ("index .Map.none 1", "nil, so it has no entries (.Map has no entry 'none')"),
        ("len 3", "len: int has no length"),
        ("slice `abc` 2 1", "slice: positions must rise, got 2, 1 and 3"),
        ("range .Env", "range cannot go through string"),
        ("template `x`", "the template 'x' is not defined"),
        ("toLower 1", "toLower: argument 1 must be a string, but it is int"),
        ("toLower", "toLower takes 1 argument, got 0"),
        ("printf", "printf takes at least 1 argument, got 0"),
        ("join .Slot `,`", "join: argument 1 must be a list of strings, but it is int"),
        ("default .Versions.ap `x`", "but .Versions has no entry 'ap'; did you mean 'app'?"),
        ("call .Env", "call: string is no function"),
        ("$x = 1", "$x is assigned but was never declared: write `$x :=`"),
        ("and false ($x := 1) | print $x", "$x is undefined here: what declares it has not"),
        ("9223372036854775808", "9223372036854775808 is too large for an int"),
        (".Storage", "`.Storage` cannot be printed: a struct cannot be printed"),
    ],
)
def test_says_what_is_wrong(expression: str, message: str) -> None:
    """The message is about what the author wrote, in the words of the template."""
    end = "{{ end }}" if expression.startswith("range") else ""
    assert message in _failure(f"{{{{ {expression} }}}}{end}")[0]


_WRONG = "{{ .None }}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"a\n\n{_WRONG}", 3),
        (f"a\n{{{{- .Env -}}}}\n\n\n{_WRONG}", 5),
        (f"{{{{/* a\nb */}}}}\n{_WRONG}", 3),
        (f"{{{{ if .Slot }}}}\n{_WRONG}\n{{{{ end }}}}", 2),
        ("\n{{ if .None }}{{ end }}", 2),
        ("{{ if eq .Env `x` }}\n{{ else if .None }}\n{{ end }}", 2),
        (f"{{{{ if eq .Env `x` }}}}\n{{{{ else }}}}\n{_WRONG}{{{{ end }}}}", 3),
        ("\n{{ with .None }}\n{{ end }}", 2),
        (f"{{{{ with .Map }}}}\n{{{{ $.None }}}}\n{{{{ end }}}}{_WRONG}", 2),
        ("\n{{ range .None }}\n{{ end }}", 2),
        ("\n{{ range .None }}\n{{ else }}{{ end }}", 2),
        ("{{ range .List }}\n-\n{{ .x }}\n{{ end }}", 3),
        ("{{ range .List }}\n{{ range $.List }}\n{{ $.None }}{{ end }}{{ end }}", 3),
        ("\n{{ $x := .None }}\n", 2),
        ("{{ template `t` . }}\n{{ define `t` }}\n{{ .None }}{{ end }}", 3),
        ("\n{{ template `none` }}", 2),
        ("\n\n{{\n  .None\n}}", 4),
        ("text\n" * 500 + _WRONG, 501),
    ],
)
def test_tells_the_line(text: str, line: int) -> None:
    """The traceback leads to the line in the file, in blocks and definitions too."""
    assert _failure(text)[1] == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ .Versions.ap }}", "`.Versions.ap` has no value: .Versions has no entry 'ap'; did you"),
        ("{{ $v := .Versions.ap }}{{ $v }}", "`$v` has no value: .Versions has no entry 'ap'"),
        ("{{ .Versions.ap | html }}", "html: an argument has no value: .Versions has no entry"),
        ("{{ .Map.key }}", "`.Map.key` has no value: it is nil"),
        ("{{ index .Map `none` }}", "has no value: the map has no entry 'none'"),
        ("{{ with .Map.none }}{{ else }}{{ .Map.none.deeper }}{{ end }}", ".Map has no entry"),
        ("{{ template `t` }}{{ define `t` }}{{ . }}{{ end }}", "`.` has no value"),
    ],
)
def test_a_missing_value_is_an_error_in_a_stack(text: str, message: str) -> None:
    """Instead of `<no value>` in a manifest there is an error that names the key."""
    assert message in _failure(text, strict=True)[0]
    assert "no value" in gotemplate.render(text, _DATA)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("{{ if .Versions.ap }}a{{ else }}b{{ end }}", "b"),
        ("{{ with .Map.none }}a{{ end }}", ""),
        ("{{ range .Map.none }}a{{ else }}b{{ end }}", "b"),
        ("{{ or .Versions.ap `x` }}", "x"),
        ("{{ index .Versions `ap` }}", ""),
        ("{{ eq .Versions.ap nil }}", "true"),
        ("{{ not .Versions.ap }}", "true"),
    ],
)
def test_a_missing_value_can_be_asked_for(text: str, output: str) -> None:
    """Tests and `index` work on what is missing as in Go, in a stack too."""
    assert gotemplate.render(text, _DATA, strict=True) == output


@pytest.mark.parametrize("name", sorted(gotemplate.BUILTINS))
def test_every_function_of_go_is_there(name: str) -> None:
    """Each name that the parser lets pass can be called; here, with too few arguments."""
    try:
        assert gotemplate.render(f"{{{{ {name} }}}}", None) in ("", "\n")
    except gotemplate.GoTemplateError as error:
        assert name in str(error)  # noqa: PT017 - either is fine


def test_a_failing_function_is_named() -> None:
    """What a function raises is told with its name."""

    def explode(text: str) -> Any:
        raise ValueError(f"no {text} today")

    with pytest.raises(gotemplate.GoTemplateError, match="explode: no lunch today"):
        gotemplate.render("{{ explode `lunch` }}", None, functions={"explode": explode})


def test_templates_without_end_are_stopped() -> None:
    """A template that includes itself is an error, not a crash."""
    text = "{{ define `t` }}{{ template `t` }}{{ end }}\n{{ template `t` }}"
    assert "include each other too deeply" in _failure(text)[0]
