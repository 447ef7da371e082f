"""What a Dockerfile depends on."""

from __future__ import annotations

from textwrap import dedent

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.images.dockerfile import needed_images

HUB = "docker.io/library/"


def needed(text: str, *contexts: str, platform: str = "linux/arm64", **arguments: str) -> list[str]:
    """Return the images that a Dockerfile needs, those of docker.io by their short names."""
    found = needed_images(
        dedent(text), "Dockerfile", arguments=arguments, contexts=contexts, platform=platform
    )
    return [str(each.reference).removeprefix(HUB) for each in found]


def mistake(text: str, **arguments: str) -> str:
    """Return the message about a broken Dockerfile."""
    with pytest.raises(ConfigurationError) as caught:
        needed(text, **arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM redis:7", ["redis:7"]),
        ("from redis", ["redis:latest"]),
        ("FROM --platform=$BUILDPLATFORM golang:1.25 AS build", ["golang:1.25"]),
        ("FROM registry.test:5000/a/b:1", ["registry.test:5000/a/b:1"]),
        (f"FROM redis:7@sha256:{'a' * 64}", [f"redis@sha256:{'a' * 64}"]),
        ("FROM scratch", []),
        ("\ufeffFROM redis:7\r\nCOPY . /\r\n", ["redis:7"]),
        ("# a comment\n\n  FROM redis:7 # no comment here is no stage", None),
    ],
)
def test_from(text: str, expected: list[str] | None) -> None:
    """The image of FROM, however it is written."""
    if expected is None:
        assert mistake(text).startswith("Dockerfile:3: FROM is incomplete")
    else:
        assert needed(text) == expected


def test_stages_are_no_images() -> None:
    """Names, in whatever letters, and numbers of earlier stages; each image comes once."""
    assert needed("""
        FROM golang:1 AS Build
        FROM build AS test
        COPY --from=busybox:1 /bin/sh /sh
        FROM alpine:3
        COPY --from=0 /app /app
        COPY --link --from=TEST /sh /sh
        COPY --from=busybox:1 /bin/ls /ls
        RUN --mount=type=bind,from=build,target=/src \\
            --mount=type=cache,"from=tools:2",target=/t make
    """) == ["golang:1", "busybox:1", "alpine:3", "tools:2"]


def test_stages_that_nobody_needs_pull_nothing() -> None:
    """Builders leave them out: an image that only they name need not exist."""
    assert needed("""
        FROM no-such-image AS debug
        FROM debug AS more
        FROM alpine:3
    """) == ["alpine:3"]


@pytest.mark.parametrize(
    ("word", "arguments", "expected"),
    [
        ("a:$TAG", {}, "a:1"),
        ("a:${TAG}", {"TAG": "2"}, "a:2"),
        ("a:${NONE:-3}", {}, "a:3"),
        ("a:${NONE-3}", {}, "a:3"),
        ("a:${EMPTY-}x", {}, "a:x"),
        ("a:${EMPTY:-4}", {}, "a:4"),
        ("a:${NONE:-${TAG}}", {}, "a:1"),
        ("a:1${TAG:+-slim}", {}, "a:1-slim"),
        ("a:1${EMPTY:+-slim}", {}, "a:1"),
        ("a:1${EMPTY+-slim}", {}, "a:1-slim"),
        ("a:${TAG:?missing}", {}, "a:1"),
        ('"a:$TAG"', {}, "a:1"),
        ("a:$BOTH", {}, "a:1-x"),
        ("a:$QUOTED", {}, "a:v5"),
        ("a-$TARGETARCH:${TARGETOS}", {}, "a-arm64:linux"),
        ("a:$UNDECLARED", {"UNDECLARED": "9", "TAG": "1"}, None),
    ],
)
def test_arguments_before_from(word: str, arguments: dict[str, str], expected: str | None) -> None:
    """Build arguments win over defaults, and only those count that are declared."""
    text = (
        "ARG TAG=1\nARG EMPTY=\nARG NONE\nARG BOTH=${TAG}-x QUOTED='v5'\n"
        f"FROM {word}\nARG TAG=of-the-stage\n"
    )
    if expected is None:
        assert "Dockerfile:5: names something that is no reference" in mistake(text, **arguments)
    else:
        assert needed(text, **arguments) == [expected]


def test_arguments_of_stages_do_not_count() -> None:
    """Only those before the first FROM hold in a FROM."""
    assert needed("ARG TAG=1\nFROM alpine:3\nARG TAG=2\nFROM redis:$TAG") == ["redis:1"]


def test_lines_that_go_on() -> None:
    """Comments and empty lines inside of an instruction are none of it; nor is the escape."""
    assert needed("""
        FROM \\
          # not this: other:1
          alpine:3 \\

          AS base
        FROM base
        RUN echo a \\\\
        COPY --from=busybox:1 a b
    """) == ["alpine:3", "busybox:1"]


def test_the_escape_directive() -> None:
    """Windows paths end in a backslash; only the directive at the very top counts."""
    assert needed("# escape=`\nFROM `\n  alpine:3\nCOPY a c:\\\nCOPY --from=b:1 a b") == [
        "alpine:3",
        "b:1",
    ]
    assert needed("# hello\n# escape=`\nFROM \\\n  alpine:3") == ["alpine:3"]


def test_heredocs_hide_nothing_and_add_nothing() -> None:
    """What looks like an instruction in a script is none; what comes after the script is."""
    assert needed("""
        FROM alpine:3
        RUN <<EOF
        FROM no-such:1
        COPY --from=no-such:2 a b
        EOF
        COPY <<-"A" <<'B' /etc/
        \tFROM no-such:3
        \tA
        FROM no-such:4
        B
        RUN cat <<EOF | sh; echo <<<here "<<NOT"
        FROM no-such:5
        EOF
        COPY --from=busybox:1 /bin/sh /
    """) == ["alpine:3", "busybox:1"]


def test_flags_of_commands_are_not_those_of_instructions() -> None:
    """Only what stands before the command counts."""
    text = "FROM alpine:3\nRUN tool --mount=type=bind,from=no-such:1 x\nADD --chown=1 --from=a b /"
    assert needed(text) == ["alpine:3"]


def test_named_contexts_take_the_place_of_images_and_stages() -> None:
    """However the name is completed; what only a replaced stage needs is not pulled."""
    text = """
        FROM golang:1 AS build
        FROM redis
        COPY --from=build /a /a
        COPY --from=assets /b /b
    """
    assert needed(text, "assets", "docker.io/library/redis:latest") == ["golang:1"]
    assert needed(text, "assets", "redis", "BUILD") == []


def test_the_frontend_is_an_image_too() -> None:
    """A new version of the syntax can build something else."""
    assert needed("# syntax=docker/dockerfile:1 # note\nFROM alpine:3") == [
        "alpine:3",
        "docker.io/docker/dockerfile:1",
    ]
    assert needed("FROM alpine:3\n# syntax=docker/dockerfile:1") == ["alpine:3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing", "Dockerfile: has no FROM: begin with FROM and an image"),
        ("\nFROM\n", "Dockerfile:2: FROM is incomplete: write FROM IMAGE or FROM IMAGE AS NAME"),
        ("FROM a as", "Dockerfile:1: FROM is incomplete"),
        ("ARG A\nFROM $A", "Dockerfile:2: FROM $A names no image: give the build argument"),
        ("ARG A\nFROM ${A:?which}", "Dockerfile:2: A has no value: which"),
        ("FROM a:${A%.*}", "Dockerfile:1: a:${A%.*} has a variable that is not understood"),
        ("FROM a:${A:-x", "Dockerfile:1: a:${A:-x has no closing brace"),
        ("FROM a/UPPER", "Dockerfile:1: names something that is no reference of an image"),
        ("ARG 1=2\nFROM a", "Dockerfile:1: ARG 1=2 is no name"),
        ("FROM a\nRUN <<EOF\nx\n", "Dockerfile:2: the heredoc EOF has no end"),
        ("FROM a\n\nCOPY --from=0 a b", "Dockerfile:3: COPY takes files from stage 0"),
        ("FROM a AS x\nCOPY --from=X a b", "Dockerfile:2: COPY takes files from stage X"),
        ("FROM a\nCOPY --from=$B a b", "Dockerfile:2: COPY cannot take files from a variable"),
    ],
)
def test_mistakes_have_a_line(text: str, message: str) -> None:
    """Each is one line that says where and how to mend it."""
    assert mistake(text).startswith(message)


def test_passwords_in_a_reference_are_not_repeated() -> None:
    """A token that somebody has put before the host stays out of the logs."""
    assert "hunter2" not in mistake("FROM https://me:hunter2@registry.test/A b")
