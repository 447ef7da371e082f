"""Files of variables, by the rules that existing ones were written for."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.dotenv import read_dotenv, read_var_file

DOTENV = {
    "plain": ("A=b", "b"),
    "blanks around": ("A =  b  ", "b"),
    "yaml form": ("A: b", "b"),
    "yaml form without a blank": ("A:b", "b"),
    "export": ("export A=b", "b"),
    "export of yaml form": ("export A: b", "b"),
    "empty": ("A=", ""),
    "indented": ("   A=b", "b"),
    "second equals sign": ("A=b=c", "b=c"),
    "blanks inside": ("A=b c", "b c"),
    "comment": ("A=b # c", "b"),
    "hash without a blank": ("A=b#c", "b#c"),
    "the last hash begins the comment": ("A=b # c # d", "b # c"),
    "hash at the beginning": ("A= # c", "# c"),
    "single quotes": ("A='b c'", "b c"),
    "single quotes are literal": (r"A='$HOME \n ${B} #x'", r"$HOME \n ${B} #x"),
    "double quotes": ('A="b c"', "b c"),
    "double quotes empty": ('A=""', ""),
    "hash in quotes": ('A="b # c"', "b # c"),
    "comment behind quotes": ('A="b" # c', "b"),
    "line feed in double quotes": (r'A="b\nc"', "b\nc"),
    "carriage return in double quotes": (r'A="b\rc"', "b\rc"),
    "line feed without quotes": (r"A=b\nc", r"b\nc"),
    "quote in double quotes": (r'A="b \"c\" d"', 'b "c" d'),
    "other escapes lose the backslash": (r'A="b\tc"', "btc"),
    "several lines in double quotes": ('A="b\nc\n\nd"', "b\nc\n\nd"),
    "several lines in single quotes": ("A='b\nc'", "b\nc"),
    "escaped dollar": (r'A="\$B"', "$B"),
    "escaped dollar without quotes": (r"A=\$B", "$B"),
    "dollar alone": ("A=5$", "5$"),
    "dot in the name": ("A.B=c", None),
    "windows": ("A=b\r\n", "b"),
    "byte-order mark": ("\ufeffA=b", "b"),
    "comments and blank lines above": ("# x\n\n  # y\nA=b", "b"),
}


@pytest.mark.parametrize(("text", "value"), DOTENV.values(), ids=DOTENV)
def test_values_of_a_dotenv_file(text: str, value: str | None) -> None:
    """An existing .env file means what it meant to the old tool."""
    [entry] = read_dotenv(text, "a.env")

    assert entry.name == ("A.B" if value is None else "A")
    assert entry.value == ("c" if value is None else value)


EXPANDED = {
    "without braces": ("A=x\nB=$A-y", "x-y"),
    "with braces": ("A=x\nB=${A}y", "xy"),
    "in double quotes": ('A=x\nB="$A $A"', "x x"),
    "not in single quotes": ("A=x\nB='$A'", "$A"),
    "unknown": ("A=x\nB=$C-y", "-y"),
    "from a later line": ("B=$C\nC=x", ""),
    "small letters": ("a=x\nB=$a", "$a"),
    "the newest value": ("A=x\nA=y\nB=$A", "y"),
    "of an expanded one": ("A=x\nC=$A$A\nB=$C", "xx"),
}


@pytest.mark.parametrize(("text", "value"), EXPANDED.values(), ids=EXPANDED)
def test_variables_in_a_dotenv_file(text: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only upper-case names of earlier lines of the same file are known, no exported ones."""
    monkeypatch.setenv("C", "exported")

    found = {entry.name: entry.value for entry in read_dotenv(text, "a.env")}

    assert found["B"] == value


def test_lines_of_a_dotenv_file() -> None:
    """Every variable knows its line, also behind values of several lines."""
    text = "# c\r\nA=1\r\n\r\nB='x\r\ny'\r\nC=3"

    assert [(e.name, e.value, e.line) for e in read_dotenv(text, "a.env")] == [
        ("A", "1", 2),
        ("B", "x\ny", 4),
        ("C", "3", 6),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nnonsense\nB=2", "a.env:2: is no KEY=VALUE: write one variable on each line"),
        ("A=1\n\n=2", "a.env:3: is no KEY=VALUE: write one variable on each line"),
        ("A-B=1", "a.env:1: is no KEY=VALUE: write one variable on each line"),
        ("A=1\r\nB='2\r\nC=3", "a.env:2: B opens a quote that is never closed: close it"),
        ('A="1', "a.env:1: A opens a quote that is never closed: close it"),
        ("A='it's'", "a.env:1: A has text behind its closing quote: put all of the value between"),
        ("A='b'C=d", "a.env:1: A has text behind its closing quote: put all of the value between"),
        ("A='b\\'\nC='d'", "a.env:1: A has text behind its closing quote: put all of the value"),
        ('A="b"#c', "a.env:1: A has text behind its closing quote: put all of the value between"),
    ],
)
def test_mistakes_of_a_dotenv_file(text: str, message: str) -> None:
    """A line that is no variable is named; its text, which may be a secret, is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        list(read_dotenv(text, "a.env"))
    assert str(caught.value).startswith(message)


def test_two_variables_on_one_line() -> None:
    """A shell reads both, and so do we, unless a second one may be a piece of the first."""
    text = "A='1' B=\"2\" # c"

    assert [(e.name, e.value) for e in read_dotenv(text, "a.env")] == [("A", "1"), ("B", "2")]
    with pytest.raises(ConfigurationError, match="A has text behind its closing quote"):
        list(read_dotenv(text, "a.env", is_strict=True))


VAR_FILE = {
    "plain": ("A=b", {"A": "b"}),
    "yaml form": ("A: b", {"A": "b"}),
    "trimmed": ("  A =  b  ", {"A": "b"}),
    "comments": ("# A=b\n\n  # C=d\nE=f", {"E": "f"}),
    "no comments behind values": ("A=b # c", {"A": "b # c"}),
    "line without a separator": ("nonsense\nA=b", {"A": "b"}),
    "no name": ("=b\n: c\nA=d", {"A": "d"}),
    "double quotes": ('A="b c"', {"A": "b c"}),
    "single quotes": ("A='b c'", {"A": "b c"}),
    "both, outer double": ("A=\"'b'\"", {"A": "b"}),
    "both, outer single": ("A='\"b\"'", {"A": '"b"'}),
    "one of each kind": ('A=""b""', {"A": '"b"'}),
    "quote at one end": ('A="b', {"A": "b"}),
    "no escapes": (r'A="b\n"', {"A": r"b\n"}),
    "no variables": ("A=x\nB=$A", {"A": "x", "B": "$A"}),
    "equals sign in the value": ("A=b=c", {"A": "b=c"}),
    "colon in the value": ("A=http://b", {"A": "http://b"}),
    "equals sign in the value of yaml form": ("A: b=c", {"A": "b=c"}),
    "empty value": ("A=\nB:", {"A": "", "B": ""}),
    "the later one": ("A=1\nA=2", {"A": "2"}),
    "windows": ("A=b\r\nC: d\r\n", {"A": "b", "C": "d"}),
    "byte-order mark": ("\ufeffA=b", {"A": "b"}),
    "no export": ("export A=b", {"export A": "b"}),
    "dash in the name": ("a-b: c", {"a-b": "c"}),
}


@pytest.mark.parametrize(("text", "values"), VAR_FILE.values(), ids=VAR_FILE)
def test_values_of_a_var_file(text: str, values: dict[str, str]) -> None:
    """A file for --var-file looks like YAML but is read line by line, as the old tool did."""
    assert {entry.name: entry.value for entry in read_var_file(text)} == values


def test_lines_of_a_var_file() -> None:
    """Every variable knows its line."""
    assert [(e.name, e.line) for e in read_var_file("# c\r\nA=1\r\n\r\nB: 2")] == [
        ("A", 2),
        ("B", 4),
    ]
