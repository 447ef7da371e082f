"""Slots taken down on a real cluster: interrupted anywhere, held up, foreign, and by gc."""

from __future__ import annotations

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.accounts import kubeconfig_with_rights
from tests.support.deploys import config_map, service
from tests.support.faults import Faults
from tests.support.shell import BIN, clean_environment, run, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

REPO = "org/shop"
_HOOK = """\
echo done >>"destroyed-$CODEXCTL_SLOT"
if [ -e "die-$CODEXCTL_SLOT" ]; then rm "die-$CODEXCTL_SLOT"; kill -KILL "$PPID"; sleep 9; fi
"""


@dataclass
class Project:
    """A stack with slots: two objects, a hook, a data directory; records in the playground."""

    playground: Playground
    folder: Path
    name: str

    @property
    def data(self) -> Path:
        """Where data directories are."""
        return self.folder / "data"

    def namespace(self, slot: int) -> str:
        """Return the namespace of a slot."""
        return f"{self.name}-dev-{slot}"

    def write(self) -> None:
        """Write the stack."""
        self.data.mkdir()
        (self.folder / "app.yaml").write_text(
            yaml.safe_dump_all([config_map("web"), service("web")])
        )
        data = {"name": "data", "use": "codex.ensure-data-dirs"}
        hooks = {"beforeDestroy": [{"name": "note", "run": _HOOK}]}
        stack = {
            "project": self.name,
            "state": {"configmapNamespace": self.playground.namespace, "configmapPrefix": "slot-"},
            "dataPaths": {"root": str(self.data), "dirs": ["postgres"]},
            "hooks": {"beforeAll": [{**data, "when": '{{ eq .Env "ai" }}'}]},
            "services": [{"name": "web", "manifests": [{"path": "app.yaml"}], "hooks": hooks}],
        }
        (self.folder / "services.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))

    def codexctl(
        self, *arguments: str, kubeconfig: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a task in the folder of the stack."""
        return run(*arguments, cwd=self.folder, env=self._environ(kubeconfig, env))

    def start(self, *arguments: str, kubeconfig: str = "") -> subprocess.Popen[str]:
        """Start a task in the folder of the stack."""
        return subprocess.Popen(
            [BIN / "codexctl", *arguments],
            cwd=self.folder,
            env=clean_environment(**self._environ(kubeconfig, {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _environ(self, kubeconfig: str, env: dict[str, str]) -> dict[str, str]:
        found = {**self.playground.environment, "CODEXCTL_REPO": REPO, **env}
        return {**found, "KUBECONFIG": kubeconfig} if kubeconfig else found

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """Run kubectl; no namespace is added."""
        return run_kubectl(self.playground.environment, *arguments, given=given, check=check)

    def record(self, *slots: int, **fields: str) -> None:
        """Write the records of slots, without an Issue unless one is given."""
        usual = {"env": "ai", "project": self.name, "repo": REPO, "state": "ready"}
        bodies = [
            config_map(
                f"slot-{slot}",
                {
                    **usual,
                    "slot": str(slot),
                    "namespace": self.namespace(slot),
                    "used": _time(hours=-2),
                    **fields,
                },
            )
            for slot in slots
        ]
        place = ("--namespace", self.playground.namespace)
        given = yaml.safe_dump_all(bodies)
        self.kubectl(*place, "apply", "--filename", "-", given=given)

    def deploy(self, slot: int) -> None:
        """Deploy the environment of a slot."""
        done = self.codexctl("apply", "--env", "ai", "--slot", str(slot))
        assert done.returncode == 0, done.stderr
        (self.data / "slots" / str(slot) / "postgres" / "base").write_text("rows")

    @property
    def slots(self) -> set[int]:
        """Numbers of slots that have a record."""
        place = ("--namespace", self.playground.namespace)
        names = self.kubectl(*place, "get", "configmaps", "--output", "name").split()
        return {int(n.partition("slot-")[2]) for n in names if "/slot-" in n}

    @property
    def namespaces(self) -> set[str]:
        """Namespaces with the name pattern of the slots, also those on their way out."""
        names = self.kubectl("get", "namespaces", "--output", "name").split()
        return {n.partition("/")[2] for n in names if n.startswith(f"namespace/{self.name}-")}

    @property
    def kept_data(self) -> set[str]:
        """Which slots have a folder for data."""
        folder = self.data / "slots"
        return {each.name for each in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def project(playground: Playground, tmp_path: Path) -> Iterator[Project]:
    """Give a stack with slots; what is left of them is removed afterwards."""
    folder = tmp_path / "project"
    folder.mkdir()
    found = Project(playground, folder, playground.namespace.replace("test", "shop"))
    found.write()
    found.kubectl("create", "namespace", playground.namespace)
    yield found
    if left := found.namespaces:
        found.kubectl("delete", "namespace", *left, "--wait=false")


def _time(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Death:
    """When a cleanup is killed: as it sends this request, or in its hook."""

    title: str
    method: str = ""
    """Empty: in its hook."""
    path: str = ""
    skip: int = 0
    is_done: bool = True
    """The server still gets the request."""


_RECORD = r"/configmaps/slot-"
DEATHS = (
    Death("before anything", "PUT", _RECORD, is_done=False),
    Death("as releasing", "PUT", _RECORD, skip=1),
    Death("in the hook"),
    Death("with the inventory", "DELETE", r"/configmaps/codexctl-"),
    Death("before the namespace", "DELETE", r"/namespaces/[^/]+$", is_done=False),
    Death("with the namespace", "DELETE", r"/namespaces/[^/]+$"),
    Death("before the record", "DELETE", _RECORD, is_done=False),
    Death("with the record", "DELETE", _RECORD),
)


def _killed(project: Project, slot: int, death: Death, folder: Path) -> str:
    """Let a cleanup die; return what it wrote."""
    if not death.method:
        (project.folder / f"die-{slot}").touch()
    processes: list[subprocess.Popen[str]] = []

    def act(handler: Any, body: bytes) -> None:
        if death.is_done:
            handler.pass_on(body, share=0.0)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        handler.pass_on(body, share=None)

    with Faults(project.playground.environment["KUBECONFIG"]) as faults:
        if death.method:
            faults.plan(act, method=death.method, path=death.path, skip=death.skip)
        file = str(faults.kubeconfig(folder / f"faults-{slot}.conf"))
        processes.append(project.start("cleanup", "--slot", str(slot), kubeconfig=file))
        shown, _ = processes[0].communicate(timeout=120)
    assert processes[0].returncode == -signal.SIGKILL, f"{death.title}: {shown}"
    return shown


def test_a_cleanup_that_dies_anywhere_is_finished_by_the_next(
    project: Project, tmp_path: Path
) -> None:
    """Whatever was done before: nothing of the slot is left, and all of the slot beside it."""
    bystander = len(DEATHS) + 1
    project.record(*range(1, bystander + 1))

    def play(slot: int) -> subprocess.CompletedProcess[str]:
        project.deploy(slot)
        if slot == bystander:
            return subprocess.CompletedProcess((), 0)
        _killed(project, slot, DEATHS[slot - 1], tmp_path)
        return project.codexctl("cleanup", "--slot", str(slot))

    with ThreadPoolExecutor(bystander) as pool:  # they wait more than they work
        repeated = list(pool.map(play, range(1, bystander + 1)))

    broken = {DEATHS[n].title: each.stderr for n, each in enumerate(repeated) if each.returncode}
    assert not broken
    assert project.slots == {bystander}
    assert project.namespaces == {project.namespace(bystander)}
    assert project.kept_data == {str(bystander)}
    hooks = {path.name for path in project.folder.glob("destroyed-*")}
    assert hooks == {f"destroyed-{slot}" for slot in range(1, bystander)}


def test_what_a_finalizer_holds_is_named_and_found_again(project: Project) -> None:
    """Exit code 70 in bounded time names object and finalizer; the record stays for the next."""
    project.record(3, issue="12")
    project.deploy(3)
    place = ("--namespace", project.namespace(3))
    held = config_map("held", finalizers=["example.com/held"])
    project.kubectl(*place, "create", "--filename", "-", given=json.dumps(held))

    stuck = project.codexctl("cleanup", "--issue", "12", "--wait-timeout", "9s")

    assert stuck.returncode == 70
    assert (
        f"Namespace {project.namespace(3)}: is still being deleted: "
        "ConfigMap held is held by finalizer example.com/held" in stuck.stderr
    )
    assert project.slots == {3}
    assert project.kept_data == {"3"}
    removal = '{"metadata":{"finalizers":null}}'
    project.kubectl(*place, "patch", "configmap", "held", "--type=merge", "--patch", removal)
    rest = project.codexctl("cleanup", "--issue", "12")
    assert rest.returncode == 0, rest.stderr
    assert (project.slots, project.namespaces, project.kept_data) == (set(), set(), set())


def test_a_foreign_namespace_is_never_touched(project: Project) -> None:
    """It has the name of a slot's; neither cleanup nor gc changes anything in it."""
    foreign = project.namespace(3)
    project.kubectl("create", "namespace", foreign)
    project.kubectl("--namespace", foreign, "create", "configmap", "web")
    project.record(3)

    cleaned = project.codexctl("cleanup", "--slot", "3")
    collected = project.codexctl("gc", "--delete", "--ttl", "1s", "--grace", "0s")

    assert (cleaned.returncode, collected.returncode) == (0, 0), cleaned.stderr + collected.stderr
    assert f"Namespace {foreign} is kept: it does not have the labels" in cleaned.stderr
    assert project.slots == set()
    names = project.kubectl("--namespace", foreign, "get", "configmaps", "--output", "name")
    assert "configmap/web" in names.split()
    status = project.kubectl("get", "namespace", foreign, "--output", "jsonpath={.status.phase}")
    assert status == "Active"


def test_a_slot_that_another_run_holds_is_refused(project: Project) -> None:
    """One line names the run, and nothing was done."""
    run_page = "https://github.com/org/shop/actions/runs/7"
    project.record(3, holder=run_page, **{"lease-until": _time(minutes=10)})
    project.deploy(3)

    refused = project.codexctl("cleanup", "--slot", "3")

    assert refused.returncode == 70
    assert run_page in refused.stderr
    assert project.slots == {3}
    assert project.namespaces == {project.namespace(3)}
    assert not list(project.folder.glob("destroyed-*"))


def test_gc_removes_what_is_over_and_only_that(project: Project) -> None:
    """Too old, never made ready, without its record; what is in use, or made by hand, stays."""
    project.record(1)
    project.deploy(1)
    project.record(2, used=_time(days=-8))
    project.record(3, state="allocated", holder="x@y", **{"lease-until": _time(hours=-2)})
    project.deploy(4)
    project.deploy(5)  # by hand: it never had a record
    lost = f"codexctl/records={project.playground.namespace}.slot"
    project.kubectl("label", "namespace", project.namespace(4), lost)

    told = project.codexctl("gc", "--output", "json")
    before = (project.slots, project.namespaces)
    done = project.codexctl("gc", "--delete")

    assert told.returncode == 0, told.stderr
    outcomes = {each["slot"]: each["outcome"] for each in json.loads(told.stdout)["slots"]}
    goes = "would be removed"
    assert outcomes == {1: "stays", 2: goes, 3: goes, 4: goes, 5: "stays"}
    assert before == ({1, 2, 3}, {project.namespace(slot) for slot in (1, 4, 5)})
    assert done.returncode == 0, done.stderr
    assert (project.slots, project.namespaces) == (
        {1},
        {project.namespace(1), project.namespace(5)},
    )
    assert project.kept_data == {"1", "5"}


def test_an_account_without_rights_is_told_so_in_one_line(project: Project, tmp_path: Path) -> None:
    """It may read the records and no namespaces: exit code 4, and nothing was changed."""
    project.record(3)
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "update"]}]
    file = kubeconfig_with_rights(project.playground, "reader", tmp_path, rules)
    record = ("--namespace", project.playground.namespace, "get", "configmap", "slot-3")
    before = project.kubectl(*record, "--output", "yaml")

    for task in (("cleanup", "--slot", "3"), ("gc", "--delete")):
        refused = project.codexctl(*task, kubeconfig=file)
        assert refused.returncode == 4
        errors = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "namespaces" in errors[0]
    assert project.kubectl(*record, "--output", "yaml") == before
