"""Slots on a real API server: taken exactly once, by many at once, killed wherever it hurts."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.slots.lease import SlotLease
from codexctl_tasks.slots.record import State
from codexctl_tasks.world.clock import SystemClock
from tests.support.accounts import kubeconfig_with_rights
from tests.support.deploys import kubectl
from tests.support.faults import Faults
from tests.support.shell import BIN, clean_environment, run, run_kubectl
from tests.support.slots import PREFIX, REPO, CountedCluster, Runner, side_by_side

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess, Popen

    from codexctl_tasks.slots.record import Record
    from tests.cluster.conftest import Playground
    from tests.support.control_plane import ControlPlane

pytestmark = pytest.mark.cluster

ALLOCATORS, SLOTS = 100, 40
PATIENCE_S = 90.0
LEASE = ("--slot-lease", "5s")
"""The shortest there is."""


class Office:
    """The slots of a stack in a namespace of its own, and runs of a workflow that take them."""

    def __init__(self, playground: Playground, started: list[Popen[str]]) -> None:
        self.started = started
        self.playground, self.namespace = playground, playground.namespace
        self.kubeconfig = playground.environment["KUBECONFIG"]
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def runner(self, prefix: str = PREFIX) -> Runner:
        """Return a run in this process, with connections of its own."""
        cluster = CountedCluster(self.kubeconfig, self.counts, self._lock)
        return Runner(cluster, self.namespace, prefix)

    def stack(self, *, prefix: str = PREFIX, most: int = 3) -> str:
        """Write a ``services.yaml`` with slots; return its name."""
        stack = {
            "project": "shop",
            "namespace": {"patterns": {"ai": f"{self.namespace}-dev-{{{{ Slot }}}}"}},
            "environments": {"ai": {}},
            "maxSlots": most,
            "state": {"configmapNamespace": self.namespace, "configmapPrefix": prefix},
            "baseDomain": {"ai": "slot-{{ Slot }}.example.com"},
            "codex": {"links": [{"title": "Shop", "path": "/"}]},
            "services": [],
        }
        name = f"{prefix}{most}.yaml"
        (self.playground.folder / name).write_text(yaml.safe_dump(stack, sort_keys=False))
        return name

    def words(self, run_id: int, **more: str) -> dict[str, str]:
        """Return the environment of a step of a workflow run."""
        return {
            **self.playground.environment,
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPO,
            "GITHUB_RUN_ID": str(run_id),
            **more,
        }

    def codexctl(self, run_id: int, *words: str, **env: str) -> CompletedProcess[str]:
        """Run a task as a step of a workflow run does."""
        return run(*words, cwd=self.playground.folder, env=self.words(run_id, **env))

    def start(self, run_id: int, *words: str, **env: str) -> Popen[str]:
        """Start a task and return at once."""
        process = subprocess.Popen(
            [BIN / "codexctl", *words],
            cwd=self.playground.folder,
            env=clean_environment(**self.words(run_id), **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def records(self, prefix: str = PREFIX) -> dict[int, dict[str, str]]:
        """Return what the records say, as an independent program sees them."""
        found = {}
        for each in self.playground.kubectl("get", "configmaps")["items"]:
            name = each["metadata"]["name"]
            if name.startswith(prefix):
                found[int(name.removeprefix(prefix))] = each["data"]
        return found


@pytest.fixture
def office(playground: Playground, started: list[Popen[str]]) -> Office:
    """Give a namespace for records that exists."""
    run_kubectl(playground.environment, "create", "namespace", playground.namespace)
    return Office(playground, started)


# ---- many at once -------------------------------------------------------------------------------


def test_a_hundred_runs_share_forty_slots(office: Office) -> None:
    """Forty get one each, sixty wait and get theirs as slots are freed; nobody shares one."""
    full, free, lock = threading.Event(), threading.Event(), threading.Lock()
    inside: dict[int, int] = {}
    most, served, clashes = [0], list[int](), list[int]()

    def take(number: int) -> None:
        runner = office.runner()
        taken = runner.take(number + 1, f"run {number}", wait_s=PATIENCE_S, most=SLOTS)
        slot = taken.record.slot
        with lock:
            clashes.extend([slot] if slot in inside else [])
            inside[slot] = number
            served.append(number)
            most[0] = max(most[0], len(inside))
            if len(inside) == SLOTS:
                full.set()
        free.wait(PATIENCE_S)
        with lock:
            del inside[slot]
        assert runner.slots.delete(taken.record)

    def look() -> None:
        assert full.wait(PATIENCE_S)
        at_once.update(office.records())
        waiting.append(ALLOCATORS - len(served))
        asked.update(office.counts)
        free.set()

    at_once: dict[int, Any] = {}
    waiting: list[int] = []
    asked: Counter[str] = Counter()
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    failures = side_by_side(ALLOCATORS, take, patience_s=PATIENCE_S)
    looking.join(PATIENCE_S)

    assert failures == []
    assert clashes == []
    assert (most[0], waiting, sorted(served)) == (SLOTS, [ALLOCATORS - SLOTS], list(range(100)))
    assert sorted(at_once) == list(range(1, SLOTS + 1))
    assert len({data["issue"] for data in at_once.values()}) == SLOTS
    assert office.records() == {}
    asked_by_each = {call: count / ALLOCATORS for call, count in office.counts.items()}
    assert asked_by_each["watch"] <= 1, "whoever waits watches, and does not poll"
    assert asked_by_each["list_objects"] <= 10, asked_by_each
    assert asked_by_each["create"] <= 8, asked_by_each
    assert asked_by_each["replace"] == asked_by_each["delete"] == 1


def test_many_events_for_one_issue_get_one_slot(office: Office) -> None:
    """Runs that ask at the same moment end in one slot, also with views of their own."""
    runs, rounds = 8, 12
    for issue in range(1, rounds + 1):
        got: list[Record] = []

        def take(number: int, issue: int = issue, got: list[Record] = got) -> None:
            # Branches differ in maxSlots, so that these runs begin with different numbers.
            try:
                taken = office.runner().take(
                    issue, f"run {number}", wait_s=0, most=20 + 10 * number
                )
            except DeadlineError:
                return
            got.append(taken.record)

        assert side_by_side(runs, take, patience_s=PATIENCE_S) == []
        there = [data for data in office.records().values() if data["issue"] == str(issue)]
        assert [data["slot"] for data in there] == [str(record.slot) for record in got]
        assert len(got) == 1


def test_two_jobs_of_one_run_share_a_slot(office: Office) -> None:
    """Jobs of the same workflow run that ask at once both get it, and nobody waits."""
    got: list[int] = []

    def take(number: int) -> None:
        most = 20 + 10 * number
        got.append(office.runner().take(7, "run 1", wait_s=PATIENCE_S, most=most).record.slot)

    assert side_by_side(6, take, patience_s=PATIENCE_S) == []
    assert len(got) == 6
    assert set(got) == set(office.records())
    assert len(set(got)) == 1


# ---- killed -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What a run of Issue 7 was about to do, or has just done, when it is killed."""

    name: str
    method: str
    skip: int = 0
    after: bool = False
    former: int = 0
    """Issue whose dead run has left a record; 0: the slot is free."""
    left: int = 1
    """Records after the death."""


STEPS = (
    Step("before the list", "GET", left=0),
    Step("before the creation", "POST", left=0),
    Step("after the creation", "POST", after=True),
    Step("before the look for twins", "GET", skip=1),
    Step("before the confirmation", "PUT"),
    Step("after the confirmation", "PUT", after=True),
    Step("before taking over", "PUT", former=9),
    Step("after taking over", "PUT", after=True, former=9),
    Step("before re-entering", "PUT", former=7),
)


def test_a_run_killed_anywhere_loses_nobody_a_slot(office: Office, tmp_path: Path) -> None:
    """After SIGKILL at any step its own Issue and every other one get the slot within a lease."""

    def kill(number: int) -> None:
        step, prefix = STEPS[number], f"k{number}-"
        if step.former:
            office.runner(prefix).take(step.former, "dead", wait_s=0, most=1, lease_s=0)
        _kill_at(office, prefix, step, tmp_path / f"{number}.conf")
        assert len(office.runner(prefix).slots.list().records) == step.left, step

    with ThreadPoolExecutor(3) as at_once:
        list(at_once.map(kill, range(len(STEPS))))
    taken: dict[str, str] = {}

    def inherit(number: int) -> None:
        # Every other heir is another Issue, for which the only slot has to be taken over.
        issue = 7 if number % 2 else 8
        runner = office.runner(f"k{number}-")
        record = runner.take(issue, "heir", wait_s=PATIENCE_S / 3, most=1, lease_s=5).record
        taken[STEPS[number].name] = f"{record.slot} {record.issue}"

    assert side_by_side(len(STEPS), inherit, patience_s=PATIENCE_S) == []
    assert taken == {step.name: f"1 {7 if n % 2 else 8}" for n, step in enumerate(STEPS)}
    records = office.playground.kubectl("get", "configmaps")["items"]
    holders = [
        e["data"]["holder"]
        for e in records
        if e["metadata"]["name"].startswith("k") and "slot" in e["data"]
    ]
    assert holders == ["heir"] * len(STEPS)


def test_a_run_killed_while_it_waits_leaves_nothing(office: Office, tmp_path: Path) -> None:
    """Who waits holds nothing: the next one gets the slot that is freed."""
    runner = office.runner()
    record = runner.take(1, "first", wait_s=0, most=1).record
    with Faults(office.kubeconfig) as faults:
        watching = threading.Event()
        faults.do(watching.set, query="watch=true")
        waiting = _ensure(office, 2, office.stack(most=1), faults, tmp_path / "faults.conf")
        assert watching.wait(PATIENCE_S)
        waiting.send_signal(signal.SIGKILL)
        waiting.communicate()
    assert list(office.records()) == [1]
    assert runner.slots.delete(record)
    assert office.runner().take(3, "third", wait_s=PATIENCE_S, most=1).record.issue == 3


def _kill_at(office: Office, prefix: str, step: Step, kubeconfig: Path) -> None:
    """Let a run be killed at a request: before the server gets it, or after it has answered."""
    with Faults(office.kubeconfig) as faults:
        process: list[Popen[str]] = []
        started = threading.Event()

        def kill(handler: Any, data: bytes) -> None:
            started.wait()
            handler.pass_on(data, share=0.0 if step.after else None)
            process[0].send_signal(signal.SIGKILL)

        match = {"method": step.method, "path": "/configmaps", "query": "^((?!watch).)*$"}
        fault = faults.plan(kill, **match, skip=step.skip)
        process.append(_ensure(office, 7, office.stack(prefix=prefix, most=1), faults, kubeconfig))
        started.set()
        process[0].communicate(timeout=PATIENCE_S)
    assert (process[0].returncode, fault.hits) == (-signal.SIGKILL, 1), step


def _ensure(office: Office, issue: int, stack: str, faults: Faults, kubeconfig: Path) -> Popen[str]:
    """Start a run that takes a slot, through a proxy."""
    words = ("ensure-slot", "--issue", str(issue), "--config", stack, *LEASE)
    through = ("--kubeconfig", str(faults.kubeconfig(kubeconfig)))
    return office.start(issue, *words, *through)


def test_a_lease_lives_as_long_as_its_run(office: Office) -> None:
    """While a run works on its slot nobody gets it, however long; after its end the next does."""
    runner, clock = office.runner(), SystemClock()
    record = runner.take(7, "run 1", wait_s=0, lease_s=2).record
    lease = SlotLease(
        *(runner.slots, record, clock), holder="run 1", lease_s=2, announce=runner.told.append
    )
    with lease:
        with pytest.raises(DeadlineError, match="held by run 1"):
            office.runner().take(7, "run 2", wait_s=6)
        lease.change(state=State.READY)
    taken = office.runner().take(7, "run 2", wait_s=PATIENCE_S)
    assert (taken.record.slot, taken.record.state, taken.created) == (record.slot, "ready", False)
    assert runner.told == []


# ---- trouble on the way -------------------------------------------------------------------------


def test_watches_that_end_are_opened_again(office: Office, tmp_path: Path) -> None:
    """Cut connections and an expired version cost a list each, and the wait goes on."""
    runner = office.runner()
    record = runner.take(1, "first", wait_s=0, most=1).record
    with Faults(office.kubeconfig) as faults:
        expired = faults.answer(410, query="watch=true", times=1)
        cut = faults.cut(after=False, query="watch=true", times=1)
        watching = threading.Event()
        faults.do(watching.set, query="watch=true")
        waiting = _ensure(office, 2, office.stack(most=1), faults, tmp_path / "faults.conf")
        assert watching.wait(PATIENCE_S)
        faults.cut_all()
        assert runner.slots.delete(record)
        out, told = waiting.communicate(timeout=PATIENCE_S)
        assert (waiting.returncode, out) == (0, ""), told
        assert (expired.hits, cut.hits) == (1, 1)
        assert faults.count(method="GET", path="/configmaps$", query="^((?!watch).)*$") <= 8
    assert office.records()[1]["issue"] == "2"


def test_an_answer_that_is_lost_makes_no_second_slot(office: Office, tmp_path: Path) -> None:
    """The server has created the record, the answer is lost: one slot."""
    with Faults(office.kubeconfig) as faults:
        faults.cut(after=True, method="POST", path="/configmaps$")
        faults.cut(after=True, method="PUT", path="/configmaps/")
        run_ = _ensure(office, 7, office.stack(), faults, tmp_path / "faults.conf")
        _, told = run_.communicate(timeout=PATIENCE_S)
    assert run_.returncode == 0, told
    [data] = office.records().values()
    assert (data["issue"], "heartbeat" in data) == ("7", True)


def test_the_api_server_is_killed_while_a_run_waits(
    control_plane: ControlPlane, plane_playground: Playground, started: list[Popen[str]]
) -> None:
    """The wait goes on when it is back, and the slot that was freed meanwhile is got."""
    run_kubectl(plane_playground.environment, "create", "namespace", plane_playground.namespace)
    office = Office(plane_playground, started)
    runner = office.runner()
    record = runner.take(1, "first", wait_s=0, most=1).record
    waiting = office.start(2, "ensure-slot", "--issue", "2", "--config", office.stack(most=1))
    assert waiting.stderr
    assert "waiting: all 1 slots are taken" in waiting.stderr.readline()
    control_plane.kill_api_server()
    control_plane.up()
    assert runner.slots.delete(record)
    _, told = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0, told
    assert office.records()[1]["issue"] == "2"


SHIFTED = """
import datetime, os
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=int(os.environ["SHIFT_S"]))
datetime.datetime = Shifted
"""
"""For a Python whose clock is wrong: `sitecustomize`."""


def test_clocks_of_runners_do_not_matter(office: Office, tmp_path: Path) -> None:
    """Runners ten minutes apart agree on who holds a slot, and until when."""
    (tmp_path / "sitecustomize.py").write_text(SHIFTED)

    def ensure(run_id: int, shift_s: int, issue: int, *flags: str) -> CompletedProcess[str]:
        words = ("ensure-slot", "--issue", str(issue), "--config", office.stack(most=1), *flags)
        env = {"PYTHONPATH": str(tmp_path), "SHIFT_S": str(shift_s)}
        return office.codexctl(run_id, *words, **env)

    slow, fast = -600, 600
    first = ensure(1, slow, 7, "--slot-lease", "60s", "--output", "json")
    assert first.returncode == 0, first.stderr
    [told] = json.loads(first.stdout)["slots"]
    assert 50 < told["leaseLeftSeconds"] <= 61
    for run_id, issue in ((2, 7), (3, 8)):
        late = ensure(run_id, fast, issue, "--slot-wait", "0s")
        assert late.returncode == 70, late.stderr
        assert "actions/runs/1 for " in late.stderr
    assert office.records()[1]["issue"] == "7"


# ---- what people do -----------------------------------------------------------------------------


def test_the_life_of_a_slot(office: Office, tmp_path: Path) -> None:
    """Taken, taken again, changed, listed and given back, as workflows and people do it."""
    stack, outputs = office.stack(), tmp_path / "outputs"
    taken = office.codexctl(
        *(1, "ensure-slot", "--issue", "7", "--branch", "codex/7", "--config", stack),
        GITHUB_OUTPUT=str(outputs),
    )
    assert taken.returncode == 0, taken.stderr
    [(slot, data)] = office.records().items()
    assert data["holder"] == f"https://github.com/{REPO}/actions/runs/1"
    told = outputs.read_text()
    for line in (f"slot={slot}", "created=true", "recreated=false", "state=allocated", "env=ai"):
        assert _has_output(told, line), told
    assert _has_output(told, f"namespace={office.namespace}-dev-{slot}")

    changed = ("slot-set", "--slot", str(slot), "--pr", "8", "--state", "ready", "--config", stack)
    refused = office.codexctl(2, *changed)
    assert (refused.returncode, refused.stderr.count("\n")) == (70, 1)
    assert office.codexctl(1, *changed).returncode == 0
    by_pr = office.codexctl(1, "ensure-slot", "--pr", "8", "--config", stack)
    assert f"{slot} for Issue 7 and PR 8 of {REPO}: taken again, ready" in by_pr.stderr

    listed = office.codexctl(2, "slots", "--config", stack)
    assert f"Shop: https://slot-{slot}.example.com/" in listed.stdout
    assert office.codexctl(2, "release", "--pr", "8", "--config", stack).returncode == 70
    assert office.codexctl(1, "release", "--pr", "8", "--config", stack).returncode == 0
    assert "holder" not in office.records()[slot]
    assert office.codexctl(2, "ensure-slot", "--issue", "7", "--config", stack).returncode == 0


def _has_output(text: str, line: str) -> bool:
    """Tell whether a file of step outputs has a value, in either syntax."""
    name, _, value = line.partition("=")
    lines = text.splitlines()
    return line in lines or any(
        each.startswith(f"{name}<<") and lines[index + 1] == value
        for index, each in enumerate(lines)
    )


def test_records_of_others(office: Office) -> None:
    """A slot of the Go tool is taken on; nonsense is shown, and takes no more than its number."""
    stack = office.stack()
    go = ("--from-literal=slot=2", "--from-literal=env=ai", "--from-literal=issue=7")
    old = ("--from-literal=owner=4711", "--from-literal=pr=0", "--from-literal=namespace=old-dev-2")
    kubectl(office.playground, "create", "configmap", f"{PREFIX}2", *go, *old)
    bad = ("--from-literal=slot=1", "--from-literal=issue=seven")
    kubectl(office.playground, "create", "configmap", f"{PREFIX}1", *bad)

    assert office.codexctl(1, "ensure-slot", "--issue", "7", "--config", stack).returncode == 0
    assert office.codexctl(1, "ensure-slot", "--issue", "8", "--config", stack).returncode == 0
    records = office.records()
    assert (records[2]["owner"], records[2]["repo"]) == ("4711", REPO)
    assert records[2]["namespace"] == "old-dev-2"
    assert records[3]["issue"] == "8"

    listed = office.codexctl(1, "slots", "--config", stack, "--output", "json")
    found = {each["slot"]: each for each in json.loads(listed.stdout)["slots"]}
    assert found[1]["state"] == "damaged"
    assert "issue is 'seven', not a number" in found[1]["problem"]
    assert found[2]["state"] == "preparing"
    broken = office.codexctl(1, "release", "--slot", "1", "--config", stack)
    assert (broken.returncode, broken.stderr.count("\n")) == (3, 1)
    assert records[1] == {"slot": "1", "issue": "seven"}


def test_no_permission_changes_nothing(office: Office, tmp_path: Path) -> None:
    """An account that may not list the records is told so in one line; nothing is created."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get", "update"]}
    kubeconfig = kubeconfig_with_rights(office.playground, "narrow", tmp_path, [rule])
    words = ("--config", office.stack(), "--kubeconfig", kubeconfig)
    for task in (("ensure-slot", "--issue", "7"), ("slots",), ("release", "--issue", "7")):
        refused = office.codexctl(1, *task, *words)
        assert (refused.returncode, refused.stderr.count("\n")) == (4, 1), refused.stderr
        assert "cannot list" in refused.stderr
    assert office.records() == {}


def test_the_namespace_of_the_records_is_made_if_that_is_allowed(
    playground: Playground, office: Office, tmp_path: Path
) -> None:
    """The first slot ever needs no preparation; who may not make the namespace is told how."""
    narrow = kubeconfig_with_rights(playground, "narrow", tmp_path, [])
    everywhere = f"{playground.namespace}-lists"
    user = f"system:serviceaccount:{playground.namespace}:narrow"
    verbs = ("--verb=list,create", "--resource=configmaps")
    run_kubectl(playground.environment, "create", "clusterrole", everywhere, *verbs)
    binding = (everywhere, f"--clusterrole={everywhere}", f"--user={user}")
    run_kubectl(playground.environment, "create", "clusterrolebinding", *binding)
    office.namespace = f"{playground.namespace}-state"
    stack = office.stack()
    words = ("ensure-slot", "--issue", "7", "--config", stack)
    try:
        refused = office.codexctl(1, *words, "--kubeconfig", narrow)
        assert (refused.returncode, refused.stderr.count("\n")) == (4, 1), refused.stderr
        assert f"kubectl create namespace {office.namespace}" in refused.stderr
        done = office.codexctl(1, *words)
        assert done.returncode == 0, done.stderr
    finally:
        for kind, name in (
            ("clusterrolebinding", everywhere),
            ("clusterrole", everywhere),
            ("namespace", office.namespace),
        ):
            removal = ("delete", kind, name, "--ignore-not-found", "--wait=false")
            run_kubectl(playground.environment, *removal)
