"""What buildah is told of registries."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from codexctl_tasks.images.backends.registry_settings import auth_file, write_settings
from codexctl_tasks.references import parse_reference
from tests.support.builders import FakeRun, Project, workshop

if TYPE_CHECKING:
    from pathlib import Path


def _settings(
    folder: Path, dockerfile: str, *, machine: str = "", plain: tuple[str, ...] = (), **order: Any
) -> dict[str, Any]:
    (folder / "machine.conf").write_text(machine)
    shop = workshop(FakeRun(), plain, CONTAINERS_REGISTRIES_CONF=str(folder / "machine.conf"))
    project = Project(folder / "project", "registry.example.com")
    file = write_settings(project.order(dockerfile, **order), shop, folder / "registries.conf")
    return tomllib.loads(file.read_text())


def _insecure(settings: dict[str, Any]) -> list[str]:
    return [each["location"] for each in settings.get("registry", []) if each.get("insecure")]


def test_registries_are_asked_by_tls(tmp_path: Path) -> None:
    """Unless somebody says otherwise; a name without host is one of Docker's."""
    settings = _settings(tmp_path, "FROM alpine:3")

    assert settings == {"unqualified-search-registries": ["docker.io"]}


def test_registries_without_tls(tmp_path: Path) -> None:
    """Those of this machine, and those that services.yaml names; others keep their TLS."""
    settings = _settings(
        tmp_path,
        "FROM localhost:5000/base:1\nARG FROM\nFROM ${FROM}\nCOPY --from=notlocalhost:1/a b c",
        plain=("registry.local:5001",),
        target=parse_reference("127.0.0.1:5002/app:1"),
        contexts={"a": parse_reference("localhost:5003/a:1"), "b": tmp_path},
        arguments={"FROM": "[::1]:5004/other:1", "URL": "http://localhost:8080/x"},
        cache=parse_reference("registry.example.com/app:cache"),
    )

    assert _insecure(settings) == [
        *("127.0.0.1:5002", "localhost:5003", "registry.local:5001", "localhost:5000"),
        *("[::1]:5004", "localhost:8080"),
    ]


def test_what_the_machine_says_goes_on(tmp_path: Path) -> None:
    """Mirrors, its own search list, and what it says of the same registry."""
    machine = (
        'unqualified-search-registries = ["mirror.example.com"]\n'
        '[[registry]]\nlocation = "localhost:5000"\nblocked = true\n'
    )
    settings = _settings(tmp_path, "FROM localhost:5000/base", machine=machine)

    assert settings["unqualified-search-registries"] == ["mirror.example.com"]
    assert settings["registry"] == [{"location": "localhost:5000", "blocked": True}]


def test_credentials_of_docker(tmp_path: Path) -> None:
    """A folder that was chosen for Docker's settings holds; a file that was chosen wins."""
    assert auth_file({}) == {}
    assert auth_file({"DOCKER_CONFIG": str(tmp_path)}) == {
        "REGISTRY_AUTH_FILE": str(tmp_path / "config.json")
    }
    assert auth_file({"DOCKER_CONFIG": str(tmp_path), "REGISTRY_AUTH_FILE": "/run/auth"}) == {}
