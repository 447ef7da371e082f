"""``cleanup``: the environment of a slot goes step by step, the record last."""

from __future__ import annotations

import copy
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError, Interrupted, UsageError
from codexctl_tasks.flows import deploy
from codexctl_tasks.flows.slots.cleanup import cleanup
from codexctl_tasks.settings import cleanup_request, deploy_request
from codexctl_tasks.slots.record import written_time
from codexctl_tasks.world.github_answers import GitHubError
from tests.support import output_schema
from tests.support.github_server import github_server
from tests.support.slotted import FakeGitHub, Slotted
from tests.support.stage import report_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stage import Stage

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def slotted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Slotted:
    """Return a stack with slots."""
    monkeypatch.setenv("CODEXCTL_REPO", "org/shop")
    return Slotted(stage, NOW)


def _clean(slotted: Slotted, **given: Any) -> int:
    return slotted.run(cleanup, cleanup_request(**given))


def _refused(slotted: Slotted, **given: Any) -> CodexctlError:
    before = dict(slotted.cluster.objects)
    with pytest.raises(CodexctlError) as caught:
        _clean(slotted, **given)
    assert slotted.cluster.objects == before
    return caught.value


def test_everything_of_a_slot_goes_the_record_last(slotted: Slotted) -> None:
    """Objects, namespace, data, record; the slot beside it does not notice."""
    slotted.deploy(3, issue=12)
    slotted.deploy(4, issue=13)
    data = slotted.data(3)

    assert _clean(slotted, slot="3") == 0

    deleted = [call for call in slotted.stage.sent("delete") if "Lease" not in call]
    assert [call.split(" Background")[0] for call in deleted] == [
        "ConfigMap web",
        "ConfigMap codexctl-shop.ai.3",
        "Namespace shop-dev-3",
        "ConfigMap shop-slot-3",
    ]
    assert not data.exists()
    assert not data.parent.exists()
    assert slotted.data(4).is_dir()
    assert slotted.slots == {4}
    assert slotted.namespaces == {"codexctl", "shop-dev-4"}
    assert "DONE  1 slot removed" in slotted.shown


@pytest.mark.parametrize("meant", [{"issue": "12"}, {"pr": "15"}, {"slot": "3"}, {"all": True}])
def test_a_slot_is_meant_in_four_ways(slotted: Slotted, meant: dict[str, Any]) -> None:
    """By its number, its Issue, its pull request, or as one of all."""
    slotted.deploy(3, issue=12, pr=15)

    assert _clean(slotted, **meant) == 0
    assert slotted.slots == set()


@pytest.mark.parametrize("meant", [{"issue": "12"}, {"pr": "15"}, {"slot": "3"}, {"all": True}])
def test_what_is_gone_already_is_fine(slotted: Slotted, meant: dict[str, Any]) -> None:
    """An Issue may be closed twice."""
    assert _clean(slotted, **meant) == 0
    assert "nothing to do" in slotted.shown or "no slot to clean up" in slotted.shown


def test_a_dry_run_tells_all_and_changes_nothing(
    slotted: Slotted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step in words, as JSON too."""
    slotted.deploy(3, issue=12)
    before = dict(slotted.cluster.objects)

    assert _clean(slotted, slot="3", dry_run=True, output="json") == 0

    assert slotted.cluster.objects == before
    assert slotted.data(3).is_dir()
    steps = [
        "destroy the stack in namespace shop-dev-3",
        "delete namespace shop-dev-3",
        f"remove {slotted.data(3)}",
        "delete the record of slot 3",
    ]
    assert all(step in slotted.shown for step in steps)
    report = report_of(capsys)
    output_schema.check(report, "slots-removed")
    assert report["dryRun"] is True
    [told] = report["slots"]
    assert (told["slot"], told["outcome"], told["steps"]) == (3, "would be removed", steps)
    assert told["for"] == "Issue 12 of org/shop"


def test_later_steps_learn_what_went(
    slotted: Slotted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs of a step of a workflow."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    slotted.deploy(3, issue=12)

    assert _clean(slotted, issue="12") == 0

    written = (tmp_path / "outputs").read_text().splitlines()
    assert "[3]" in written
    assert any(line.startswith("removed<<") for line in written)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ({}, "it does not have the labels of this slot"),
        ({"codexctl/slot": "3", "codexctl/repo": "org.other"}, "it does not have the labels"),
        ({"codexctl/slot": "4", "codexctl/repo": "org.shop"}, "it does not have the labels"),
    ],
)
def test_a_foreign_namespace_stays_with_all_that_is_in_it(
    slotted: Slotted, labels: dict[str, str], what: str
) -> None:
    """Its name is that of the slot's, and proves nothing; not even data directories go."""
    slotted.record(3, issue=12)
    slotted.namespace("shop-dev-3", labels)
    slotted.config_map("shop-dev-3", "web")
    slotted.make_data(3)

    assert _clean(slotted, slot="3") == 0

    assert f"Namespace shop-dev-3 is kept: {what}" in slotted.shown
    assert "codexctl/slot=3 codexctl/repo=org.shop" in slotted.shown
    assert ("ConfigMap", "shop-dev-3", "web") in slotted.cluster.objects
    assert slotted.data(3).is_dir()
    assert slotted.slots == set()


def test_a_namespace_that_others_made_for_us_is_emptied_and_stays(slotted: Slotted) -> None:
    """An account that may not create namespaces gets them ready-made."""
    slotted.namespace("shop-dev-3", {})
    slotted.deploy(3, issue=12)

    assert _clean(slotted, slot="3") == 0

    assert ("ConfigMap", "shop-dev-3", "web") not in slotted.cluster.objects
    assert "shop-dev-3" in slotted.namespaces
    assert not slotted.data(3).exists()
    assert slotted.slots == set()


def test_what_is_marked_is_kept_with_its_data(slotted: Slotted) -> None:
    """Somebody wants to look at it."""
    slotted.deploy(3, issue=12)
    metadata = slotted.cluster.objects["Namespace", "", "shop-dev-3"]["metadata"]
    metadata["annotations"] = {"codexctl/keep": "true"}

    assert _clean(slotted, slot="3") == 0

    assert "shop-dev-3" in slotted.namespaces
    assert slotted.data(3).is_dir()


def test_a_slot_on_which_another_run_works_is_left_alone(slotted: Slotted) -> None:
    """Exit code 70 names the run; --force goes on all the same."""
    slotted.deploy(3, issue=12)
    until = written_time(NOW + timedelta(minutes=5))
    slotted.change(3, holder="https://github.com/org/shop/actions/runs/7", **{"lease-until": until})
    before = dict(slotted.cluster.objects)

    assert _clean(slotted, slot="3") == 70
    assert "actions/runs/7" in slotted.shown
    assert slotted.cluster.objects == before
    assert _clean(slotted, slot="3", dry_run=True) == 70

    assert _clean(slotted, slot="3", force=True) == 0
    assert slotted.slots == set()


def test_what_was_deployed_in_the_last_moment_is_destroyed_too(slotted: Slotted) -> None:
    """Another run was at work between our look and our lease: its hooks run, its objects go."""
    slotted.record(3, issue=12)
    replace = slotted.cluster.replace

    def late(*given: Any) -> Any:
        slotted.cluster.replace = replace  # type: ignore[method-assign]
        assert deploy.apply(deploy_request(env="ai", slot="3"), slotted.stage.outside) == 0
        return replace(*given)

    slotted.cluster.replace = late  # type: ignore[method-assign]

    assert _clean(slotted, slot="3") == 0

    assert "destroy  deleted ConfigMap shop-dev-3/web" in slotted.shown
    assert slotted.namespaces == {"codexctl"}


def test_a_lease_that_ran_out_keeps_nobody_out(slotted: Slotted) -> None:
    """By the API server's clock."""
    slotted.deploy(3, issue=12)
    until = written_time(NOW - timedelta(seconds=1))
    slotted.change(3, holder="somebody@elsewhere", **{"lease-until": until})

    assert _clean(slotted, slot="3") == 0


def test_a_damaged_record_is_named_and_nothing_is_deleted(slotted: Slotted) -> None:
    """One line; --force takes the usual namespace for it."""
    slotted.deploy(3, issue=12)
    slotted.change(3, pr="many")

    for meant in ({"slot": "3"}, {"issue": "12"}, {"pr": "99"}):
        error = _refused(slotted, **meant)
        assert error.exit_code == 3
        assert str(error).startswith("ConfigMap codexctl/shop-slot-3: pr is 'many'")
    assert _clean(slotted, all=True) == 3
    assert slotted.slots == {3}

    assert _clean(slotted, slot="3", force=True) == 0
    assert slotted.slots == set()
    assert "shop-dev-3" not in slotted.namespaces


def test_the_damaged_record_of_one_issue_does_not_stop_the_cleanup_of_others(
    slotted: Slotted,
) -> None:
    """Every Issue that is closed would fail, although most never had a slot."""
    slotted.deploy(3, issue=12)
    slotted.change(3, used="long ago")

    assert _clean(slotted, issue="99") == 0
    assert "Issue 99 of org/shop has no slot: nothing to do" in slotted.shown
    assert _refused(slotted, issue="12").exit_code == 3


@pytest.mark.parametrize("repo", ["shop", "../..", "org/shop/more"])
def test_a_repository_that_is_none_is_a_mistake(slotted: Slotted, repo: str) -> None:
    """Not one that has no slots."""
    assert _refused(slotted, issue="12", repo=repo).exit_code == 2


def test_what_others_write_meanwhile_does_not_stop_a_removal(slotted: Slotted) -> None:
    """Somebody notes a pull request in the record, right before the removal writes into it."""
    slotted.deploy(3, issue=12)
    cluster, replace = slotted.cluster, slotted.cluster.replace
    written = []

    def late(*given: Any) -> Any:
        written.append(given)
        if len(written) == 2:
            key = ("ConfigMap", "codexctl", "shop-slot-3")
            cluster.objects[key] = copy.deepcopy(cluster.objects[key])
            cluster.objects[key]["metadata"]["resourceVersion"] = "changed"
        return replace(*given)

    cluster.replace = late  # type: ignore[method-assign]

    assert _clean(slotted, slot="3") == 0
    assert slotted.slots == set()


def test_a_namespace_that_is_another_by_now_is_left_alone(slotted: Slotted) -> None:
    """A removal broke off, the namespace went, and somebody else has made one of that name."""
    slotted.record(3, issue=12, state="releasing", removal="objects")
    slotted.namespace("shop-dev-3", {})
    slotted.config_map("shop-dev-3", "web")

    assert _clean(slotted, slot="3") == 0

    assert ("ConfigMap", "shop-dev-3", "web") in slotted.cluster.objects
    assert "shop-dev-3" in slotted.namespaces
    assert slotted.slots == set()


@pytest.mark.parametrize("namespace", ["shop-production", "none-such", "shop-dev-4"])
def test_a_namespace_that_is_a_typing_error_is_not_touched(
    slotted: Slotted, namespace: str
) -> None:
    """A record that somebody edited by hand must not lead into production."""
    slotted.deploy(3, issue=12)
    slotted.deploy(4, issue=13)
    slotted.namespace("shop-production", {})
    slotted.config_map("shop-production", "web")
    slotted.change(3, namespace=namespace)
    before = dict(slotted.cluster.objects)

    assert _clean(slotted, slot="3") == 3

    assert slotted.cluster.objects == before
    assert f"names namespace {namespace}, where services.yaml says shop-dev-3" in slotted.shown


def test_a_slot_that_cannot_be_is_a_mistake(slotted: Slotted) -> None:
    """But one that is there beyond the limit can be cleaned up."""
    error = _refused(slotted, slot="9")
    assert error.exit_code == 2
    assert str(error) == "--slot: there is no slot 9: maxSlots in services.yaml allows 1 to 5"

    slotted.deploy(9, issue=12)
    assert _clean(slotted, slot="9") == 0


@pytest.mark.parametrize("fields", [{"repo": "org/other"}, {"project": "other"}])
def test_the_slot_of_another_repository_is_left_alone(
    slotted: Slotted, fields: dict[str, str]
) -> None:
    """By its number it is refused; all means all of ours."""
    slotted.deploy(3, issue=12)
    slotted.change(3, **fields)

    assert _refused(slotted, slot="3").exit_code == 2
    assert _clean(slotted, all=True) == 0
    assert slotted.slots == {3}


def test_all_are_those_of_the_environment(slotted: Slotted) -> None:
    """Who names an environment does not mean another one; a number or an Issue is enough."""
    slotted.deploy(3, issue=12)
    assert _clean(slotted, env="ai-two", all=True) == 0
    assert slotted.slots == {3}
    assert _clean(slotted, env="ai-two", issue="12") == 0
    assert slotted.namespaces == {"codexctl"}


@pytest.mark.parametrize("kind", ["ConfigMap", "Namespace"])
def test_without_permission_nothing_happens(slotted: Slotted, kind: str) -> None:
    """One line, exit code 4."""
    slotted.deploy(3, issue=12)
    slotted.cluster.forbidden_kinds = {kind}
    before = dict(slotted.cluster.objects)

    try:
        code = _clean(slotted, slot="3")
    except ClusterError as error:
        code = error.exit_code

    assert code == 4
    assert slotted.cluster.objects == before


def test_one_slot_that_fails_does_not_stop_the_others(slotted: Slotted) -> None:
    """The record of the one says where it stopped; the next cleanup goes on."""
    for slot in (3, 4):
        slotted.deploy(slot, issue=10 + slot)
    held = ("ConfigMap", "shop-dev-3", "web")
    slotted.cluster.objects[held]["metadata"]["finalizers"] = ["x.io/hold"]

    assert _clean(slotted, all=True, wait_timeout="5s") == 70

    assert slotted.slots == {3}
    data = slotted.data_of(3)
    assert (data["state"], data["removal"], data.get("holder")) == ("releasing", "objects", None)
    assert "ConfigMap shop-dev-3/web: finalizer x.io/hold" in slotted.shown
    assert "slot 3: objects of it are still there" in slotted.shown
    assert slotted.data(3).is_dir()

    slotted.cluster.release(*held)
    assert _clean(slotted, all=True) == 0
    assert slotted.slots == set()


def test_a_namespace_that_hangs_is_named_with_what_holds_it(slotted: Slotted) -> None:
    """Exit code 70 and the object; the record stays; destroy is not repeated."""
    slotted.deploy(3, issue=12)
    space = slotted.cluster.objects["Namespace", "", "shop-dev-3"]
    space["metadata"]["finalizers"] = ["kubernetes"]
    message = "Some resources are remaining: configmaps. has 1 resource instances"
    space["status"] = {
        "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "message": message}]
    }
    held = slotted.config_map("shop-dev-3", "held")
    held["metadata"] |= {"finalizers": ["x.io/hold"], "deletionTimestamp": "2026-01-02T12:00:00Z"}

    assert _clean(slotted, slot="3", wait_timeout="5s") == 70

    line = "Namespace shop-dev-3: is still being deleted: ConfigMap held is held by finalizer x.io"
    assert line in slotted.shown
    assert slotted.data_of(3)["removal"] == "namespace"
    slotted.cluster.objects["Namespace", "", "shop-dev-3"]["metadata"]["finalizers"] = []
    assert _clean(slotted, slot="3") == 0
    assert slotted.slots == set()
    assert "destroy  " not in slotted.shown


def test_a_cleanup_that_is_cancelled_lets_the_next_one_begin_at_once(slotted: Slotted) -> None:
    """A workflow that is cancelled gives its lease back, and the record says what is left."""
    slotted.deploy(3, issue=12)
    held = ("ConfigMap", "shop-dev-3", "web")
    slotted.cluster.objects[held]["metadata"]["finalizers"] = ["x.io/hold"]

    def cancel() -> None:
        raise Interrupted(signal.SIGTERM)

    slotted.stage.clock.at(slotted.stage.clock.time + 2.0, cancel)
    with pytest.raises(Interrupted):
        _clean(slotted, slot="3")

    data = slotted.data_of(3)
    assert (data["state"], data["removal"]) == ("releasing", "objects")
    assert "holder" not in data
    assert slotted.data(3).is_dir()


def test_a_record_that_does_not_go_is_no_free_slot(slotted: Slotted) -> None:
    """Somebody has put a finalizer on it: exit code 70 names that."""
    slotted.deploy(3, issue=12)
    record = slotted.cluster.objects["ConfigMap", "codexctl", "shop-slot-3"]
    record["metadata"]["finalizers"] = ["x.io/hold"]

    assert _clean(slotted, slot="3") == 70

    assert "slot 3: its record is still being deleted: finalizer x.io/hold" in slotted.shown
    assert "is free" not in slotted.shown


def test_directories_that_slots_share_stay(slotted: Slotted) -> None:
    """A folder without the slot in its name belongs to the next slot as well."""
    slotted.write(env_dir="common")
    slotted.deploy(3, issue=12)
    shared = slotted.root / "common" / "postgres"
    shared.mkdir(parents=True)

    assert _clean(slotted, slot="3") == 0

    assert shared.is_dir()


def test_a_machine_without_the_data_goes_on(slotted: Slotted) -> None:
    """Cleanup runs wherever a runner is; a warning says what is left."""
    slotted.deploy(3, issue=12)
    (slotted.root / "slots" / "3" / "postgres").rmdir()
    (slotted.root / "slots" / "3").rmdir()
    (slotted.root / "slots").rmdir()
    slotted.root.rmdir()

    assert _clean(slotted, slot="3") == 0

    assert f"{slotted.root} is not on this machine" in slotted.shown


def test_a_closed_pull_request_loses_its_branch(slotted: Slotted) -> None:
    """Also when it was cleaned up before; the branch goes before the record."""
    github = FakeGitHub()
    github.pull(15, head_ref="codex/issue-12", is_open=False)
    slotted.deploy(3, pr=15)
    given = cleanup_request(pr="15", delete_branch=True)

    assert slotted.run(cleanup, given, github) == 0
    assert github.deleted == ["org/shop codex/issue-12"]
    assert slotted.run(cleanup, given, github) == 0
    assert slotted.slots == set()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"is_open": True}, "the pull request is open"),
        ({"head_repository": "fork/shop"}, "it is in fork/shop"),
        ({"head_repository": ""}, "it is in a repository that is gone"),
        ({"head_ref": "main"}, "its name is not codex/issue- and a number"),
        ({"head_ref": "codex/issue-12-b"}, "its name is not"),
        ({"head_ref": "xcodex/issue-12"}, "its name is not"),
        ({"head_ref": "codex/issue-\u0661"}, "its name is not"),
    ],
    ids=str,
)
def test_a_branch_stays_when_in_doubt(slotted: Slotted, fields: dict[str, Any], why: str) -> None:
    """Of a fork, of a person, or still in use; the slot goes all the same."""
    github = FakeGitHub()
    github.pull(15, **{"head_ref": "codex/issue-12", "is_open": False, **fields})
    slotted.deploy(3, pr=15)

    assert slotted.run(cleanup, cleanup_request(pr="15", delete_branch=True), github) == 0

    assert github.deleted == []
    assert why in slotted.shown
    assert slotted.slots == set()


def test_a_branch_goes_over_http(slotted: Slotted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run says so; then it goes, and no other; that it is gone already is fine."""
    with github_server() as server:
        for name, value in (
            ("GITHUB_API_URL", server.url),
            ("GITHUB_TOKEN", "secret-token"),
            ("CODEXCTL_REPO", server.repository),
        ):
            monkeypatch.setenv(name, value)
        server.facts.add_pull(15, "codex/issue-12", state="closed")
        server.facts.add_branch("codex/issue-12")
        server.facts.add_branch("codex/issue-13")
        slotted.deploy(3, pr=15, repo=server.repository)

        assert _clean(slotted, pr="15", delete_branch=True, dry_run=True) == 0
        assert "branch codex/issue-12 of PR 15 would be deleted" in slotted.shown
        assert len(server.facts.branches) == 2
        assert _clean(slotted, pr="15", delete_branch=True) == 0
        assert list(server.facts.branches) == ["codex/issue-13"]
        assert _clean(slotted, pr="15", delete_branch=True) == 0

    assert slotted.slots == set()


def test_the_record_stays_when_github_does_not_answer(slotted: Slotted) -> None:
    """What was asked for is not done yet, and is found again."""
    github = FakeGitHub()
    github.refusal = GitHubError("GET /repos", "GitHub answered 401", status=401)
    slotted.deploy(3, pr=15)

    assert slotted.run(cleanup, cleanup_request(pr="15", delete_branch=True), github) == 5

    assert slotted.slots == {3}
    assert "shop-dev-3" not in slotted.namespaces


@pytest.mark.parametrize(
    "given",
    [{}, {"slot": "3", "all": True}, {"issue": "1", "pr": "2"}, {"slot": "0"}, {"slot": "-1"}],
)
def test_what_is_not_clear_is_refused(given: dict[str, Any]) -> None:
    """Before anything is read."""
    with pytest.raises(CodexctlError) as caught:
        cleanup_request(**given)

    assert caught.value.exit_code == 2


def test_only_what_is_closed(slotted: Slotted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that runs by mistake, or too early, removes nothing that is still used."""
    github = FakeGitHub()
    slotted.deploy(3, issue=12)
    monkeypatch.setenv("CODEXCTL_ONLY_CLOSED", "true")

    github.issues[12] = True
    assert slotted.run(cleanup, cleanup_request(issue="12"), github) == 0
    assert "Issue 12 of org/shop is open: nothing is removed" in slotted.shown
    assert slotted.slots == {3}

    github.issues[12] = False
    assert slotted.run(cleanup, cleanup_request(issue="12"), github) == 0
    assert slotted.slots == set()

    with pytest.raises(UsageError, match="there is no Issue 99 of org/shop"):
        slotted.run(cleanup, cleanup_request(issue="99"), github)

    github.refusal = GitHubError("GET /repos/org/shop", "GitHub answered 500", status=500)
    slotted.deploy(4, issue=13)
    with pytest.raises(GitHubError):
        slotted.run(cleanup, cleanup_request(issue="13"), github)
    assert slotted.slots == {4}


def test_a_slot_stays_while_its_other_one_is_open(slotted: Slotted) -> None:
    """An Issue is closed while people still look at its pull request; gc has the same rule."""
    github = FakeGitHub()
    github.issues[12] = False
    github.pull(15, is_open=True)
    slotted.deploy(3, issue=12, pr=15)
    closed = cleanup_request(issue="12", only_closed=True)

    assert slotted.run(cleanup, closed, github) == 0
    assert "keep    slot 3" in slotted.shown
    assert "PR 15 of org/shop is open" in slotted.shown
    assert slotted.slots == {3}
    assert slotted.run(cleanup, cleanup_request(issue="12"), github) == 0
    assert slotted.slots == set()

    slotted.deploy(4, issue=12, pr=15)
    github.pull(15, is_open=False)
    assert slotted.run(cleanup, closed, github) == 0
    assert slotted.slots == set()


@pytest.mark.parametrize("meant", [{"slot": "3"}, {"all": True}])
def test_only_what_is_closed_whoever_is_meant(slotted: Slotted, meant: dict[str, Any]) -> None:
    """A number in the environment of a step is no proof that its Issue is closed."""
    github = FakeGitHub()
    request = cleanup_request(only_closed=True, **meant)
    slotted.deploy(3, issue=12)
    github.issues[12] = True
    assert slotted.run(cleanup, request, github) == 0
    assert "Issue 12 of org/shop is open" in slotted.shown
    del slotted.data_of(3)["issue"]
    assert slotted.run(cleanup, request, github) == 0
    assert "nobody knows for whom it is" in slotted.shown
    assert slotted.slots == {3}

    slotted.change(3, issue="12")
    github.issues[12] = False
    assert slotted.run(cleanup, request, github) == 0
    assert slotted.slots == set()


def test_a_branch_from_which_another_pull_request_is_open_stays(slotted: Slotted) -> None:
    """An agent opens a second one from the same branch when the first was closed."""
    github = FakeGitHub()
    github.pull(15, head_ref="codex/issue-12", is_open=False)
    github.pull(17, head_ref="codex/issue-12")
    slotted.deploy(3, pr=15)

    assert slotted.run(cleanup, cleanup_request(pr="15", delete_branch=True), github) == 0

    assert github.deleted == []
    assert "branch codex/issue-12 of PR 15 is kept: PR 17 is open from it" in slotted.shown
    assert slotted.slots == set()
