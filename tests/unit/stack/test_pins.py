"""Pins: a deploy runs exactly what was built, whoever moves the tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.flows.images import write_pins
from codexctl_tasks.references import parse_reference
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.manifests import read_manifests
from codexctl_tasks.stack.pins import pinned, read_pins
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "a" * 64
WEB = parse_reference("localhost:5000/web:1.2")
REDIS = parse_reference("redis")


def containers(text: str) -> list[Any]:
    """Return the images of the pinned containers of a pod template."""
    spec = f"spec: {{template: {{spec: {text}}}}}"
    [document] = read_documents(yaml_of("Deployment", "web", spec), "web.yaml")
    [manifest] = read_manifests([document])
    [found], _ = pinned([manifest], {WEB: DIGEST, REDIS.with_tag("latest"): DIGEST})
    pod = found.body["spec"]["template"]["spec"]
    return [each.get("image") for key in pod for each in pod[key]]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("localhost:5000/web:1.2", f"localhost:5000/web@{DIGEST}"),
        ("redis", f"docker.io/library/redis@{DIGEST}"),
        ("docker.io/library/redis:latest", f"docker.io/library/redis@{DIGEST}"),
        ("localhost:5000/web:1.3", "localhost:5000/web:1.3"),
        ("localhost:5000/web", "localhost:5000/web"),
        (f"localhost:5000/web:1.2@sha256:{'b' * 64}", f"localhost:5000/web:1.2@sha256:{'b' * 64}"),
        ("NO IMAGE", "NO IMAGE"),
    ],
)
def test_what_is_pinned(image: str, expected: str) -> None:
    """However a reference is spelt; who names a digest already has chosen."""
    assert containers(f'{{containers: [{{name: a, image: "{image}"}}]}}') == [expected]


def test_all_kinds_of_containers() -> None:
    """Init containers as well; a container without image is left to the server."""
    text = (
        "{initContainers: [{name: a, image: redis}],"
        " containers: [{name: b}, {name: c, image: redis}]}"
    )

    pinned_redis = f"docker.io/library/redis@{DIGEST}"
    assert containers(text) == [pinned_redis, None, pinned_redis]


def test_other_keys_are_left_alone() -> None:
    """A value that only looks like an image is none."""
    [document] = read_documents(yaml_of("ConfigMap", "a", "data: {image: redis}"), "a.yaml")
    manifests = list(read_manifests([document]))

    found, used = pinned(manifests, {REDIS.with_tag("latest"): DIGEST})

    assert (found, used) == (manifests, set())


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """JSON that people can read."""
    file = tmp_path / "pins.json"
    write_pins(file, {WEB: DIGEST})

    assert read_pins(file) == {WEB: DIGEST}
    assert '"localhost:5000/web:1.2": "sha256:aaaa' in file.read_text()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "does not exist: run images --pin first"),
        ("{", "is no JSON: let images --pin write it anew"),
        ("[]", "holds no pins of version 1"),
        ('{"version": 2, "images": {}}', "holds no pins of version 1"),
        ('{"version": 1, "images": {"a": "b"}}', "a has no digest"),
        (f'{{"version": 1, "images": {{"A B": "{DIGEST}"}}}}', "'A B' is no reference"),
    ],
)
def test_what_is_no_file_of_pins(tmp_path: Path, text: str | None, line: str) -> None:
    """One line that says how to mend it."""
    file = tmp_path / "pins.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigurationError, match=line):
        read_pins(file)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """All of it or nothing: half a file would deploy half of the images by tag."""
    file = tmp_path / "pins.json"
    write_pins(file, {WEB: DIGEST})
    file.rename(tmp_path / "old")
    file.mkdir()

    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        write_pins(file, {WEB: DIGEST})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "pins.json"]
