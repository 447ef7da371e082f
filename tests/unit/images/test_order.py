"""In which order images are built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError, ConfigurationError, UsageError
from codexctl_tasks.images.order import order_builds, select_builds
from codexctl_tasks.references import parse_reference

if TYPE_CHECKING:
    from tests.support.builds import Project


def test_who_needs_whom(project: Project) -> None:
    """By FROM, COPY --from, mounts and named contexts; built and mirrored images."""
    builds = [
        project.build(
            "web",
            "ARG TAG\nFROM registry.test/base:$TAG AS x\nFROM registry.test/mirror/redis:1\n"
            "COPY --from=x a b\nRUN --mount=from=registry.test/tools:2,target=/t /t/make",
            arguments={"TAG": "1"},
            contexts={"assets": parse_reference("registry.test/assets")},
        ),
        project.build("base"),
        project.build("tools", tag="2"),
        project.build("assets", tag="latest"),
        project.build("other", "FROM registry.test/base:other"),
        project.build("pinned", f"FROM registry.test/base:1@sha256:{'a' * 64}"),
    ]
    ordered = order_builds(builds, [project.external("redis"), project.external("unused")])

    assert list(ordered) == ["web", "base", "tools", "assets", "other", "pinned"]
    assert set(ordered["web"].builds) == {"base", "tools", "assets"}
    assert ordered["web"].externals == ("redis",)
    assert not any(ordered[name].builds for name in ("base", "tools", "assets", "other", "pinned"))


def test_a_broken_dockerfile_is_the_trouble_of_its_image(project: Project) -> None:
    """Others can be built."""
    ordered = order_builds([project.build("web", "FROM"), project.build("base")])
    assert "web/Dockerfile:1: FROM is incomplete" in str(ordered["web"].mistake)
    assert ordered["base"].mistake is None


def test_a_circle_is_named_with_its_lines(project: Project) -> None:
    """Nobody could begin."""
    builds = [
        project.build("a", "FROM registry.test/b:1"),
        project.build("b", "FROM registry.test/c:1"),
        project.build("c", "FROM registry.test/a:1"),
    ]
    with pytest.raises(ConfigurationError) as caught:
        order_builds(builds)

    message = str(caught.value)
    assert message.startswith("services.yaml:")
    assert "images are built from each other: " in message
    for step in (
        "a needs b (services.yaml:20)",
        "b (services.yaml:20) needs c (services.yaml:30)",
        "c (services.yaml:30) needs a (services.yaml:10)",
    ):
        first, _, second = step.partition(" needs ")
        assert f"{first.partition(' ')[0]}" in message
        assert second in message


def test_an_image_built_from_itself(project: Project) -> None:
    """The smallest circle."""
    with pytest.raises(ConfigurationError, match=r"^services.yaml:10: images.a is built from it"):
        order_builds([project.build("a", "FROM registry.test/a:1")])


def test_two_that_push_the_same_tag(project: Project) -> None:
    """Which one it is in the end would be a matter of luck."""
    one, two = project.build("a"), project.build("b")
    twin = project.build("c")
    object.__setattr__(twin, "target", one.target)
    with pytest.raises(CombinedError) as caught:
        order_builds([one, two, twin])
    assert str(caught.value) == (
        "services.yaml:30: images.c pushes registry.test/a:1, and so does images.a: "
        "give one of them another tag (a: services.yaml:10)"
    )
    assert caught.value.exit_code == 3


def test_the_chosen_with_what_they_need(project: Project) -> None:
    """In the order of the file; nothing chosen is everything."""
    ordered = order_builds(
        [
            project.build("web", "FROM registry.test/base:1"),
            project.build("other"),
            project.build("base", "FROM registry.test/root:1"),
            project.build("root"),
        ]
    )
    assert list(select_builds(ordered, ["web"])) == ["web", "base", "root"]
    assert list(select_builds(ordered, ["root"])) == ["root"]
    assert list(select_builds(ordered, [])) == list(ordered)
    with pytest.raises(UsageError, match=r"^--only wep: no image of this name is built: did you"):
        select_builds(ordered, ["wep"])
