"""``ensure-ready`` on a real cluster: first, again, changed, broken, interrupted, two at once."""

from __future__ import annotations

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploys import config_map
from tests.support.shell import BIN, clean_environment, run, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess, Popen

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

REPO = "org/shop"
NOTE = """\
echo "$CODEXCTL_HOOK" >>"hooks-$CODEXCTL_SLOT"
if [ "$(wc -l <"hooks-$CODEXCTL_SLOT")" = "$(cat "die-$CODEXCTL_SLOT" 2>/dev/null)" ]; then
  rm "die-$CODEXCTL_SLOT"; kill -KILL "$PPID"; sleep 1
fi
"""
SERVES = "test -e /src/app.txt && sleep 100000"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "workspace"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
PATIENCE_S = 120.0


@dataclass
class Shop:
    """A stack with a workspace, a ConfigMap and a Deployment; records in the playground."""

    playground: Playground
    folder: Path
    files: Path
    """Outputs of steps and the like, which are no sources."""
    started: list[Popen[str]] = field(repr=False)

    @property
    def name(self) -> str:
        """The project."""
        return self.playground.namespace

    def namespace(self, slot: int) -> str:
        """Return the namespace of a slot."""
        return f"{self.name}-dev-{slot}"

    def write(self, script: str = SERVES, **more: Any) -> None:
        """Write the stack; *script* is what the Deployment runs."""
        web = self.playground.workload("web", script)
        pod = web["spec"]["template"]["spec"]
        pod["containers"][0]["volumeMounts"] = [
            {"name": "src", "mountPath": "/src", "subPath": self.name, "readOnly": True}
        ]
        pod["volumes"] = [{"name": "src", "persistentVolumeClaim": {"claimName": "workspace"}}]
        self._write("web.yaml", web)
        self._write("agent.yaml", CLAIM)
        self._write(
            "settings.yaml", config_map("settings", {"a": "1"}, namespace="{{ .Namespace }}")
        )
        note = {"name": "note", "run": f"cd '{self.files}'\n{NOTE}"}
        stack = {
            "project": self.name,
            "maxSlots": 5,
            "namespace": {"patterns": {"ai": f"{self.name}-dev-{{{{ .Slot }}}}"}},
            "environments": {"ai": {"slotBootstrapInfra": ["settings"]}},
            "state": {"configmapNamespace": self.name, "configmapPrefix": "slot-"},
            "hooks": {"beforeAll": [note], "afterAll": [note]},
            "infrastructure": [{"name": "settings", "manifests": [{"path": "settings.yaml"}]}],
            "services": [
                {"name": "web", "manifests": [{"path": "web.yaml"}]},
                {"name": "agent", "manifests": [{"path": "agent.yaml"}]},
            ],
            **more,
        }
        self._write("services.yaml", stack)

    def _write(self, name: str, body: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(body, sort_keys=False))

    def take(self, issue: int = 12) -> int:
        """Take a slot; return its number."""
        done = self.codexctl("ensure-slot", "--issue", str(issue), "--output", "json")
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["slots"][0]["slot"])

    def ready(self, slot: int, *flags: str, **env: str) -> CompletedProcess[str]:
        """Make a slot ready."""
        return self.codexctl("ensure-ready", "--slot", str(slot), *flags, **env)

    def told(self, slot: int, *flags: str) -> dict[str, Any]:
        """Make a slot ready, which has to succeed; return what programs are told."""
        done = self.ready(slot, "--output", "json", *flags)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return {key: found[key] for key in ("infraReady", "created", "recreated")}

    def codexctl(self, *words: str, **env: str) -> CompletedProcess[str]:
        """Run a task as a step of a workflow does."""
        return run(*words, cwd=self.folder, env=self._environ(env))

    def start(self, *words: str, **env: str) -> Popen[str]:
        """Start a task and return at once."""
        process = subprocess.Popen(
            [BIN / "codexctl", *words],
            cwd=self.folder,
            env=clean_environment(**self._environ(env)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def _environ(self, env: dict[str, str]) -> dict[str, str]:
        step = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": REPO, "GITHUB_RUN_ID": "1"}
        return {**self.playground.environment, **step, **env}

    def kubectl(self, *words: str) -> str:
        """Ask the cluster with an independent program."""
        return run_kubectl(self.playground.environment, *words)

    def content(self, slot: int) -> str:
        """Return what a pod of the slot sees of the sources."""
        pod = ("exec", "deployment/web", "--", "cat", "/src/app.txt")
        return self.kubectl("--namespace", self.namespace(slot), *pod)

    def versions(self, slot: int) -> dict[str, str]:
        """Return generation and content of what was deployed, by name."""
        place = ("--namespace", self.namespace(slot))
        kinds = "deployments,configmaps,persistentvolumeclaims"
        found = json.loads(self.kubectl(*place, "get", kinds, "--output", "json"))["items"]
        return {
            f"{each['kind']} {each['metadata']['name']}": each["metadata"]["resourceVersion"]
            for each in found
        }

    def state(self, slot: int) -> str:
        """Return what the record says."""
        place = ("--namespace", self.name, "get", "configmap", f"slot-{slot}")
        return self.kubectl(*place, "--output", "jsonpath={.data.state}")

    def hooks(self, slot: int) -> list[str]:
        """Return which hooks have run."""
        path = self.files / f"hooks-{slot}"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def shop(playground: Playground, tmp_path: Path, started: list[Popen[str]]) -> Iterator[Shop]:
    """Give a stack; its slots are removed afterwards."""
    files = tmp_path / "files"
    files.mkdir()
    place = Shop(playground, playground.folder, files, started)
    (place.folder / "app.txt").write_text("first")
    place.write()
    yield place
    names = [place.namespace(slot) for slot in range(1, 6)]
    place.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


ROUND = ["beforeAll", "afterAll"]


def test_from_the_first_time_to_a_change(shop: Shop) -> None:
    """Sources before the pods that need them; then nothing; then what has changed."""
    slot = shop.take()

    assert shop.told(slot) == {"infraReady": True, "created": True, "recreated": False}
    assert (shop.content(slot), shop.state(slot)) == ("first", "ready")
    where = "jsonpath={.metadata.labels.codexctl/records}"
    assert shop.kubectl("get", "namespace", shop.namespace(slot), "-o", where) != ""
    assert shop.hooks(slot) == ROUND * 2  # of the foundation, and of all
    before = shop.versions(slot)

    assert shop.told(slot) == {"infraReady": True, "created": False, "recreated": False}
    assert shop.hooks(slot) == ROUND * 2
    assert shop.versions(slot) == before

    (shop.folder / "app.txt").write_text("second")
    shop.told(slot)
    assert shop.content(slot) == "second"
    assert shop.hooks(slot) == ROUND * 3

    shop.kubectl("--namespace", shop.namespace(slot), "delete", "deployment", "web")
    shop.told(slot)
    assert shop.content(slot) == "second"

    shop.kubectl("delete", "namespace", shop.namespace(slot))
    assert shop.told(slot) == {"infraReady": True, "created": False, "recreated": True}
    assert shop.content(slot) == "second"


def test_an_environment_that_does_not_get_healthy(shop: Shop) -> None:
    """It may be allowed, and is told; images that cannot be had are never hidden by that."""
    slot, outputs, soon = shop.take(), shop.files / "outputs", ("--wait-timeout", "10s")
    shop.write("exit 1")

    assert shop.ready(slot, *soon).returncode == 70
    allowed = shop.ready(slot, *soon, "--allow-unhealthy", GITHUB_OUTPUT=str(outputs))
    assert (allowed.returncode, shop.state(slot)) == (0, "unhealthy")
    told = dict(zip(*[iter(_values(outputs.read_text()))] * 2, strict=True))
    assert (told["infra-ready"], told["infra-unhealthy"]) == ("false", "true")

    lost = "localhost:1/none:1"
    shop.write("exit 1", images={"none": {"type": "external", "from": lost, "local": f"{lost}2"}})
    failed = shop.ready(slot, "--allow-unhealthy")
    assert failed.returncode not in (0, 1, 70), failed.stderr

    shop.write()
    assert shop.told(slot)["infraReady"]
    assert shop.state(slot) == "ready"


def _values(text: str) -> Iterator[str]:
    """Yield names and values of outputs with one line each."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        name, mark, end = line.partition("<<")
        if mark and lines[index + 2 : index + 3] == [end]:
            yield from (name, lines[index + 1])


def test_a_run_that_is_killed(shop: Shop) -> None:
    """At the end of the foundation, or in the deploy: repeated, all is there."""
    slots = {shop.take(1): "2", shop.take(2): "3"}
    for slot, moment in slots.items():
        (shop.files / f"die-{slot}").write_text(moment)

    def kill_and_repeat(slot: int) -> tuple[int, int, str]:
        killed, again = shop.ready(slot), shop.ready(slot)
        return killed.returncode, again.returncode, again.stderr

    with ThreadPoolExecutor(2) as threads:
        ended = dict(zip(slots, threads.map(kill_and_repeat, slots), strict=True))

    for slot, (killed, again, said) in ended.items():
        assert (killed, again) == (-signal.SIGKILL, 0), said
        assert (shop.content(slot), shop.state(slot)) == ("first", "ready")


def test_two_runs_on_one_slot(shop: Shop, wait_for_line: Callable[[Popen[str], str], str]) -> None:
    """The second is told who works on it; Ctrl-C ends the first, and it can be repeated."""
    slot = shop.take()
    shop.write("sleep 100000", hooks={})
    manifest = yaml.safe_load((shop.folder / "web.yaml").read_text())
    never = {"exec": {"command": ["false"]}}
    manifest["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = never
    (shop.folder / "web.yaml").write_text(yaml.safe_dump(manifest))
    first = shop.start("ensure-ready", "--slot", str(slot), "--wait-timeout", "10m")
    wait_for_line(first, "Deployment")

    second = shop.ready(slot, "--force", GITHUB_RUN_ID="2")

    assert second.returncode == 70
    assert f"held by https://github.com/{REPO}/actions/runs/1 for" in second.stderr
    assert "codexctl release --force" in second.stderr
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, shop.state(slot)) == (130, "preparing"), said
    shop.write()
    assert shop.told(slot)["infraReady"]
    assert shop.hooks(slot) == ROUND
