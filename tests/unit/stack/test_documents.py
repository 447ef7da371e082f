"""YAML as Kubernetes reads it, with lines."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.documents import Document, read_documents, write_documents


def _read(text: str, **options: Any) -> list[Document]:
    return list(read_documents(text, "f.yaml", **options))


def _value(text: str, **options: Any) -> Any:
    [document] = _read(f"v: {text}", **options)
    return document.value["v"]


SCALARS: list[tuple[str, Any]] = [
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("Off", "Off"),
    ("y", "y"),
    ("n", "n"),
    ("true", True),
    ("False", False),
    ("0644", 420),
    ("0o644", 420),
    ("0x1F", 31),
    ("0b11", 3),
    ("0o8", "0o8"),
    ("1_000", 1000),
    ("-7", -7),
    ("+7", 7),
    ("1e3", 1000),
    ("1E3", 1000),
    ("1.5e3", 1500),
    ("1.10", 1.1),
    (".5", 0.5),
    ("1e-2", 0.01),
    ("12:30:45", "12:30:45"),
    ("12:30", "12:30"),
    ("2024-01-02", "2024-01-02"),
    ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("~", None),
    ("", None),
    ("nUll", "nUll"),
    ("none", "none"),
    ("=", "="),
    ("'1'", "1"),
    ('"true"', "true"),
    ("1.2.3", "1.2.3"),
    ("10m", "10m"),
    ("500Mi", "500Mi"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text or "empty" for text, _ in SCALARS])
def test_scalars_are_read_by_yaml_1_2(text: str, value: Any) -> None:
    """What kubectl reads as a text is a text here: `yes`, times, dates, versions."""
    assert _value(text) == value
    assert type(_value(text)) is type(value)


@pytest.mark.parametrize("text", ["1.10", "0644", "yes", "1e3", "true", "2024-01-02", "0o17"])
def test_services_yaml_keeps_the_spelling(text: str) -> None:
    """A version 1.10 does not become 1.1; only null is empty."""
    assert _value(text, keep_spelling=True) == text
    assert _value("~", keep_spelling=True) is None


@pytest.mark.parametrize(
    "text",
    ["!!int abc", "!!float abc", "!!bool abc", "!!timestamp x", "0b_", "0x_", "&a [*a]", "!own x"],
)
def test_values_that_nobody_can_read_are_mistakes_of_the_file(text: str) -> None:
    """An odd tag or number is one line with file and line, not an internal error."""
    with pytest.raises(ConfigurationError, match=r"^f\.yaml:2: is not valid YAML"):
        _read(f"a: 1\nv: {text}\n")


@pytest.mark.parametrize(
    "text", ["!!timestamp 2024-01-02", "!!set {a}", "!!binary aGFsbG8=", "1e999"]
)
def test_only_what_json_can_carry_is_read(text: str) -> None:
    """Whatever a file says can be sent to the cluster, or is refused with its line."""
    try:
        value = _value(text)
    except ConfigurationError as error:
        assert str(error).startswith("f.yaml:1: ")  # noqa: PT017 - either outcome is fine
    else:
        assert isinstance(value, str | dict)


def test_written_documents_are_read_back_the_same_by_everybody() -> None:
    """Whatever text a manifest holds, YAML 1.1 and 1.2 readers both get that text back."""
    rng = random.Random(20240611)  # noqa: S311 - reproducible, not secret
    spellings = [text for text, _ in SCALARS] + ["0o17", "1e3", "<<", "- a", "a: b", "#", "", " x "]
    alphabet = "01289abexo_+-.:,#&*!?|>'\"%@`{}[] \n\t\u00e9\u2028\U0001f600yn~="

    def text() -> str:
        if rng.random() < 0.4:
            return rng.choice(spellings)
        return "".join(rng.choice(alphabet) for _ in range(rng.randrange(9)))

    for _ in range(400):
        value = {
            text(): rng.choice(
                [text(), [text(), {"k": text()}], rng.randrange(-9, 999), None, True]
            )
            for _ in range(3)
        }
        written = write_documents([(value, "")])
        assert [d.value for d in _read(written)] == [value]
        assert list(yaml.safe_load_all(written)) == [value]


def test_written_documents_keep_their_order_and_have_no_anchors() -> None:
    """A rendering reads like the file it came from, with a comment that names it."""
    shared = {"b": 1, "a": 2}

    assert write_documents([({"y": shared, "x": shared}, "f:1"), ({"z": "ü"}, "")]) == (
        "---\n# f:1\ny:\n  b: 1\n  a: 2\nx:\n  b: 1\n  a: 2\n---\nz: ü\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "the key 'a' stands twice"),
        ("x:\n  b: 1\n  c: 1\n  b: 2\n", 4, "the key 'b' stands twice"),
        ("a: 1\n\tb: 2\n", 2, "is indented with a tab: use blanks"),
        ('a: "open\n\nb: 1\n', 1, "a quote is opened here and never closed: close it"),
        ("a: 1\n---\nb: [1\n", 3, "the bracket of line 3 lacks a comma or its end"),
        ("a: *nobody\n", 1, "the alias *nobody has no anchor above it"),
        ("a: 1\n? [b]\n: c\n", 2, "a list or mapping cannot be a key"),
        ("a: @x\n", 1, "a value begins with '@': put it in quotes"),
        ("a:\n  - b\n c: d\n", 3, "this does not continue the keys that begin on line 1"),
        ("a: */5 * *\n", 1, "a value begins with a character that means something else"),
        ("a: x\n  b: y\n", 2, "no key can stand here"),
        ("a: - b\n", 1, "no list can begin here"),
        ("a: | x\n  y\n", 1, "a text stands behind '|' or '>'"),
        ('a: "\\d"\n', 1, "a backslash stands before a character that needs none"),
        ("a: [b, , c]\n", 1, "a value is missing, or a bracket or comma is too many"),
        ("a: &x 1\nb: &x 2\n", 2, "an anchor of this name exists already"),
        ("a: 1\nb c\nd: 1\n", 2, "this is no KEY: VALUE"),
        ("a: b\u2028c: d\u2028\ne: f: g\n", 2, "no key can stand here"),
    ],
    ids=[
        "twice",
        "twice inside",
        "tab",
        "quote",
        "second",
        "alias",
        "list as key",
        "@",
        "indent",
        "*",
        "child of a text",
        "list in a line",
        "block",
        "escape",
        "gap",
        "anchor twice",
        "no colon",
        "break of YAML 1.1",
    ],
)
def test_broken_yaml_names_the_line(text: str, line: int, words: str) -> None:
    """One line tells file, line and what the parser stumbled over."""
    with pytest.raises(ConfigurationError) as caught:
        _read(text)

    assert str(caught.value).startswith(f"f.yaml:{line}: is not valid YAML")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_control_character_is_refused_in_one_line() -> None:
    """A binary file given by mistake does not print two lines of parser internals."""
    with pytest.raises(ConfigurationError) as caught:
        _read("é: 1\na: \x00")
    assert str(caught.value) == "f.yaml:2: holds the control character U+0000: remove it"


@pytest.mark.parametrize("step", ["[", "{a: ", "- ", "-  ", "? ", "- ? "])
def test_nesting_without_measure_is_refused(step: str) -> None:
    """What would exhaust the parser's stack is a line of text, not the end of the program."""
    with pytest.raises(ConfigurationError) as caught:
        _read("a: 1\nb:\n  " + step * 50_000)
    assert str(caught.value).startswith("f.yaml:3: is nested more than 100 levels deep")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("\n# only a comment\n", []),
        ("---\n---\n{}\n---\nnull\n---\na: 1\n", [{"a": 1}]),
        ("a: 1\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}]),
        ("\ufeffa: 1\n", [{"a": 1}]),
        ("a: 1\r\nb:\r\n- x\r\n", [{"a": 1, "b": ["x"]}]),
        ("- 1\n", [[1]]),
        ("0\n", [0]),
        ('{"a": "b"}', [{"a": "b"}]),
    ],
    ids=["empty", "comment", "empty ones", "two", "BOM", "CRLF", "list", "scalar", "JSON"],
)
def test_documents(text: str, values: list[Any]) -> None:
    """Empty documents vanish; everything else comes in order."""
    assert [document.value for document in _read(text)] == values


MERGED = """\
a: &a
  k: 1
  l: 1
x:
  inner: &b
    <<: *a
    k: 2
y:
  <<: *b
  l: 3
"""


def test_anchors_and_merges() -> None:
    """A merged key can be overridden, also in a mapping that is merged again."""
    [document] = _read(MERGED)

    assert document.value["x"] == {"inner": {"k": 2, "l": 1}}
    assert document.value["y"] == {"k": 2, "l": 3}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a", "l"), 3),
        (("y", "l"), 10),
        (("y", "nope", "deeper"), 8),
        (("nope",), 1),
    ],
    ids=["document", "key", "overriding key", "unknown key", "unknown at the top"],
)
def test_a_path_is_found_in_its_line(path: tuple[str, ...], line: int) -> None:
    """A mistake is reported where it stands, or at the deepest place that exists."""
    [document] = _read(MERGED.replace("<<: *b", "m: 1").replace("<<: *a", "o: 1"))

    assert document.location(path).line == line


def test_the_line_of_an_overriding_key_is_its_own() -> None:
    """Not the line of the anchor that it overrides."""
    [document] = _read("a: &a\n  k: 1\nb:\n  <<: *a\n  k: 2\n")

    assert document.location(("b", "k")).line == 5


def test_lines_count_through_all_documents_of_a_file() -> None:
    """The second document's line is that of the file; items are found by index."""
    _, second = _read("a: 1\n---\nitems:\n- x: 1\n- x: 2\n")

    assert str(second.location(("items", 1, "x"))) == "f.yaml:5"
    assert second.location(("items", 9)).line == 3


def test_places_can_be_those_of_the_template() -> None:
    """Places and syntax errors are told where a person wrote them."""

    def place(line: int) -> Location:
        return Location("template.yaml", line + 10)

    [document] = _read("a: 1\nb: 2\n", source_place=place)
    assert str(document.location(("b",))) == "template.yaml:12"

    with pytest.raises(ConfigurationError, match=r"^template\.yaml:12: "):
        _read("a: 1\nb: @\n", source_place=place)


def test_aliases_cannot_blow_a_document_up() -> None:
    """A "billion laughs" file is refused at once instead of filling the memory."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]

    with pytest.raises(ConfigurationError, match=r"^f\.yaml:\d+: .*larger than any manifest"):
        _read("\n".join(lines))


@pytest.mark.parametrize("text", ["a: " + "[" * 200_000, "a: " + "{b: " * 400, "- " * 5_000 + "x"])
def test_what_would_kill_the_parser_is_a_mistake_of_the_file(text: str) -> None:
    """Endless nesting is one line with its place, not a crash of the process."""
    with pytest.raises(ConfigurationError, match=r"^f\.yaml:1: is nested more than"):
        list(read_documents(text, "f.yaml"))


def test_many_brackets_in_a_script_are_no_nesting() -> None:
    """A shell script with colour codes in a ConfigMap is read as it is."""
    script = "\n".join(f"  printf '\\e[3{n % 8}m' && [[ x" for n in range(300))

    [document] = read_documents(f"data: |\n{script}\n", "f.yaml")

    assert document.value["data"].count("[[") == 300
