"""Old images are removed from a real registry; what is kept can be pulled as before."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.flows.gc_images import gc_images
from codexctl_tasks.settings import gc_images_request
from tests.support.fake_registry import WorkloadCluster, pod_spec
from tests.support.fakes import FakeClock, fake_outside
from tests.support.images import Pusher, layer
from tests.support.registries import registry
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from pathlib import Path

OLD = "2026-01-01T00:00:00Z"
NAME = "shop/api"


@dataclass
class Yard:
    """A stack with one image, its repository, and a cluster."""

    host: str
    cluster: WorkloadCluster = field(default_factory=WorkloadCluster)
    stream: StringIO = field(default_factory=StringIO)

    def __post_init__(self) -> None:
        self.pusher = Pusher(self.host)

    @property
    def tags(self) -> list[str]:
        """Tags that lead to something."""
        answer = self.pusher.request("GET", f"/v2/{NAME}/tags/list")[2]
        listed = json.loads(answer).get("tags") or []
        return sorted(tag for tag in listed if self.has(tag))

    def has(self, name: str) -> bool:
        """Tell whether a tag or digest leads to a manifest."""
        return self.pusher.request("HEAD", f"/v2/{NAME}/manifests/{name}")[0] == 200

    def push(self, tag: str, **more: Any) -> dict[str, Any]:
        """Push an old image with a layer that all share and one of its own."""
        layers = [layer("base", 5000), layer(f"app {tag} {more}", 3000)]
        return self.pusher.image(NAME, tag, layers, created=OLD, **more)

    def collect(self, folder: Path, **given: Any) -> int:
        """Run the task in a folder of its own; nothing stays for its age or number."""
        (folder / "services.yaml").write_text(
            f"project: shop\nimages: {{api: {{type: external, from: redis, "
            f"local: '{self.host}/{NAME}:desired'}}}}\n"
        )
        outside = fake_outside(self.cluster, FakeClock(), self.stream)
        config = str(folder / "services.yaml")
        return gc_images(gc_images_request(config=config, keep="0", **given), outside)


def _retag(yard: Yard, digest: str, tag: str) -> None:
    _, headers, raw = yard.pusher.request("GET", f"/v2/{NAME}/manifests/{digest}")
    path = f"/v2/{NAME}/manifests/{tag}"
    assert yard.pusher.request("PUT", path, raw, headers["Content-Type"])[0] == 201


def _fill(yard: Yard) -> dict[str, str]:
    """Push images of all sorts; return digests by what they are."""
    for tag in ("1", "2", "3", "desired", "v1"):
        yard.push(tag)
    shared = yard.push("", platform="linux/arm64")
    only = yard.push("1-amd64")
    statement = yard.pusher.attestation(NAME, only["digest"])
    yard.pusher.index(NAME, "multi-old", [shared, only, statement])
    used = yard.push("")
    yard.pusher.index(NAME, "multi-used", [shared, used])
    docker = yard.push("docker", docker=True)
    _retag(yard, docker["digest"], "c-0123")
    signed = docker["digest"].replace(":", "-")
    yard.push(f"{signed}.sig")
    yard.cluster.add("ReplicaSet", "api-1", spec=pod_spec(f"registry.shop.svc:5000/{NAME}:2"))
    running = {"containerStatuses": [{"imageID": f"docker.io/other/name@{used['digest']}"}]}
    yard.cluster.add("Pod", "multi-1", status=running)
    parts = {"shared": shared, "only": only, "statement": statement, "used": used}
    return {name: entry["digest"] for name, entry in parts.items()}


def test_a_real_registry(tmp_path: Path) -> None:
    """What nobody needs is gone, with parts and signatures; what stays is whole, also after GC."""
    with registry(tmp_path / "registry") as running:
        yard = Yard(running.host)
        digests = _fill(yard)
        before = yard.tags

        assert yard.collect(tmp_path) == 0
        assert yard.tags == before

        assert yard.collect(tmp_path, delete=True) == 0
        assert yard.tags == ["2", "desired", "multi-used", "v1"]
        parts = {name: yard.has(digest) for name, digest in digests.items()}
        assert parts == {"shared": True, "only": False, "statement": False, "used": True}
        assert "DONE  6 images with 7 tags deleted" in yard.stream.getvalue()

    size = _size(tmp_path / "registry" / "data")
    config = tmp_path / "registry" / "config.yml"
    command = ["docker-registry", "garbage-collect", config]
    subprocess.run(command, check=True, capture_output=True, timeout=QUICK_S)
    assert _size(tmp_path / "registry" / "data") < size - 5 * 3000

    with registry(tmp_path / "registry") as running:
        yard.host = yard.pusher.host = running.host
        assert yard.tags == ["2", "desired", "multi-used", "v1"]
        for tag in yard.tags:
            _assert_whole(yard, tag)


def test_a_registry_without_deletion(tmp_path: Path) -> None:
    """One line that says what to set in it; exit code 4."""
    with registry(tmp_path / "registry", deletes=False) as running:
        yard = Yard(running.host)
        yard.push("1")
        yard.push("2")

        assert yard.collect(tmp_path, delete=True) == 4

        assert yard.tags == ["1", "2"]
        [error] = [line for line in yard.stream.getvalue().splitlines() if "error: " in line]
        assert error == (
            f"error: {running.host}: this registry does not allow to delete: "
            "set storage.delete.enabled: true in its configuration and start it anew"
        )


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Both end well, whoever of them deletes what."""
    with registry(tmp_path / "registry") as running:
        yards = [Yard(running.host), Yard(running.host)]
        for number in range(12):
            yards[0].push(str(number))
        codes: list[int] = []
        folders = [tmp_path / "a", tmp_path / "b"]
        for folder in folders:
            folder.mkdir()
        threads = [
            threading.Thread(
                target=lambda y=yard, f=folder: codes.append(y.collect(f, delete=True)),
                daemon=True,
            )
            for yard, folder in zip(yards, folders, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(QUICK_S)

        assert codes == [0, 0]
        assert yards[0].tags == []


@pytest.mark.parametrize("host", ["127.0.0.1:1"])
def test_a_registry_that_is_away(tmp_path: Path, host: str) -> None:
    """Exit code 4 with its name."""
    yard = Yard(host)

    assert yard.collect(tmp_path, delete=True) == 4
    assert f"error: {host}" in yard.stream.getvalue()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _assert_whole(yard: Yard, name: str) -> None:
    """Read everything that an image consists of."""
    status, _, raw = yard.pusher.request("GET", f"/v2/{NAME}/manifests/{name}")
    assert status == 200
    content = json.loads(raw)
    for part in content.get("manifests", ()):
        _assert_whole(yard, part["digest"])
    for blob in (content["config"], *content["layers"]) if "config" in content else ():
        assert yard.pusher.request("GET", f"/v2/{NAME}/blobs/{blob['digest']}")[0] == 200
