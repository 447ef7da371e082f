"""Old images are removed while a cluster runs: what it needs, or may need again, stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.registry import CONFIG, Registry, digest_of
from tests.support import output_schema
from tests.support.accounts import kubeconfig_for, kubeconfig_of
from tests.support.images import Pusher
from tests.support.shell import run

if TYPE_CHECKING:
    import subprocess

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

OLD = "2026-01-01T00:00:00Z"
RULES = ("--keep", "0", "--younger-than", "0", "--protect", "v1")


class Yard:
    """A stack whose image is in a repository that only this test knows."""

    def __init__(self, playground: Playground, **production: str) -> None:
        self.playground = playground
        self.host, self.base = playground.image.split("/")
        self.repository = f"{playground.namespace}/app"
        self.pusher = Pusher(self.host)
        stack = {
            "project": "shop",
            "environments": {"staging": {}, "production": production},
            "images": {
                "app": {"type": "external", "from": "redis:7", "local": self.reference("desired")}
            },
        }
        folder = playground.folder.parent / "stack"
        folder.mkdir()
        self.config = folder / "services.yaml"
        self.config.write_text(yaml.safe_dump(stack))

    def reference(self, tag: str) -> str:
        """Return how pods name an image."""
        return f"{self.host}/{self.repository}:{tag}"

    def push(self, *tags: str) -> str:
        """Push an old image for each tag, which can run; return the digest of the last."""
        digest = ""
        with Registry(self.host) as registry:
            name, _, tag = self.base.partition(":")
            manifest = registry.find_manifest(name, tag)
            assert manifest is not None
            for layer in manifest["layers"]:
                registry.mount_blob(self.repository, layer["digest"], name)
            config = json.loads(registry.read_blob(name, manifest["config"]["digest"]))
            for each in tags:
                data = json.dumps({**config, "created": OLD, "author": each}).encode()
                registry.push_blob(self.repository, digest_of(data), data, len(data))
                entry = {"mediaType": CONFIG, "digest": digest_of(data), "size": len(data)}
                whole = {**manifest, "config": entry}
                digest = registry.push_manifest(self.repository, each, whole)
        return digest

    @property
    def tags(self) -> list[str]:
        """The tags that are left."""
        return self.pusher.tags(self.repository)

    def collect(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run the task."""
        arguments = ("gc-images", "--config", self.config, *RULES, *flags)
        place = self.playground
        return run(*arguments, cwd=place.folder, env=place.environment)

    def deploy(self, image: str) -> None:
        """Let a Deployment run an image that the node pulls anew each time."""
        web = self.playground.workload("web", image=image, imagePullPolicy="Always")
        self.playground.write(web)
        done = self.playground.codexctl("apply-wait")
        assert done.returncode == 0, done.stderr


def test_what_a_cluster_uses_stays(playground: Playground) -> None:
    """A pod's image, by tag and by digest, and that of a rollback; the rest goes."""
    yard = Yard(playground)
    yard.push("1", "2", "4", "5", "v1", "desired")
    exact = yard.push("3")
    yard.deploy(yard.reference("1"))
    yard.deploy(yard.reference("2"))
    playground.write(
        _pod("exact", f"{yard.host}/{yard.repository}@{exact}"),
        _job("nightly", yard.reference("4")),
        file="more.yaml",
    )
    assert playground.codexctl("apply").returncode == 0

    told = yard.collect("--output", "json")
    document = json.loads(told.stdout)
    output_schema.check(document, "gc-images")
    assert told.returncode == 0, told.stderr
    [repository] = document["repositories"]
    outcomes = {image["tags"][0]["name"]: image["outcome"] for image in repository["images"]}
    assert [tag for tag, outcome in outcomes.items() if outcome == "would be deleted"] == ["5"]
    assert len(yard.tags) == 7

    done = yard.collect("--delete")
    assert done.returncode == 0, done.stderr
    assert yard.tags == ["1", "2", "3", "4", "desired", "v1"]
    place = playground.namespace
    assert f"keep    3        used by Pod {place}/exact of " in done.stderr
    assert f"keep    4        used by CronJob {place}/nightly of " in done.stderr
    assert f"keep    1        used by ReplicaSet {place}/web-" in done.stderr

    yard.deploy(yard.reference("1"))  # the node pulls it again


def test_a_cluster_that_cannot_be_reached(playground: Playground) -> None:
    """What runs there is not known: nothing is deleted, exit code 4."""
    yard = Yard(playground, kubeconfig="away.yaml")
    kubeconfig_for(playground, yard.config.parent / "away.yaml", server="https://127.0.0.1:1")
    yard.push("1")

    done = yard.collect("--delete")

    assert done.returncode == 4
    assert "therefore nothing is deleted" in done.stderr
    assert yard.tags == ["1"]


def test_an_account_that_may_not_read_everything(playground: Playground) -> None:
    """Rights in one namespace are not enough; the line says which are missing."""
    yard = Yard(playground)
    yard.push("1")
    playground.write({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    assert playground.codexctl("apply").returncode == 0
    kubeconfig = kubeconfig_of(playground, "reader", yard.config.parent)

    done = yard.collect("--delete", "--kubeconfig", kubeconfig)

    assert done.returncode == 4
    assert "may not be listed" in done.stderr
    assert "in all namespaces" in done.stderr
    assert yard.tags == ["1"]


def _pod(name: str, image: str) -> dict[str, Any]:
    container = {"name": "app", "image": image, "command": ["sleep", "100000"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _job(name: str, image: str) -> dict[str, Any]:
    container = {"name": "app", "image": image, "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    job = {"spec": {"template": {"spec": pod}}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": job}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}
