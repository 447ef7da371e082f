"""``gc``: what is over goes by the steps of cleanup; what cannot be seen is not over."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError
from codexctl_tasks.flows.slots.gc import gc
from codexctl_tasks.settings import gc_request
from codexctl_tasks.slots.record import written_time
from codexctl_tasks.world.github_answers import GitHubError
from tests.support import output_schema
from tests.support.github_server import github_server
from tests.support.slotted import FakeGitHub, Slotted
from tests.support.stage import report_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.github_server import GitHubServer
    from tests.support.stage import Stage

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
RUN = "https://github.com/org/shop/actions/runs/7"


def _ago(**span: float) -> str:
    return written_time(NOW - timedelta(**span))


@pytest.fixture
def slotted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Slotted:
    """Return a stack with slots."""
    monkeypatch.setenv("CODEXCTL_REPO", "org/shop")
    return Slotted(stage, NOW)


@pytest.fixture
def github() -> FakeGitHub:
    """Return a GitHub where Issue 12 is open, 13 is closed, and run 7 goes on."""
    found = FakeGitHub()
    found.issues, found.runs = {12: True, 13: False}, {7: "in_progress"}
    return found


@contextmanager
def _served(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """Run a GitHub that gc finds by the variables of a run."""
    with github_server() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
        monkeypatch.setenv("CODEXCTL_REPO", server.repository)
        yield server


def _collect(slotted: Slotted, github: FakeGitHub, **given: Any) -> int:
    return slotted.run(gc, gc_request(**given), github)


def _mark(slotted: Slotted, slot: int, records: str) -> None:
    """Let a namespace say where its record is, as ensure-ready does."""
    namespace = slotted.cluster.objects["Namespace", "", f"shop-dev-{slot}"]
    namespace["metadata"]["labels"]["codexctl/records"] = records


def _in_use(slotted: Slotted, slot: int, **fields: Any) -> None:
    slotted.deploy(slot, **{"issue": 12, "used": _ago(hours=2), **fields})


def test_without_delete_it_only_tells(
    slotted: Slotted, github: FakeGitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reason for each slot, for people and for programs; nothing is changed."""
    _in_use(slotted, 2)
    _in_use(slotted, 3, issue=13)
    before = dict(slotted.cluster.objects)

    assert _collect(slotted, github, output="json") == 0

    assert slotted.cluster.objects == before
    assert "keep    slot 2 (Issue 12 of org/shop): Issue 12 is open, used 2 h ago" in slotted.shown
    assert "remove  slot 3 (Issue 13 of org/shop): Issue 13 is closed" in slotted.shown
    assert "DRY RUN  1 slot would be removed, 1 slot kept; --delete does it" in slotted.shown
    report = report_of(capsys)
    output_schema.check(report, "slots-removed")
    outcomes = [(each["slot"], each["outcome"]) for each in report["slots"]]
    assert outcomes == [(2, "stays"), (3, "would be removed")]


def test_what_is_over_goes_with_all_that_belongs_to_it(
    slotted: Slotted, github: FakeGitHub
) -> None:
    """Closed, too old, never made ready, half removed, and what lost its record."""
    _in_use(slotted, 1)
    _in_use(slotted, 2, issue=13)
    _in_use(slotted, 3, used=_ago(days=8))
    slotted.record(4, issue=12, state="allocated", holder="x@y", **{"lease-until": _ago(hours=2)})
    _in_use(slotted, 5, issue=12)
    del slotted.cluster.objects["ConfigMap", "codexctl", "shop-slot-5"]
    _mark(slotted, 5, "codexctl.shop-slot")

    assert _collect(slotted, github, delete=True) == 0

    assert slotted.slots == {1}
    assert slotted.namespaces == {"codexctl", "shop-dev-1"}
    assert [slotted.data(slot).exists() for slot in (1, 2, 3, 5)] == [True, False, False, False]
    assert "slot 5: namespace shop-dev-5 has no record" in slotted.shown
    assert "DONE  4 slots removed, 1 slot kept" in slotted.shown


@pytest.mark.parametrize("records", ["", "codexctl.old-slot", "elsewhere.shop-slot"])
def test_a_namespace_whose_record_would_be_elsewhere_stays(
    slotted: Slotted, github: FakeGitHub, records: str
) -> None:
    """Somebody deployed by hand with --slot, or records are kept in another place by now."""
    _in_use(slotted, 5)
    del slotted.cluster.objects["ConfigMap", "codexctl", "shop-slot-5"]
    if records:
        _mark(slotted, 5, records)

    assert _collect(slotted, github, delete=True) == 0

    assert slotted.namespaces == {"codexctl", "shop-dev-5"}
    assert "slot 5: namespace shop-dev-5 never had a record here" in slotted.shown


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"codexctl/slot": "3", "codexctl/repo": "org.other", "codexctl/stack": "s"},
        {"codexctl/slot": "3", "codexctl/repo": "org.shop", "codexctl/stack": "other.ai.3.x"},
    ],
    ids=str,
)
def test_foreign_namespaces_are_not_even_mentioned(
    slotted: Slotted, github: FakeGitHub, labels: dict[str, str]
) -> None:
    """Their names look like ours, or they are the slots of another repository or project."""
    slotted.namespace("shop-dev-3", labels)
    before = dict(slotted.cluster.objects)

    assert _collect(slotted, github, delete=True) == 0

    assert slotted.cluster.objects == before
    assert "shop-dev-3" not in slotted.shown


@pytest.mark.parametrize("kind", ["Namespace", "ConfigMap"])
def test_a_cluster_that_cannot_be_read_loses_nothing(
    slotted: Slotted, github: FakeGitHub, kind: str
) -> None:
    """One line, exit code 4."""
    _in_use(slotted, 3, issue=13)
    slotted.cluster.forbidden_kinds = {kind}
    before = dict(slotted.cluster.objects)

    with pytest.raises(ClusterError) as caught:
        _collect(slotted, github, delete=True)

    assert caught.value.exit_code == 4
    assert str(caught.value).endswith("forbidden, therefore nothing is deleted")
    assert slotted.cluster.objects == before


@pytest.mark.parametrize("status", [0, 401, 403, 500])
def test_a_github_that_does_not_tell_loses_nothing(
    slotted: Slotted, github: FakeGitHub, status: int
) -> None:
    """Exit code 5; not even what is too old anyway goes."""
    _in_use(slotted, 2, used=_ago(days=30))
    github.refusal = GitHubError("GET /repos", "no answer", status=status)
    before = dict(slotted.cluster.objects)

    with pytest.raises(GitHubError) as caught:
        _collect(slotted, github, delete=True)

    assert caught.value.exit_code == 5
    assert "therefore nothing is deleted" in str(caught.value)
    assert slotted.cluster.objects == before


def test_a_token_is_needed_only_for_slots_of_issues(
    slotted: Slotted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, and with a slot for an Issue, nothing is deleted."""
    for name in ("CODEXCTL_GH_PAT", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    slotted.deploy(3, used=_ago(days=30))
    assert slotted.run(gc, gc_request(delete=True)) == 0
    assert slotted.slots == set()

    _in_use(slotted, 4)
    with pytest.raises(CodexctlError) as caught:
        slotted.run(gc, gc_request(delete=True))
    assert caught.value.exit_code == 5
    assert "there is no token, therefore nothing is deleted" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "stays"), [("in_progress", True), ("completed", False), (None, True)]
)
def test_a_run_that_is_over_does_not_come_back(
    slotted: Slotted, github: FakeGitHub, status: str | None, stays: bool
) -> None:
    """GitHub knows it; what it does not know may come back within the grace."""
    github.runs = {7: status} if status else {}
    lease = {"lease-until": _ago(minutes=10), "holder": RUN}
    slotted.record(3, issue=12, state="allocated", **lease)

    assert _collect(slotted, github, delete=True) == 0

    assert slotted.slots == ({3} if stays else set())


def test_a_slot_that_is_used_again_in_this_moment_stays(
    slotted: Slotted, github: FakeGitHub
) -> None:
    """It was judged by a record that is not true any more: no failure either."""
    _in_use(slotted, 3, issue=13)
    get = github.issue

    def closed_and_opened_again(repository: str, number: int) -> Any:
        key = ("ConfigMap", "codexctl", "shop-slot-3")
        record = slotted.cluster.objects[key]
        metadata = {**record["metadata"], "resourceVersion": "changed"}
        slotted.cluster.objects[key] = {**record, "metadata": metadata}
        return get(repository, number)

    github.issue = closed_and_opened_again  # type: ignore[method-assign]

    assert _collect(slotted, github, delete=True) == 0

    assert slotted.slots == {3}
    assert "shop-dev-3" in slotted.namespaces
    assert "keep    slot 3 (Issue 13 of org/shop): somebody began to use it" in slotted.shown


def test_one_slot_that_fails_does_not_stop_the_others(slotted: Slotted, github: FakeGitHub) -> None:
    """A damaged record and a finalizer; the exit code is that of the failure."""
    for slot in (1, 2, 3):
        _in_use(slotted, slot, issue=13)
    slotted.change(1, state="splendid")
    slotted.cluster.objects["ConfigMap", "shop-dev-2", "web"]["metadata"]["finalizers"] = ["x.io/h"]

    assert _collect(slotted, github, delete=True, wait_timeout="5s") == 3

    assert slotted.slots == {1, 2}
    assert "keep    slot 1: its record is damaged: state is 'splendid'" in slotted.shown
    assert "DONE  1 slot removed, 1 slot kept, 1 slot not removed" in slotted.shown


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"namespace": ""}, 3),
        ({"holder": "https://github.com/../../actions/runs/7"}, 0),
        ({"holder": f"https://github.com/shop/web/actions/runs/{'9' * 5000}"}, 0),
    ],
    ids=["namespace", "repository", "run"],
)
def test_what_somebody_wrote_into_one_record_does_not_stop_the_others(
    slotted: Slotted, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], code: int
) -> None:
    """Whatever becomes of that slot, the one that is closed goes."""
    with _served(monkeypatch) as server:
        server.facts.add_issue(13, state="closed")
        repo = {"repo": server.repository}
        _in_use(slotted, 2, issue=13, **repo)
        _in_use(slotted, 5, issue=12, **repo)
        slotted.change(5, **fields)
        # Beside it, only a record without a namespace needs the file for its slot.
        stack = slotted.stage.folder / "services.yaml"
        stack.write_text(stack.read_text() + "# {{ if eq .Slot 5 }}{{ index `x` 9 }}{{ end }}\n")

        assert slotted.run(gc, gc_request(delete=True)) == code

    assert slotted.slots == {5}


def test_slots_of_other_projects_are_none_of_ours(slotted: Slotted, github: FakeGitHub) -> None:
    """Several projects, and environments with other rules, keep their records in one namespace."""
    slotted.record(3, issue=13, repo="org/other")
    slotted.record(4, issue=13, project="other")
    slotted.record(5, issue=13, env="ai-long", namespace="")

    assert _collect(slotted, github, delete=True) == 0
    assert slotted.slots == {3, 4, 5}

    assert _collect(slotted, github, delete=True, env="ai-long") == 0
    assert slotted.slots == {3, 4}


def test_github_is_asked_as_it_is(slotted: Slotted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP: a closed Issue, an open one, one that is gone, and a run that is over."""
    with _served(monkeypatch) as server:
        server.facts.add_issue(13, state="closed")
        server.facts.add_pull(14, "codex/issue-13", state="closed", merged_at="2026-01-09")
        server.facts.deleted = {15}
        server.facts.runs[7] = {"run_attempt": 1, "status": "completed", "conclusion": "failure"}
        repo = {"repo": server.repository}
        _in_use(slotted, 1, issue=12, **repo)
        _in_use(slotted, 2, issue=13, pr=14, **repo)
        _in_use(slotted, 3, issue=15, **repo)
        holder = RUN.replace("org/shop", server.repository)
        lease = {"lease-until": _ago(minutes=1), "holder": holder, **repo}
        slotted.record(4, issue=12, state="allocated", **lease)

        assert slotted.run(gc, gc_request(delete=True)) == 0

    assert slotted.slots == {1, 3}
    assert "Issue 13 and PR 14 are closed" in slotted.shown
    assert "Issue 15 is not known to GitHub, used 2 h ago" in slotted.shown
    assert "secret-token" not in slotted.shown


def test_the_time_to_live_is_a_flag(slotted: Slotted, github: FakeGitHub) -> None:
    """A week unless something else is said."""
    _in_use(slotted, 3, used=_ago(days=2))

    assert _collect(slotted, github, ttl="47h", delete=True) == 0

    assert slotted.slots == set()
