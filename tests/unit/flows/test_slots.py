"""Tasks about slots: what people see, what later steps are told, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.result import read_result
from codexctl_tasks.errors import CodexctlError, ConfigurationError, UsageError
from codexctl_tasks.flows.agent.prompt_run import prompt_run
from codexctl_tasks.flows.slots import allocation
from codexctl_tasks.settings import (
    ensure_slot_request,
    prompt_run_request,
    release_request,
    slot_request,
    slot_set_request,
)
from codexctl_tasks.slots.record import CONFIG_MAP
from tests.support import output_schema

if TYPE_CHECKING:
    from tests.support.stage import Stage

STACK = """\
project: shop
maxSlots: 3
namespace: {patterns: {ai: "shop-dev-{{ Slot }}"}}
environments: {ai: {}, staging: {}}
state: {configmapNamespace: shop-system, configmapPrefix: shop-slot-}
baseDomain: {ai: "slot-{{ Slot }}.example.com"}
codex: {links: [{title: Shop, path: /}, {title: Admin, path: admin/}]}
"""
TASKS = {
    "ensure": (ensure_slot_request, allocation.ensure_slot),
    "agent": (prompt_run_request, prompt_run),
    "list": (slot_request, allocation.slots),
    "set": (slot_set_request, allocation.slot_set),
    "release": (release_request, allocation.release),
}


class Bench:
    """A stack with slots, and workflow runs that use them."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage, self._patch = stage, monkeypatch
        stage.cluster.time = datetime(2026, 1, 2, 12, tzinfo=UTC)
        self.stack()
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
        monkeypatch.setenv("GITHUB_OUTPUT", str(stage.folder / "outputs"))

    def stack(self, before: str = "", after: str = "") -> None:
        """Write the stack with a change."""
        (self.stage.folder / "services.yaml").write_text(STACK.replace(before, after))

    def run(self, task: str, run_id: int = 1, **given: Any) -> int:
        """Run a task as a step of a workflow run."""
        self._patch.setenv("GITHUB_RUN_ID", str(run_id))
        self.stage.stream.seek(0)
        self.stage.stream.truncate()
        (self.stage.folder / "outputs").unlink(missing_ok=True)
        request, flow = TASKS[task]
        return flow(request(**given), self.stage.outside)  # type: ignore[operator]

    def refused(self, task: str, run_id: int = 1, **given: Any) -> CodexctlError:
        """Run a task that is refused; return the error."""
        with pytest.raises(CodexctlError) as caught:
            self.run(task, run_id, **given)
        return caught.value

    @property
    def outputs(self) -> dict[str, str]:
        """What the step told later ones."""
        lines = (self.stage.folder / "outputs").read_text().splitlines()
        starts = [i for i, line in enumerate(lines) if "<<" in line]
        heredocs = {lines[i].split("<<")[0]: lines[i + 1] for i in starts}
        return heredocs | dict(
            line.split("=", 1) for line in lines if "=" in line and "<<" not in line
        )

    def record(self, slot: int) -> dict[str, str]:
        """Return what a record says."""
        found = self.stage.cluster.objects["ConfigMap", "shop-system", f"shop-slot-{slot}"]
        return dict(found["data"])

    def put(self, slot: int, **data: str) -> None:
        """Let somebody else write a record."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"shop-slot-{slot}", "namespace": "shop-system"},
            "data": {"slot": str(slot), **data},
        }
        self.stage.cluster.strict_namespaces = False
        self.stage.cluster.apply(CONFIG_MAP, "shop-system", body)


@pytest.fixture
def bench(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(stage, monkeypatch)


def test_a_slot_is_told_to_later_steps(bench: Bench) -> None:
    """Later steps know slot, namespace, environment and state, and whether all is new."""
    assert bench.run("ensure", issue="7", branch="codex/7") == 0
    slot = bench.outputs["slot"]
    assert bench.outputs == {
        "slot": slot,
        "namespace": f"shop-dev-{slot}",
        "env": "ai",
        "state": "allocated",
        "created": "true",
        "recreated": "false",
    }
    assert f"{slot} for Issue 7 of acme/shop: new, allocated" in bench.stage.shown
    assert bench.record(int(slot))["holder"] == "https://github.com/acme/shop/actions/runs/1"
    bench.run("ensure", issue="7")
    assert (bench.outputs["slot"], bench.outputs["created"]) == (slot, "false")


def test_no_slot_is_told_to_later_jobs(bench: Bench) -> None:
    """Whoever has waited in vain is told so, and later jobs know that nothing else has failed."""
    bench.stack("maxSlots: 3", "maxSlots: 1")
    assert bench.run("ensure", issue="7") == 0
    error = bench.refused("ensure", run_id=2, issue="8", slot_wait="0s")
    assert error.exit_code == 70
    assert bench.outputs["status"] == "slot-timeout"
    assert "Issue 7 of acme/shop" in bench.outputs["reason"]
    assert "slot" not in bench.outputs


def test_slots_as_data(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read all of a slot, as documented; a damaged record says what is wrong."""
    bench.put(1, issue="seven")
    bench.put(2, issue="7", state="ready", created="2026-01-02T10:00:00Z", namespace="shop-dev-2")
    assert bench.run("list", output="json") == 0
    document = json.loads(capsys.readouterr().out)
    output_schema.check(document, "slots")
    damaged, ready = document["slots"]
    assert (damaged["slot"], damaged["state"]) == (1, "damaged")
    assert "issue is 'seven', not a number" in damaged["problem"]
    assert ready["links"] == [
        {"title": "Shop", "url": "https://slot-2.example.com/"},
        {"title": "Admin", "url": "https://slot-2.example.com/admin/"},
    ]
    bench.run("ensure", issue="7", output="json")
    document = json.loads(capsys.readouterr().out)
    output_schema.check(document, "slots")
    assert (document["created"], document["slots"][0]["state"]) == (False, "ready")


def test_changes_as_data(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """slot-set and release tell of their slot as ensure-slot does; of none, if there is none."""
    bench.put(2, issue="7", repo="acme/shop", state="ready")
    states = []
    for task, given in (
        ("set", {"slot": "2", "state": "unhealthy"}),
        ("release", {"issue": "7"}),
        ("release", {"issue": "8"}),
    ):
        assert bench.run(task, **given, output="json") == 0
        document = json.loads(capsys.readouterr().out)
        output_schema.check(document, "slots")
        states.append([(each["slot"], each["state"]) for each in document["slots"]])
    assert states == [[(2, "unhealthy")], [(2, "unhealthy")], []]


def test_slots_as_a_table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """People see who has which slot, since when, and which run holds it for how long."""
    bench.run("list")
    assert capsys.readouterr().out == "no slot is taken\n"
    bench.put(1, issue="seven")
    bench.put(
        2,
        repo="acme/shop",
        issue="7",
        state="ready",
        env="ai",
        namespace="shop-dev-2",
        holder="me@laptop",
        created="2026-01-02T09:00:00Z",
        **{"lease-until": "2026-01-02T12:10:00Z"},
    )
    assert bench.run("list") == 0
    head, damaged, why, ready, *links = capsys.readouterr().out.splitlines()
    columns = ["slot", "state", "for", "env", "namespace", "age", "lease", "holder"]
    assert head.split() == columns
    assert damaged.split()[:2] == ["1", "damaged"]
    assert "ConfigMap shop-system/shop-slot-1: issue is 'seven'" in why
    assert ready.startswith("2 ")
    assert "Issue 7 of acme/shop  ai   shop-dev-2  3h   10m    me@laptop" in ready
    assert links == [
        "      Shop: https://slot-2.example.com/",
        "      Admin: https://slot-2.example.com/admin/",
    ]


def test_a_record_cannot_break_the_table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each slot, whatever somebody has written into it."""
    bench.put(1, issue="7", holder="me\n2  ready  everybody\tof", env="a\nb")
    assert bench.run("list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_only_what_was_given_is_changed(bench: Bench) -> None:
    """slot-set leaves everything else as it is, the foreign keys too."""
    bench.put(2, issue="7", state="preparing", note="mine", createdAt="2026-01-01T00:00:00Z")
    assert bench.run("set", slot="2", pr="8", branch="b", state="ready") == 0
    record = bench.record(2)
    assert (record["issue"], record["pr"], record["branch"]) == ("7", "8", "b")
    assert (record["state"], record["note"], record["repo"]) == ("ready", "mine", "acme/shop")
    bench.run("set", slot="2", issue="0")
    assert "issue" not in bench.record(2)


def test_one_issue_has_one_slot(bench: Bench) -> None:
    """slot-set refuses what would give an Issue or a PR a second slot."""
    bench.put(1, repo="acme/shop", issue="7")
    bench.put(2, repo="acme/shop", issue="9")
    refused = bench.refused("set", slot="2", issue="7")
    assert "Issue 7 of acme/shop has slot 1" in str(refused)
    assert bench.record(2)["issue"] == "9"


@pytest.mark.parametrize("rival", [{"issue": "7"}, {"issue": "7", "used": "long ago"}])
def test_of_two_at_once_slot_set_gives_in(bench: Bench, rival: dict[str, str]) -> None:
    """Somebody takes a slot for the same Issue, and the run renews its lease: nothing is lost."""
    bench.put(1, repo="acme/shop", issue="9", branch="b", state="ready")
    cluster, replace = bench.stage.cluster, bench.stage.cluster.replace

    def first(*given: Any) -> Any:
        cluster.replace = second  # type: ignore[method-assign]
        written = replace(*given)
        bench.put(2, repo="acme/shop", **rival)
        return written

    def second(*given: Any) -> Any:
        cluster.replace = replace  # type: ignore[method-assign]
        bench.put(1, repo="acme/shop", issue="7", branch="c", state="ready", holder="run 5")
        return replace(*given)

    cluster.replace = first  # type: ignore[method-assign]
    bench.refused("set", slot="1", issue="7", branch="c")
    record = bench.record(1)
    assert (record["issue"], record["branch"], record["holder"]) == ("9", "b", "run 5")
    assert bench.record(2)["issue"] == "7"


def test_a_damaged_record_of_the_issue_is_named(bench: Bench) -> None:
    """That the Issue has no slot would be wrong; other Issues are not concerned."""
    bench.put(1, repo="acme/shop", issue="7", used="long ago")
    bench.put(2, repo="acme/shop", issue="9")
    for task, given in (("release", {"issue": "7"}), ("set", {"slot": "2", "issue": "7"})):
        assert "shop-slot-1: used is 'long ago'" in str(bench.refused(task, **given))
    assert bench.run("release", issue="8") == 0


def test_a_slot_of_another_run_is_left_alone(bench: Bench) -> None:
    """Neither slot-set nor release touches what another run holds, unless forced."""
    bench.run("ensure", run_id=1, issue="7")
    slot = bench.outputs["slot"]
    for task, given in (("set", {"slot": slot, "pr": "8"}), ("release", {"issue": "7"})):
        refused = bench.refused(task, run_id=2, **given)
        assert "held by https://github.com/acme/shop/actions/runs/1 for 30m more" in str(refused)
        assert refused.exit_code == 70
    assert bench.run("release", run_id=2, issue="7", force=True) == 0
    assert "holder" not in bench.record(int(slot))
    assert bench.run("ensure", run_id=2, issue="7", slot_wait="0") == 0


def test_number_and_issue_must_agree(bench: Bench) -> None:
    """A slot that has become another Issue's is not given back by mistake."""
    bench.put(1, repo="acme/shop", issue="9", holder="me")
    assert "slot 1 is that of Issue 9" in str(bench.refused("release", slot="1", issue="7"))
    assert bench.record(1)["holder"] == "me"


def test_a_flag_beats_the_variable_of_the_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--pr works in a job whose environment names an Issue; without a flag the variable counts."""
    monkeypatch.setenv("CODEXCTL_ISSUE", "7")
    bench.run("ensure", pr="8")
    assert bench.record(int(bench.outputs["slot"]))["pr"] == "8"
    bench.run("ensure")
    assert bench.record(int(bench.outputs["slot"]))["issue"] == "7"


def test_what_is_not_taken_is_given_back_already(bench: Bench) -> None:
    """A step that gives back whatever there is succeeds also when there is nothing."""
    assert bench.run("release", issue="7") == 0
    assert "Issue 7 of acme/shop has no slot: nothing to do" in bench.stage.shown
    assert bench.outputs == {"slot": "", "namespace": "", "env": "", "state": ""}
    assert bench.run("release", slot="2") == 0
    assert bench.stage.cluster.objects == {}


@pytest.mark.parametrize(
    ("task", "given", "text"),
    [
        ("ensure", {}, "--issue: is required"),
        ("ensure", {"issue": "7", "pr": "8"}, "--issue: cannot be combined with --pr"),
        ("ensure", {"issue": "x"}, "--issue: 'x' is no number"),
        ("ensure", {"issue": "0"}, "--issue: there is no number 0: numbers begin with 1"),
        ("release", {"pr": "00"}, "--pr: there is no number 00: numbers begin with 1"),
        ("ensure", {"issue": "7", "repo": "shop"}, "--repo: 'shop' is no repository"),
        ("ensure", {"issue": "7", "repo": "../.."}, "--repo: '../..' is no repository"),
        ("ensure", {"issue": "1234567890"}, "--issue: '1234567890' is no number"),
        ("ensure", {"issue": "9" * 5000}, "is no number"),
        ("set", {"slot": "3", "pr": "1234567890"}, "--pr: '1234567890' is no number"),
        ("release", {"slot": "1234567890"}, "--slot: '1234567890' is no slot"),
        ("ensure", {"issue": "7", "slot_lease": "99999999h"}, "is longer than 500 years"),
        ("ensure", {"issue": "7", "slot_wait": "9" * 400}, "is longer than 500 years"),
        ("ensure", {"issue": "7", "slot_lease": "1s"}, "--slot-lease: 1 s is too short"),
        ("ensure", {"issue": "7", "slot_wait": "soon"}, "--slot-wait: 'soon' is no duration"),
        ("set", {"slot": "4", "pr": "8"}, "--slot: there is no slot 4: maxSlots"),
        ("set", {"slot": "3", "pr": "8"}, "--slot: slot 3 is not taken"),
        ("set", {"slot": "3"}, "there is nothing to change"),
        ("set", {"pr": "8"}, "--slot: is required"),
        ("set", {"slot": "3", "state": "fine"}, "--state: 'fine' is unknown"),
        ("release", {}, "--slot: is required"),
        ("release", {"slot": "9"}, "--slot: there is no slot 9"),
    ],
)
def test_wrong_usage(bench: Bench, task: str, given: dict[str, str], text: str) -> None:
    """What makes no sense is told in one line with exit code 2, and nothing is changed."""
    refused = bench.refused(task, **given)
    assert text in str(refused)
    assert isinstance(refused, UsageError)
    assert bench.stage.cluster.objects == {}


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (
            "configmapNamespace: shop-system, ",
            "",
            "services.yaml:5: state.configmapNamespace is missing",
        ),
        ("configmapPrefix: shop-slot-", "configmapPrefix: Shop_", "configmapPrefix is 'Shop_'"),
        ('-{{ Slot }}"}}\nenv', '"}}\nenv', "gives all slots the namespace shop-dev"),
        ("shop-dev-{{", "Shop-Dev-{{", "makes 'Shop-Dev-1' of slot 1"),
    ],
)
def test_a_stack_that_cannot_have_slots(bench: Bench, before: str, after: str, text: str) -> None:
    """What is missing in services.yaml is named with file and line before anything is asked."""
    bench.stack(before, after)
    refused = bench.refused("ensure", issue="7")
    assert text in str(refused)
    assert isinstance(refused, ConfigurationError)
    assert bench.stage.cluster.calls == []


def test_an_environment_that_is_not_there(bench: Bench) -> None:
    """A misspelt environment gets no slot."""
    refused = bench.refused("ensure", issue="7", env="ia")
    assert "environment 'ia' is not defined" in str(refused)
    assert refused.exit_code == 3


@pytest.mark.parametrize("code", [2, 4, 70])
def test_a_run_that_cannot_begin(
    bench: Bench, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    """It ends with the code of what was wrong; the sentence is left to whoever prints the error."""
    if code == 4:
        bench.stage.cluster.forbidden_kinds = {"ConfigMap"}
    elif code == 70:
        bench.run("ensure", issue="7")
    refused = bench.refused("agent", run_id=2, issue="7", output="json")
    assert refused.exit_code == code
    status = "slot-timeout" if code == 70 else "infra-failed"
    data = json.loads(capsys.readouterr().out)
    output_schema.check(data, "prompt-run")
    assert (data["exitCode"], data["status"], data["reason"]) == (code, status, str(refused))
    result = read_result(bench.stage.folder / "agent-result")
    assert (result.status, result.reason) == (status, str(refused))
    assert str(refused) not in bench.stage.shown
    assert bench.stage.shown.startswith(f"agent    {status}; ")


@pytest.mark.parametrize("task", ["ensure", "agent"])
def test_a_key_that_nobody_knows(bench: Bench, task: str) -> None:
    """It is told of once, as render does it, and refused if that was asked for."""
    said = "services.yaml:7: codexx is not a known key: did you mean 'codex'?"
    bench.stack("codex:", "codexx:")
    assert str(bench.refused(task, issue="7", strict=True)) == said
    if task == "ensure":
        bench.run(task, issue="7")
    else:
        assert "has no slot" in str(bench.refused(task, issue="7"))
    assert bench.stage.shown.count(said) == 1


def test_the_repository_must_be_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop one says whose Issue it is."""
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert "--repo: is required" in str(bench.refused("ensure", issue="7"))
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert bench.run("ensure", issue="7", repo="acme/shop") == 0
    holder = bench.record(int(bench.outputs["slot"]))["holder"]
    assert "@" in holder
    assert "process" not in holder


def test_a_slot_in_the_environment_is_no_wish(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CODEXCTL_SLOT of an earlier step does not change which slot ensure-slot finds."""
    monkeypatch.setenv("CODEXCTL_SLOT", "9")
    assert bench.run("ensure", issue="7") == 0
