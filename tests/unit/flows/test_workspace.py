"""``sync-sources``: where the sources go, what is told of it, and what is left when it fails."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import BrokenStreamError, CodexctlError
from codexctl_tasks.flows.slots.workspace import sync_sources
from codexctl_tasks.settings import sync_request
from codexctl_tasks.slots.sync.place import COMPONENT, MADE_BY
from codexctl_tasks.world.execution import Executed
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.output_schema import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.fakes import FakeClock
    from tests.support.project import Project


class Desk:
    """Runs the task on a stack whose workspace is in a cluster that is a dictionary."""

    def __init__(self, project: Project, clock: FakeClock) -> None:
        self.project, self.clock = project, clock
        self.cluster, self.stream = FakeCluster(), io.StringIO()
        self.put("PersistentVolumeClaim", "workspace")
        (project.folder / "sources").mkdir()
        project.write_file("sources/a", "a")
        project.write_file("nothing.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: n}}")

    def put(self, kind: str, name: str, **more: Any) -> None:
        """Put an object into the cluster."""
        metadata = {"name": name, "uid": name, **more.pop("metadata", {})}
        self.cluster.objects[kind, "shop", name] = {"kind": kind, "metadata": metadata, **more}

    def put_agent(self, **changes: Any) -> None:
        """Put a running pod there that mounts the claim at ``/volume``; *changes* spoil it."""
        mount = {"name": "v", "mountPath": "/volume", **changes.get("mount", {})}
        claim = {"claimName": "workspace", **changes.get("claim", {})}
        spec = {
            "nodeName": "n1",
            "containers": [{"name": "agent", "image": "agent:1", "volumeMounts": [mount]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": claim}],
        }
        state = changes.get("state", {"running": {}})
        status = {"phase": changes.get("phase", "Running")}
        status["containerStatuses"] = [{"name": "agent", "state": state}]
        self.put("Pod", "agent", spec=spec, status=status, metadata=changes.get("metadata", {}))

    def run(self, **given: Any) -> int:
        """Run the task with these flags."""
        outside = fake_outside(self.cluster, self.clock, self.stream)
        usual = {"manifests": ["nothing.yaml"], "namespace": "shop", "folder": "sources"}
        return sync_sources(sync_request(**{**usual, **given}), outside)

    def refused(self, **given: Any) -> CodexctlError:
        """Run the task that ends with an error, and return that."""
        with pytest.raises(CodexctlError) as caught:
            self.run(**given)
        assert "\n" not in str(caught.value)
        return caught.value

    @property
    def helpers(self) -> list[str]:
        """Names of the pods made for syncs that are there."""
        return [name for kind, _, name in self.cluster.objects if name.startswith("codexctl-sync")]


@pytest.fixture
def desk(project: Project, clock: FakeClock) -> Desk:
    """Return a cluster with a claim, and a folder with one file."""
    return Desk(project, clock)


def survey(stats: str = "", synced: str = "") -> Any:
    """Return what lists the files of the other side; *synced*: the memory of the last sync."""

    def run(command: Sequence[str], _: bytes) -> bytes:
        parts = ["1000", stats, *[""] * 4, synced, "", "", "done"]
        return gzip.compress(f"\n{command[4]}\n".join(parts).encode())

    return run


def prints(text: str = "") -> Any:
    """Return a command that prints this."""
    return lambda *_: text.encode()


def fails(code: int, stderr: str) -> Any:
    """Return a command that ends like this."""
    return lambda *_: Executed(code, stderr)


def becomes(status: dict[str, Any]) -> Any:
    """Return what gives a new pod this status."""
    return lambda created: created.update(status=status)


RUNNING = {"phase": "Running"}


def test_sources_go_into_a_pod_that_has_the_volume(
    desk: Desk,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No pod is made; text, JSON and outputs of the step tell the same numbers."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(project.folder / "outputs"))
    desk.put_agent()
    desk.cluster.runs = [survey(), prints()]

    code = desk.run(output="json", path="src")

    assert code == 0
    assert desk.cluster.calls == ["list Pod", "execute agent agent", "execute agent agent"]
    assert "sent: 1 files, 1 bytes" in desk.stream.getvalue()
    report = json.loads(capsys.readouterr().out)
    check(report, "sync-sources")
    assert (report["pod"], report["folder"]) == ("agent", "/volume/src")
    assert (report["sent"], report["sentBytes"]) == (1, 1)
    outputs = (project.folder / "outputs").read_text().splitlines()
    names = [line.partition("<<")[0] for line in outputs[::3]]
    assert names == ["sent", "sent-bytes", "deleted", "kept", "work-kept"]
    assert outputs[1::3] == ["1", "1", "0", "0", "0"]


def test_the_folder_of_the_volume_is_called_like_the_project(desk: Desk, project: Project) -> None:
    """Without --path the sources of the shop are in ``shop``."""
    project.write(services_yaml="{project: shop, namespace: {patterns: {ai: shop}}}")
    desk.put_agent()
    seen: list[str] = []
    desk.cluster.runs = [lambda command, _: seen.extend(command) or survey()(command, b"")]
    desk.cluster.runs.append(prints())

    desk.run(manifests=[], namespace="", env="ai")

    assert seen[5:] == ["/volume/shop", "/volume/.codexctl/shop"]


def test_foreign_work_is_named_and_nothing_is_sent(desk: Desk) -> None:
    """What nobody synced is somebody's: the file is named, and only looked at."""
    desk.put_agent()
    desk.cluster.runs = [survey("81a4 1 7 100 100 ./a\n"), prints(f"{'b' * 64}  ./a\n")]

    refused = desk.refused()

    assert refused.exit_code == 4
    assert "1 in all: a" in str(refused)
    assert desk.cluster.calls.count("execute agent agent") == 2


def test_work_that_is_in_nobodys_way_is_kept_and_told(desk: Desk) -> None:
    """Nothing is new here: what was changed there stays, and twenty files of it are named."""
    desk.put_agent()
    known = f"f 644 1 100 {sha('a')} a\0"
    theirs = "".join(f"81a4 1 7 100 100 ./w{number:02}\n" for number in range(25))
    hashes = "".join(f"{'b' * 64}  ./w{number:02}\n" for number in range(25))
    stats = f"81a4 1 7 100 100 ./a\n{theirs}"
    desk.project.folder.joinpath("sources", "a").chmod(0o644)
    desk.cluster.runs = [survey(stats, known), prints(f"{sha('a')}  ./a\n{hashes}")]

    code = desk.run()

    assert code == 0
    told = desk.stream.getvalue()
    assert told.count("kept: w") == 20
    assert "kept: 5 more" in told
    assert "sent: 0 files" in told


def sha(text: str) -> str:
    """Return the digest of a content."""
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"mount": {"readOnly": True}},
        {"claim": {"readOnly": True}},
        {"mount": {"subPath": "data"}},
        {"claim": {"claimName": "other"}},
        {"state": {"waiting": {}}},
        {"phase": "Succeeded"},
        {"metadata": {"deletionTimestamp": "2026-01-02T12:00:00Z"}},
    ],
)
def test_a_pod_that_cannot_take_the_sources_is_not_used(
    desk: Desk, changes: dict[str, Any]
) -> None:
    """Read-only, a part of the volume, another one, not running: a pod is made, and removed."""
    desk.put_agent(**changes)
    desk.cluster.on_create = becomes(RUNNING)
    desk.cluster.runs = [survey(), prints()]

    assert desk.run(image="agent:1") == 0

    assert "execute agent agent" not in desk.cluster.calls
    assert sum(call.startswith("create Pod codexctl-sync-") for call in desk.cluster.calls) == 1
    assert desk.helpers == []


def test_pods_of_runs_that_were_killed_are_removed(desk: Desk) -> None:
    """One that has ended goes with the next sync."""
    labels = {MADE_BY: "codexctl", COMPONENT: "source-sync"}
    status, spec = {"phase": "Succeeded"}, {"containers": [], "volumes": []}
    desk.put("Pod", "codexctl-sync-old", spec=spec, status=status, metadata={"labels": labels})
    desk.cluster.on_create = becomes(RUNNING)
    desk.cluster.runs = [survey(), prints()]

    desk.run(image="agent:1")

    assert desk.helpers == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Pending"}, "no reason is given"),
        (
            {
                "phase": "Pending",
                "conditions": [{"status": "False", "message": "0/1 nodes are available"}],
            },
            "0/1 nodes are available",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
                ],
            },
            "ErrImagePull: not found",
        ),
    ],
)
def test_a_pod_that_never_starts_is_given_up(desk: Desk, status: dict[str, Any], said: str) -> None:
    """After two minutes it is removed, and the line says what it waits for."""
    desk.cluster.on_create = becomes(status)

    refused = desk.refused(image="agent:1")

    assert refused.exit_code == 70
    assert f"does not start: {said}" in str(refused)
    assert 120 <= desk.clock.time < 125
    assert desk.helpers == []


def test_an_image_that_cannot_be_had_is_told_at_once(desk: Desk) -> None:
    """Its name is wrong: nobody waits two minutes for it."""
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    status = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    desk.cluster.on_create = becomes(status)

    refused = desk.refused(image="agent:1")

    assert refused.exit_code == 4
    assert "ImagePullBackOff: not found: name an image that the nodes may pull" in str(refused)
    assert desk.clock.time < 1
    assert desk.helpers == []


def test_a_pod_that_ends_at_once_is_told(desk: Desk) -> None:
    """An image without a shell: the pod is removed, and the line says where to look."""
    desk.cluster.on_create = becomes({"phase": "Failed"})

    refused = desk.refused(image="agent:1")

    assert refused.exit_code == 4
    assert "see whether its image has a shell" in str(refused)
    assert desk.helpers == []


def test_what_is_missing_is_named_and_nothing_is_made(desk: Desk) -> None:
    """No claim, or no image for a pod: one line, and the exit code of whose fault it is."""
    no_image, no_claim = desk.refused(), desk.refused(claim="other", image="agent:1")

    assert (no_image.exit_code, no_claim.exit_code) == (3, 4)
    assert "--image" in str(no_image)
    assert "PersistentVolumeClaim shop/other: does not exist" in str(no_claim)
    assert not any(call.startswith("create") for call in desk.cluster.calls)


def test_what_the_other_side_complains_about_is_one_line(desk: Desk) -> None:
    """Its own words, all in one line and not too long; its pod is removed."""
    desk.cluster.on_create = becomes(RUNNING)
    desk.cluster.runs = [survey(), fails(2, "tar: a: No space left on device\n" * 1000)]

    refused = desk.refused(image="agent:1")

    assert refused.exit_code == 4
    assert "No space left on device tar: a: No space" in str(refused)
    assert len(str(refused)) < 1000
    assert desk.helpers == []


def test_a_stream_that_breaks_again_and_again_is_given_up(desk: Desk) -> None:
    """Five attempts, each told; then its own error."""
    desk.put_agent()
    desk.cluster.runs = [each for _ in range(5) for each in (survey(), fails(75, "too early"))]

    refused = desk.refused()

    assert isinstance(refused, BrokenStreamError)
    assert refused.exit_code == 4
    assert desk.stream.getvalue().count("the stream was cut; attempt") == 4


def test_an_answer_that_is_no_list_is_told(desk: Desk) -> None:
    """A proxy that answers anything: the line names the place."""
    desk.put_agent()
    desk.cluster.runs = [prints("<html>")]

    assert "the list of its files is not understood" in str(desk.refused())
