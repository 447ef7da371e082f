"""Registries that a stack names, against real servers on loopback."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.checks.registries import check_registries, uses_of
from tests.support.api_server import Answer, ApiServer, api_server
from tests.support.checks import lines, subject
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POD = "spec: {containers: [{name: a, image: %s}]}"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run a registry that wants a password."""
    with api_server() as running:
        running.decide = lambda _: Answer({}, 401)
        yield running


@pytest.fixture
def nobody() -> str:
    """Return a host on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def _host(server: ApiServer) -> str:
    return server.address.removeprefix("http://")


def _found(folder: Path, stack: dict[str, Any] | None = None, **more: Any) -> list[str]:
    return lines(check_registries(subject(folder, stack=stack, **more)))


def test_each_registry_is_asked_once(tmp_path: Path, server: ApiServer) -> None:
    """However many images are in it."""
    host = _host(server)
    images = {
        "redis": {"type": "external", "from": f"{host}/redis:7", "local": f"{host}/shop/redis:7"},
        "web": {"type": "build", "repository": f"{host}/shop/web", "tag": "1"},
    }
    manifests = yaml_of("Pod", "a", POD % f"{host}/shop/web:1")

    found = _found(tmp_path, {"registry": host, "images": images}, manifests=manifests)

    assert found == [f"ok registry {host}: answers at {server.address}"]
    assert len(server.requests) == 1


def test_a_registry_that_this_machine_pushes_to_must_answer(tmp_path: Path, nobody: str) -> None:
    """Built images, and the copies of others."""
    for image in ({"repository": f"{nobody}/web"}, {"local": f"{nobody}/redis:7"}):
        [key] = image
        assert _found(tmp_path, {"images": {"x": image}}) == [
            (
                f"failed registry {nobody}: nothing listens there (refused); "
                f"images.x.{key} is pushed to it: start it, or correct host and port"
            )
        ]


def test_a_registry_of_the_nodes_own(tmp_path: Path, nobody: str) -> None:
    """The localhost of a pod's image is the node: that it is not here means nothing."""
    manifests = yaml_of("Pod", "a", POD % f"{nobody}/web:1")

    assert _found(tmp_path, manifests=manifests) == [
        (
            f"skipped registry {nobody}: cannot be seen from here: it is the nodes' own; "
            "named by app.yaml:1"
        )
    ]
    assert _found(tmp_path, {"registry": nobody}, manifests=manifests)[0].startswith("warning")


def test_a_registry_that_is_only_pulled_from_is_a_warning(tmp_path: Path, nobody: str) -> None:
    """Nodes may see what this machine does not; a manifest is named with its line."""
    nobody = nobody.replace("127.0.0.1", "127.1")  # which looks like another machine
    manifests = yaml_of("Pod", "a", POD % f"{nobody}/web:1")

    assert _found(tmp_path, manifests=manifests * 2) == [
        (
            f"warning registry {nobody}: nothing listens there (refused); "
            "named by app.yaml:1 and 1 more: start it, or correct host and port"
        )
    ]


def test_the_registry_of_the_environment(tmp_path: Path, server: ApiServer) -> None:
    """It may go without TLS, also when it is inherited; of other environments it is not asked."""
    port = int(server.address.rpartition(":")[2])
    local = {"enabled": True, "name": "127.1", "port": port}
    stack = {"environments": {"dev": {"localRegistry": local}, "ai": {"from": "dev"}, "x": {}}}

    assert _found(tmp_path, stack, env="ai") == [
        f"ok registry 127.1:{port}: answers at http://127.1:{port}"
    ]
    assert _found(tmp_path, stack, env="x") == ["ok images: no registry is named"]


def test_passwords_are_not_told(tmp_path: Path, nobody: str) -> None:
    """Some write them into the name of the registry."""
    stack = {
        "registry": f"https://bot:hunter2@{nobody}/x",
        "images": {"a": {"local": "u:hunter2@"}},
    }

    found = _found(tmp_path, stack)

    assert len(found) == 2
    assert "hunter2" not in str(found)
    assert "hunter2" not in repr(list(uses_of(subject(tmp_path, stack=stack))))


def test_what_is_no_reference(tmp_path: Path) -> None:
    """A node would say InvalidImageName, much later."""
    manifests = yaml_of("Pod", "a", POD % "Web:1")

    assert _found(tmp_path, manifests=manifests) == [
        "warning app.yaml:1: 'Web:1' is no reference of an image: correct it",
        "ok images: no registry is named",
    ]


def test_where_images_are_found(tmp_path: Path) -> None:
    """In all containers of all kinds, custom ones too; templates of later are left out."""
    spec = "spec: {pod: {initContainers: [{image: a/i}], containers: [{image: b/c}, {name: x}, 1]}}"
    manifests = yaml_of("Pod", "a", spec) + yaml_of("ConfigMap", "b", "data: {image: d/e}")
    stack = {"registry": " ", "images": {"x": {"from": "{{ Versions.x }}", "local": "l/m"}}}

    uses = list(uses_of(subject(tmp_path, stack=stack, manifests=manifests)))

    assert [use.text for use in uses] == ["l/m", "a/i", "b/c"]


def test_a_registry_that_is_silent_to_the_end(tmp_path: Path) -> None:
    """What is known by then is told."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        found = _found(tmp_path, {"registry": host}, left_s=0.6)

    assert found[0].startswith(f"warning registry {host}: no answer in time; named by registry")
