"""What ``.dockerignore`` leaves out: the rules of Docker, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.images.contexts import Content
from codexctl_tasks.images.ignoring import Holding, ignore_file_of, parse_rules, read_rules

if TYPE_CHECKING:
    from tests.support.builds import Project


def ignores(text: str, path: str) -> bool:
    """Tell whether rules leave a path out, judged folder by folder as a builder walks."""
    rules = parse_rules(text, "x")
    parts = path.split("/")
    holding: Holding = ()
    is_ignored = False
    for count in range(1, len(parts) + 1):
        is_ignored, holding = rules.judge("/".join(parts[:count]), holding)
    return is_ignored


@pytest.mark.parametrize(
    ("rules", "out", "kept"),
    [
        ("", "", "a a/b"),
        ("# a\n \na", "a a/b a/b/c", "b ab b/a"),
        ("/a", "a a/b", "b/a"),
        ("./a/../b", "b b/c", "a"),
        ("a/", "a a/b", "b"),
        ("  a  ", "a", "b"),
        ("\ufeffa\r\nb\r\n", "a b", "c"),
        ("*", "a a/b .a", ""),
        ("*.md", "x.md x.md/a", "a/x.md x.mdx"),
        ("*/*.md", "a/x.md", "x.md a/b/x.md"),
        ("a?c", "abc", "ac a/c abbc"),
        ("a/*", "a/b a/b/c", "a"),
        ("**", "a a/b a/b/c", ""),
        ("**/*.md", "x.md a/x.md a/b/x.md", "x.mdx"),
        ("**/a", "a b/a b/c/a a/b", "ba b/ca"),
        ("**log", "log a/log log/a", "dialog logs"),
        ("**log*", "logs a/logs", "dialog a/dialogs"),
        ("a/**", "a/b a/b/c", "a ab"),
        ("a**/*.txt", "a/x.txt a/b/x.txt ax.txt", "b/x.txt"),
        ("**/a/**", "a/b c/a/b", "a c/a"),
        ("**/**/*.txt", "x.txt a/x.txt a/b/x.txt", "x.txt2"),
        ("[ab].txt", "a.txt b.txt", "c.txt"),
        ("[a-c]x", "ax cx", "dx"),
        ("[^a-c]x", "dx", "ax"),
        (r"[\]\-]x", "]x -x", "ax"),
        (r"\*x", "*x", "ax"),
        (r"\#x", "#x", "x"),
        ("a(b)c.+", "a(b)c.+", "abcd"),
        ("*\n!a", "b b/a", "a a/b"),
        ("*\n!a\na/b", "a/b a/b/c", "a a/c"),
        ("a\n!a/b", "a a/c", "a/b a/b/c"),
        ("a/*\n! /a/b ", "a/c", "a a/b"),
        ("*.md\n!README*.md\nREADME-secret.md", "x.md README-secret.md", "README.md README-1.md"),
        ("!a\n*", "a", ""),
        ("**\n!**/*.py", "a a/b.txt", "b.py a/b.py a/b/c.py"),
        ("..\n../a", "", "a"),
        ("/", "", "a"),
        ("ä?", "äö äö/x", "ä"),
        # Where builders differ, it is there: BuildKit keeps the first two, buildah the third.
        ("*\n!**log", "logs", "log a/log dialog a/dialog"),
        ("d\n!d/f\nd", "d d/g", "d/f"),
        ("d/f*\n!d", "", "d d/f1 d/g"),
    ],
)
def test_rules(rules: str, out: str, kept: str) -> None:
    """The last rule that holds decides; it holds for everything below, too."""
    assert [path for path in out.split() if not ignores(rules, path)] == []
    assert [path for path in kept.split() if ignores(rules, path)] == []


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("a\n!", "x:2: ! is followed by nothing"),
        ("a[", "x:1: a[ has a [ that is not closed, or nothing in it"),
        ("a[^", "x:1: a[^ has a [ that is not closed, or nothing in it"),
        ("[]a]", "x:1: []a] has a [ that is not closed, or nothing in it"),
        ("[x-]", "x:1: [x-] has a range without an end"),
        ("[z-a]", "x:1: [z-a] has the range z-a, which is empty"),
        ("a\\", "x:1: a\\ ends with a backslash"),
    ],
)
def test_mistakes_have_a_line(rules: str, message: str) -> None:
    """A broken pattern is named, as the builder would refuse it, too."""
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(rules, "x")
    assert str(caught.value).startswith(message)


def test_the_file_of_the_dockerfile_comes_first(project: Project) -> None:
    """It lies beside the Dockerfile, wherever that is; the other one does not count then."""
    dockerfile = project.write("docker/web.Dockerfile")
    context = project.write("src/app").parent
    assert ignore_file_of(context, dockerfile) is None
    general = project.write("src/.dockerignore")
    assert ignore_file_of(context, dockerfile) == general
    own = project.write("docker/web.Dockerfile.dockerignore")
    assert ignore_file_of(context, dockerfile) == own
    assert ignore_file_of(context) == general


def test_no_text(project: Project) -> None:
    """An ignore file that is none is named with its line."""
    file = project.write("src/.dockerignore")
    file.write_bytes(b"a\n\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.dockerignore:2: is not UTF-8 text"):
        read_rules(file)


def test_folders_that_lead_to_an_exception_are_there(project: Project) -> None:
    """What an exception takes back stands in its folders; other empty shells do not."""
    for path in ("a/b/keep", "a/b/drop", "a/c/drop", "d/e/drop", "top"):
        project.write(path)
    rules = parse_rules("*\n!a/b/keep\n!top", "x")

    assert [entry.path for entry in Content(project.root, rules).entries] == [
        "a",
        "a/b",
        "a/b/keep",
        "top",
    ]


def test_folders_that_are_left_out_are_not_entered(project: Project) -> None:
    """A folder that nobody may read is no trouble, and a large one costs nothing."""
    project.write("secret/x")
    project.write("app/x")
    rules = parse_rules("secret\n!app/x", "x")

    assert not rules.may_keep_below("secret")
    assert rules.may_keep_below("app")
    assert [entry.path for entry in Content(project.root, rules).entries] == ["app", "app/x"]
