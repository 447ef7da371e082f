"""``ensure-ready``: an environment is brought up to date, and left alone while nothing changes."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError, Interrupted
from codexctl_tasks.flows.slots.ready import ensure_ready
from codexctl_tasks.settings import ensure_ready_request
from codexctl_tasks.slots.record import written_time
from tests.support import output_schema
from tests.support.objects import yaml_of
from tests.support.scripts import FakePrograms
from tests.support.slotted import STATE, Slotted
from tests.support.stage import SPEC, Stage, healthy, pending, report_of

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.world.outside import Outside
    from tests.support.fakes import FakeClock

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
STACK = """\
project: shop
maxSlots: 5
state: {configmapNamespace: codexctl, configmapPrefix: shop-slot-}
namespace: {patterns: {ai: "shop-dev-{{ Slot }}"}}
environments: {ai: {slotBootstrapInfra: [base]}}
hooks: {beforeAll: [{name: greet, run: echo $GREETING}]}
infrastructure:
- {name: base, manifests: [{path: base.yaml}]}
- {name: other, manifests: [{path: other.yaml}]}
services:
- {name: web, manifests: [{path: app.yaml}]}
"""
CLAIM = "spec: {accessModes: [ReadWriteOnce]}"


class ReadyStage(Stage):
    """A stage whose scripts pretend to run."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        super().__init__(folder, clock)
        self.programs = FakePrograms(clock, self.cluster.calls)

    @property
    def outside(self) -> Outside:
        """The usual outside, whose scripts pretend to run."""
        return replace(super().outside, run=self.programs)


class Ready(Slotted):
    """A stack with a hook, slot 3 of which is Issue 12's."""

    def write(self, **_: Any) -> None:
        """Write the stack."""
        folder = self.stage.folder
        (folder / "services.yaml").write_text(STACK)
        for name in ("base", "other"):
            text = yaml_of("ConfigMap", name, "  namespace: shop-dev-3", "data: {k: v}")
            (folder / f"{name}.yaml").write_text(text)
        self.stage.write(yaml_of("Deployment", "web", SPEC))

    def ensure(self, **given: Any) -> int:
        """Make the slot ready."""
        meant = {"issue": "12"} if "slot" not in given else {}
        return self.run(ensure_ready, ensure_ready_request(**meant, **given))

    def refused(self, **given: Any) -> CodexctlError:
        """Fail to do so."""
        with pytest.raises(CodexctlError) as caught:
            self.ensure(**given)
        return caught.value

    @property
    def worked(self) -> list[str]:
        """Scripts that ran, and what was sent of the environment."""
        sent = [c for c in self.cluster.calls if c.split()[0] in ("script", "apply", "delete")]
        return [call for call in sent if "codexctl-" not in call]


@pytest.fixture
def ready(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Ready:
    """Return a slot that was taken by this run, and nothing more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEXCTL_REPO", "org/shop")
    monkeypatch.setenv("CODEXCTL_HOLDER", "")
    slotted = Ready(ReadyStage(tmp_path, clock), NOW)
    slotted.record(3, issue=12, state="allocated")
    return slotted


def test_the_first_time(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is deployed; the record remembers what, and programs are told that it is new."""
    assert ready.ensure(output="json") == 0

    assert ready.worked[:2] == ["apply Namespace shop-dev-3", "script echo $GREETING"]
    assert ready.data_of(3)["state"] == "ready"
    assert len(ready.data_of(3)["fingerprint"]) == 64
    told = report_of(capsys)
    output_schema.check(told, "slots")
    flags = ("exitCode", "infraReady", "infraUnhealthy", "created", "recreated")
    assert [told[flag] for flag in flags] == [0, True, False, True, False]


def test_the_namespace_says_where_its_record_is(ready: Ready) -> None:
    """So gc can tell it from one that somebody deployed by hand; once is enough."""
    ready.ensure()
    labels = ready.cluster.objects["Namespace", "", "shop-dev-3"]["metadata"]["labels"]
    assert labels["codexctl/records"] == "codexctl.shop-slot"

    ready.ensure(force=True)
    assert "patch Namespace shop-dev-3" not in ready.cluster.calls


@pytest.mark.parametrize(("status", "is_told"), [(403, False), (500, True)])
def test_a_namespace_that_cannot_say_so_is_ready_all_the_same(
    ready: Ready, status: int, *, is_told: bool
) -> None:
    """An environment that is healthy is not lost for a label."""
    ready.cluster.patch_refusals = [ClusterError("PATCH", "refused", status=status)]

    assert ready.ensure() == 0

    assert ready.data_of(3)["state"] == "ready"
    assert ("gc will not find namespace shop-dev-3" in ready.stage.shown) is is_told


def test_nothing_has_changed(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a hook runs nor an object is sent; the environment is not called new again."""
    ready.ensure()

    assert ready.ensure(output="json") == 0

    assert ready.worked == []
    assert "nothing has changed, and all of it is healthy" in ready.shown
    told = report_of(capsys)
    assert (told["infraReady"], told["created"], told["recreated"]) == (True, False, False)


@pytest.mark.parametrize(
    "change",
    ["object", "hook", "value", "force", "deleted", "unhealthy"],
)
def test_something_is_to_be_done(
    ready: Ready, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object, a hook or a value that it names has changed; somebody broke it, or insists."""
    monkeypatch.setenv("GREETING", "hello")
    ready.ensure()
    if change == "object":
        ready.stage.write(yaml_of("Deployment", "web", "spec: {replicas: 1, paused: false}"))
    elif change == "hook":
        path = ready.stage.folder / "services.yaml"
        path.write_text(path.read_text().replace("echo $GREETING", "echo $GREETING again"))
    elif change == "value":
        monkeypatch.setenv("GREETING", "good day")
    elif change == "deleted":
        del ready.cluster.objects["Deployment", "shop-dev-3", "web"]
    elif change == "unhealthy":
        pending(ready.cluster.objects["Deployment", "shop-dev-3", "web"])
        ready.stage.clock.at(ready.stage.clock.time + 31, lambda: healthy(_web(ready)))

    assert ready.ensure(force=change == "force") == 0

    assert any(call.startswith("script") for call in ready.worked)
    assert ready.data_of(3)["state"] == "ready"


def _web(ready: Ready) -> dict[str, Any]:
    found: dict[str, Any] = ready.cluster.objects["Deployment", "shop-dev-3", "web"]
    return found


def test_a_value_that_nothing_names(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs from run to run is no reason to deploy."""
    ready.ensure()
    monkeypatch.setenv("UNRELATED", "42")

    assert ready.ensure() == 0
    assert ready.worked == []


def test_a_namespace_that_has_vanished(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    """It is deployed anew, and programs learn that what was in it is lost."""
    ready.ensure()
    for key in [key for key in ready.cluster.objects if "shop-dev-3" in key]:
        del ready.cluster.objects[key]

    assert ready.ensure(output="json") == 0

    told = report_of(capsys)
    assert (told["created"], told["recreated"]) == (False, True)
    assert ("Deployment", "shop-dev-3", "web") in ready.cluster.objects


@pytest.mark.parametrize("code", [70, 0])
def test_an_environment_that_is_not_healthy(
    ready: Ready, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the run unless that is allowed; either way it is told, and deployed again later."""
    outputs = ready.stage.folder / "outputs"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    ready.cluster.on_apply = _never_ready

    assert ready.ensure(allow_unhealthy=code == 0, output="json") == code

    told = report_of(capsys)
    flags = ("exitCode", "infraReady", "infraUnhealthy")
    assert [told[flag] for flag in flags] == [code, False, True]
    assert re.search(r"infra-unhealthy<<(.*)\ntrue\n\1", outputs.read_text())
    assert re.findall(r"exit-code<<.*\n(.*)\n", outputs.read_text())[-1] == str(code)
    assert ready.data_of(3)["state"] == "unhealthy"
    ready.cluster.on_apply = healthy
    healthy(_web(ready))
    assert ready.ensure() == 0
    assert "script echo $GREETING" in ready.worked


def _never_ready(stored: dict[str, Any]) -> None:
    healthy(stored)
    if stored["kind"] == "Deployment":
        pending(stored)


def test_allowing_it_hides_nothing_else(ready: Ready) -> None:
    """A broken manifest, or a server that refuses, ends the run also after an unhealthy one."""
    ready.change(3, state="unhealthy")
    ready.stage.write("kind: [")
    assert ready.refused(allow_unhealthy=True).exit_code == 3
    ready.write()
    ready.cluster.refusals["web"] = ClusterError("web", "may not", "ask", status=403)

    assert ready.refused(allow_unhealthy=True).exit_code == 4


@pytest.mark.parametrize("moment", ["base", "web"])
def test_an_interruption(ready: Ready, moment: str) -> None:
    """It ends at once, whatever phase it was in; the next run does all of it."""
    _with_claim(ready) if moment == "base" else None
    _interrupt_at(ready, moment)

    assert ready.ensure(allow_unhealthy=True) == 130

    assert ready.data_of(3)["state"] == "preparing"
    ready.cluster.on_apply = healthy
    assert ready.ensure(no_sync=True) == 0
    assert ready.data_of(3)["state"] == "ready"


def test_an_interruption_of_the_look(ready: Ready) -> None:
    """Ctrl-C while it looks whether all is healthy deploys nothing."""
    ready.ensure()
    pending(_web(ready))

    def interrupt() -> None:
        raise Interrupted(2)

    ready.stage.clock.at(ready.stage.clock.time + 1, interrupt)

    assert ready.ensure() == 130
    assert ready.worked == []


def _with_claim(ready: Ready) -> None:
    """Let the service that is last make the workspace."""
    with (ready.stage.folder / "services.yaml").open("a") as file:
        file.write("- {name: agent, manifests: [{path: agent.yaml}]}\n")
    text = yaml_of("PersistentVolumeClaim", "workspace", CLAIM)
    (ready.stage.folder / "agent.yaml").write_text(text)


def _interrupt_at(ready: Ready, name: str) -> None:
    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["metadata"]["name"] == name:
            raise Interrupted(2)

    ready.cluster.on_apply = on_apply


def test_the_workspace_comes_first(ready: Ready) -> None:
    """What the slot begins with and what makes the claim, and nothing else before the sources."""
    _with_claim(ready)
    _interrupt_at(ready, "workspace")

    assert ready.ensure() == 130

    sent = {call.split()[-1] for call in ready.worked if call.startswith("apply")}
    assert sent == {"shop-dev-3", "base", "workspace"}


def _held(**more: str) -> dict[str, str]:
    until = written_time(NOW + timedelta(minutes=10))
    return {"holder": "run 7", "lease-until": until, **more}


@pytest.mark.parametrize(
    ("record", "given", "code", "said"),
    [
        ({}, {"slot": "4"}, 2, "slot 4 is not taken"),
        ({}, {"slot": "6"}, 2, "maxSlots"),
        ({}, {"slot": "3", "issue": "13"}, 2, "is that of Issue 12 of org/shop, not of Issue 13"),
        ({"repo": "org/other"}, {"slot": "3"}, 2, "org/other"),
        ({"env": "qa"}, {}, 2, "is of environment qa, not ai"),
        ({"state": "releasing"}, {}, 2, "is being taken down"),
        ({"namespace": "shop-old"}, {}, 3, "its namespace is shop-old"),
        ({"state": "odd"}, {"slot": "3"}, 3, "state is 'odd'"),
        (_held(), {"force": True}, 70, "held by run 7 for 10m more"),
    ],
)
def test_a_slot_that_is_not_to_be_touched(
    ready: Ready, record: dict[str, str], given: dict[str, Any], code: int, said: str
) -> None:
    """One line, the exit code of its class, and nothing is changed."""
    ready.change(3, **record)
    before = dict(ready.data_of(3))

    error = ready.refused(**given)

    assert (error.exit_code, said in str(error)) == (code, True), str(error)
    assert ready.data_of(3) == before
    assert ready.worked == []


def test_a_slot_that_is_lost_meanwhile(ready: Ready) -> None:
    """Somebody took it over while it was deployed: the record says what that one wrote."""

    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["metadata"]["name"] == "web":
            key = ("ConfigMap", STATE[0], f"{STATE[1]}3")
            theirs = copy.deepcopy(ready.cluster.objects[key])
            theirs["metadata"]["resourceVersion"] = "another"
            theirs["data"].update(_held(state="releasing"))
            ready.cluster.objects[key] = theirs

    ready.cluster.on_apply = on_apply

    error = ready.refused(allow_unhealthy=True)

    assert (error.exit_code, "held by run 7" in str(error)) == (4, True)
    assert ready.data_of(3)["state"] == "releasing"
