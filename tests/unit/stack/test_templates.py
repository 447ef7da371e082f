"""Templates: sandboxed, strict, and exact about lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.files import display
from codexctl_tasks.stack.templates import Templates

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2secret"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def templates(root: Path) -> Templates:
    names = {"Namespace": "shop", "Env": "staging", "x": "v", "no": False, "Vars": {"T": SECRET}}
    return Templates(root.resolve(), names)


def _refused(templates: Templates, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        templates.render(text, "f.yaml")
    assert caught.value.location is not None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_text_outside_of_expressions_is_untouched(templates: Templates) -> None:
    """Quotes, ampersands and the last newline come out as they are written: this is no HTML."""
    assert templates.render("a: '<&>' \n{{ Env }}\n\n", "f").text == "a: '<&>' \nstaging\n\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a\nb {{ Namspace }}\n", 2, "did you mean 'Namespace'?"),
        ("{{ Qqqq }}", 1, "'Qqqq' is undefined: define it, or use default(...)"),
        (
            "{% if x %}\n\n{{ Vars.NOPE }}{% endif %}",
            3,
            "there is no 'NOPE' in Vars: define it, or use default(...)",
        ),
        ("a\n{% if %}\n", 2, "template syntax: something is missing at the end"),
        ("a\n\n{% for a in [1] %}\n", 3, "template syntax: `for` has no end: add {% endfor %}"),
        ("{{ x|nofilter }}", 1, "there is no filter 'nofilter'"),
        ("{{ x|indnt }}", 1, "there is no filter 'indnt': did you mean 'indent'?"),
        ("{{ x is definde }}", 1, "there is no test 'definde': did you mean 'defined'?"),
        ("\n{% els %}", 2, "there is no tag 'els': did you mean 'else'?"),
        ("\n{% endif %}", 2, "`endif` stands where it belongs to no block: remove it"),
        ("{% if x %}\n{% endfor %}", 2, "`endfor` stands where it belongs to no block: end `if`"),
        ("a\n{% if x %}\n{% if x %}{% endif %}\n{{ x }}\n{{ x }}", 2, "`if` has no end"),
        ("{% set a = 1 %}\n{% set b %}\n{{ x }}\n", 2, "`set` has no end: add {% endset %}"),
        ("a\n{{ Env\n\nb: 1\n{{ Env }}", 2, "is opened here and never closed: close it"),
        ("a\n{% if x\n\nb: 1 %}\n", 4, "'b' cannot stand here"),
        ("{{ x && x }}", 1, "'&' cannot stand here: write 'and'"),
        ("{{ !x }}", 1, "'!' cannot stand here: write 'not'"),
        ("{% if x = 1 %}{% endif %}", 1, "'=' cannot stand here: write '==' to compare"),
        ("{{ x ? 1 : 2 }}", 1, "'?' cannot stand here: write 'a if condition else b'"),
        ("{{ 'x }}", 1, "cannot stand here: close the quote"),
        ("{{ evnOr('x') }}", 1, "'evnOr' is undefined: "),
        ("\n{{ none.x }}", 2, "there is no 'x' in what has no value itself: test that with"),
        ("\n{{ 1/0 }}", 2, "division by zero"),
        ("\n{{ x + 1 }}", 2, "can only concatenate str"),
        ("\n{{ 5|dictsort }}", 2, "template: "),
        ("\n{{ cycler() }}", 2, "template: "),
        ("\n{{ dict }}", 2, "prints a function instead of calling it: {{ dict(...) }}"),
        ("{% macro m() %}{% endmacro %}\n{{ m }}", 2, "prints a function instead of calling it"),
        ("a\n{% break %}", None, "'break' outside loop: put it into a loop"),
        ("\n{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 2, "template: "),
        ("\n{% for i in range(10**9) %}{% endfor %}", 2, "Range too big"),
        ("\n{% include 'nope.j2' %}", 2, "includes 'nope.j2', which is no file"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    templates: Templates, text: str, line: int | None, words: str
) -> None:
    """Every mistake in a template is one line with file, line and what to do."""
    message = _refused(templates, text)

    assert message.startswith(f"f.yaml:{line}: " if line else "f.yaml: ")
    assert words in message


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ render.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ Vars.update({'T': 1}) }}",
        "{{ Vars.clear() }}",
    ],
)
def test_templates_cannot_leave_the_sandbox(templates: Templates, text: str) -> None:
    """A manifest from a pull request cannot run code on the machine that deploys."""
    assert _refused(templates, f"\n{text}").startswith("f.yaml:2: ")
    assert templates.render("{{ Vars.T }}", "f.yaml").text == SECRET


def test_includes_within_the_project(templates: Templates, root: Path) -> None:
    """Shared pieces may live in any folder of the project, and see the same names."""
    (root / "parts").mkdir()
    (root / "parts" / "labels.j2").write_text("app: {{ Namespace }}")

    assert templates.render("{% include 'parts/labels.j2' %}!", "f").text == "app: shop!"


def test_includes_cannot_leave_the_project(templates: Templates, root: Path) -> None:
    """Neither a relative nor an absolute path nor a symbolic link reads another file."""
    outside = root.parent / "outside.txt"
    outside.write_text("private")
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(root.parent)

    for path in (
        "../outside.txt",
        str(outside),
        "link",
        "folder/outside.txt",
        "a/../../outside.txt",
    ):
        assert "f.yaml:1: includes" in _refused(templates, f"{{% include '{path}' %}}")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("ok\n{{ Nmespace }}", "part.j2:2: 'Nmespace' is undefined"),
        ("ok\n\n{% if %}", "part.j2:3: template syntax"),
        ("{% include 'part.j2' %}", "part.j2:1: template: "),
    ],
    ids=["undefined", "syntax", "includes itself"],
)
def test_a_mistake_in_an_included_file_is_named_there(
    templates: Templates, root: Path, part: str, message: str
) -> None:
    """The file to open is the included one, written as a person would type it."""
    (root / "part.j2").write_text(part)

    assert _refused(templates, "a\n{% include 'part.j2' %}").startswith(message)


@pytest.mark.parametrize(
    "text",
    ["{{ Vars.T.nope }}", "{{ Vars.T + 1 }}", "{{ '%d'|format(Vars.T) }}", "{{ Vars.T|dictsort }}"],
)
def test_values_of_variables_are_not_in_messages(templates: Templates, text: str) -> None:
    """A variable may be a secret: errors name it, never its value."""
    assert SECRET not in _refused(templates, text)


BLOCKS = {
    "values only": ("a: {{x}}\nb: {{x}}\nNEEDLE {{x}}\n", [3]),
    "loop above": ("a\n{% for i in [1,2,3] %}\nb{{i}}: {{x}}\n{% endfor %}\nNEEDLE {{x}}\n", [5]),
    "dropped block above": ("a\n{% if no %}\nb\nc\nd\n{% endif %}\nn: {{x}}\nNEEDLE {{x}}\n", [8]),
    "trimmed block above": ("a\n{% if no -%}\nb\nc\n{%- endif %}\nNEEDLE {{x}}\nz\n", [6]),
    "trimmed settings above": ("{% set y = 1 -%}\n{% set z = 1 -%}\na: {{x}}\nNEEDLE {{x}}\n", [4]),
    "comment above": ("{# c\nc #}\na: {{x}}\nNEEDLE {{x}}\n", [4]),
    "one drops, one adds": (
        "{% if no %}\nb\nc\n{% endif %}\n{% for i in 'ab' %}\nl\n{% endfor %}\nNEEDLE {{x}}\n",
        [8],
    ),
    "value of several lines": ("v: {{ '1\\n2\\n3' }}\nb: {{x}}\nNEEDLE {{x}}\n", [3]),
    "inside a loop": (
        "{% for i in [1,2,3] %}---\nname: a{{i}}\nkind: {{x}}\nspec:\n  NEEDLE: 1\n{% endfor %}",
        [5, 5, 5],
    ),
    "behind equal lines": (
        "- n\n  v: {{x}}\n{% if no %}\n- n\n  v: 1\n{% endif %}\n- n\n  v: {{x}}\nNEEDLE {{x}}",
        [9],
    ),
    "block of one line": ("a\n{% if x %}NEEDLE {{x}}{% endif %}\nb\n", [2]),
    "windows": ("a\r\n{% if x %}\r\nNEEDLE {{x}}\r\n{% endif %}\r\n", [3]),
}


@pytest.mark.parametrize(("source", "lines"), BLOCKS.values(), ids=BLOCKS)
def test_lines_of_the_rendering_are_found_in_the_template(
    templates: Templates, source: str, lines: list[int]
) -> None:
    """An error names the line to edit, also behind blocks that add or drop lines."""
    rendered = templates.render(source, "f.yaml")

    found = [n for n, text in enumerate(rendered.text.splitlines(), 1) if "NEEDLE" in text]
    assert [str(rendered.place(line)) for line in found] == [f"f.yaml:{line}" for line in lines]


def test_lines_of_an_included_file_are_found_there(templates: Templates, root: Path) -> None:
    """The line to edit may be in a shared piece; what follows it belongs to the file again."""
    (root / "part.j2").write_text("p: 1\nNEEDLE: {{x}}\n")

    rendered = templates.render("a: 1\n{% include 'part.j2' %}\nNEEDLE: {{x}}\n", "f.yaml")

    found = [n for n, text in enumerate(rendered.text.splitlines(), 1) if "NEEDLE" in text]
    assert [str(rendered.place(line)) for line in found] == ["part.j2:2", "f.yaml:3"]


def test_looking_for_lines_changes_nothing(templates: Templates) -> None:
    """Blocks that handle their own text (filters, assignments) render as if nobody looked."""
    source = (
        "{% set block %}a\nb{% endset %}{% if block == 'a\nb' %}same{% endif %}\n"
        "{% filter indent(2) %}x\ny{% endfilter %}\n{{ block|length }}\n"
    )

    assert templates.render(source, "f").text == "same\nx\n  y\n3\n"


def test_lines_are_exact_in_long_files_of_similar_lines(templates: Templates) -> None:
    """Generated manifests repeat the same lines thousands of times, behind a block."""
    source = "{% if x %}\n\n{% endif %}" + "- name: x\n  value: {{x}}\n" * 2000

    rendered = templates.render(source, "f.yaml")
    [*_, last] = read_documents(rendered.text, "f", source_place=rendered.place)

    assert str(last.location((1999, "value"))) == "f.yaml:4002"


def test_paths_are_shown_as_they_would_be_typed(root: Path) -> None:
    """Inside the current folder: relative; elsewhere: in full."""
    assert display(root / "a" / "b.yaml") == "a/b.yaml"
    assert display(root.parent / "b.yaml") == str(root.parent / "b.yaml")
