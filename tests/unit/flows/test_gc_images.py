"""Old images are removed from the stack's own repositories: what people see, and what goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, Interrupted
from codexctl_tasks.flows.gc_images import gc_images
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.settings import gc_images_request
from tests.support import output_schema
from tests.support.fake_registry import FakeRegistry, WorkloadCluster, pod_spec
from tests.support.stage import report_of

if TYPE_CHECKING:
    from codexctl_tasks.requests.basis import ClusterSettings
from tests.support.stage import Stage

API = parse_reference("localhost:5001/shop/api")
WEB = parse_reference("localhost:5001/shop/web")
OLD = "2026-01-01T00:00:00Z"
STACK = """\
project: shop
environments: {staging: {}, production: {context: live, kubeconfig: live.yaml}}
# {% set api = "1" if Env == "production" else "2" %}
images:
  api: {type: external, from: "redis:7", local: "localhost:5001/shop/api:{{ api }}"}
  web: {type: external, from: "redis:7", local: "localhost:5001/shop/web:1"}
"""


class Bench:
    """A stack, its registry, and its clusters by context."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.registry = stage, FakeRegistry()
        self.clusters = {"": WorkloadCluster("main"), "live": WorkloadCluster("live")}
        self.asked: list[ClusterSettings] = []
        (stage.folder / "services.yaml").write_text(STACK)
        for tag in "12345":
            self.registry.push(API.with_tag(tag), OLD)
        self.registry.push(WEB.with_tag("1"), OLD)

    def run(self, **given: Any) -> int:
        """Run the task; nothing is kept because it is one of the newest."""
        self.stage.stream.seek(0)
        self.stage.stream.truncate()
        outside = replace(self.stage.outside, connect=self._connect)
        return gc_images(gc_images_request(**{"keep": "0", **given}), outside, self.registry)

    @property
    def tags(self) -> str:
        """The tags of the API."""
        return "".join(sorted(self.registry.tagged[API.name]))

    def _connect(self, settings: ClusterSettings, *_: Any) -> WorkloadCluster:
        self.asked.append(settings)
        return self.clusters[settings.context]


@pytest.fixture
def bench(stage: Stage) -> Bench:
    """Return a stack whose API has five images; staging wants 2, production wants 1."""
    return Bench(stage)


def test_a_dry_run(bench: Bench) -> None:
    """Every tag with its reason, and the sum; nothing is deleted."""
    bench.clusters["live"].add("Pod", "api-1", spec=pod_spec("localhost:5001/shop/api:3"))

    assert bench.run() == 0

    *lines, closing_line = bench.stage.shown.splitlines()
    assert lines == [
        "cluster  main: looked through, objects: 0",
        "cluster  live: looked through, objects: 1",
        "localhost:5001/shop/api: 5 images with 5 tags",
        "  keep    1  desired by images.api in production",
        "  keep    2  desired by images.api in staging",
        "  keep    3  used by Pod shop/api-1 of live",
        f"  delete  4  unused, {_days()} days old",
        f"  delete  5  unused, {_days()} days old",
        "localhost:5001/shop/web: 1 image with 1 tag",
        "  keep    1  desired by images.web in staging",
    ]
    closing = "2 images with 2 tags would be deleted (up to 2.5 KiB), 4 images with 4 tags kept"
    assert closing_line == f"DRY RUN  {closing}; --delete does it"
    assert bench.registry.deleted == []


def test_deleting(bench: Bench) -> None:
    """Only with the flag, never by a variable; a second run has nothing to do."""
    assert bench.run(delete=True) == 0

    assert bench.tags == "12"
    assert "images   deleted: localhost:5001/shop/api: 3 (sha256:" in bench.stage.shown
    assert bench.stage.shown.splitlines()[-1].startswith("DONE  3 images with 3 tags deleted (up")
    assert bench.run(delete=True) == 0
    assert bench.stage.shown.splitlines()[-1] == "DONE  nothing deleted, 3 images with 3 tags kept"


def test_a_variable_does_not_delete(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left over in an environment deletes nothing."""
    monkeypatch.setenv("CODEXCTL_DELETE", "1")
    monkeypatch.setenv("CODEXCTL_KEEP", "1")

    assert bench.run(keep="") == 0
    assert bench.tags == "12345"
    assert "one of the 1 newest" in bench.stage.shown  # all five are as old as the newest


def test_rules_that_users_give(bench: Bench) -> None:
    """Patterns, age, and entries of images."""
    assert bench.run(delete=True, protect="4,x*", only="api", younger_than="0s") == 0
    assert bench.tags == "124"
    assert "shop/web" not in bench.stage.shown

    bench.registry.push(API.with_tag("6"), OLD)
    assert bench.run(delete=True, younger_than="1000000h") == 0
    assert bench.tags == "1246"


def test_an_entry_that_there_is_not(bench: Bench) -> None:
    """A misspelt name is no reason to look at everything else."""
    with pytest.raises(CodexctlError) as caught:
        bench.run(only="apj")
    assert str(caught.value) == "--only: images has no entry 'apj': did you mean 'api'?"
    assert caught.value.exit_code == 2


def test_which_clusters_are_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current one and those of all environments, each once; or those that are given."""
    bench.run(kubeconfig="mine.yaml")
    assert [(s.kubeconfig, s.context) for s in bench.asked] == [
        ("mine.yaml", ""),
        ("live.yaml", "live"),
    ]
    bench.asked.clear()
    bench.run(contexts="live,,live")
    assert [s.context for s in bench.asked] == ["live"]
    bench.asked.clear()
    monkeypatch.setenv("CODEXCTL_CONTEXT", "live")
    bench.run()
    assert [(s.kubeconfig, s.context) for s in bench.asked] == [("", "live"), ("live.yaml", "live")]


@pytest.mark.parametrize("context", ["", "live"])
def test_a_cluster_that_cannot_be_read(bench: Bench, context: str) -> None:
    """Nothing is deleted; exit code 4 with the reason."""
    bench.clusters[context].forbidden_kinds = {"ReplicaSet"}

    with pytest.raises(ClusterError) as caught:
        bench.run(delete=True)

    assert caught.value.exit_code == 4
    assert "replicasets.apps may not be listed" in str(caught.value)
    assert "therefore nothing is deleted" in str(caught.value)
    assert bench.tags == "12345"


def test_a_cluster_that_cannot_be_read_any_more(bench: Bench) -> None:
    """The rest stays; what was done is told."""

    def fail(verb: str, _: Any) -> None:
        if verb == "delete":
            bench.clusters[""].forbidden_kinds = {"Pod"}

    bench.registry.before = fail

    assert bench.run(delete=True) == 4
    assert len(bench.tags) == 4
    assert "therefore nothing more is deleted" in bench.stage.shown
    assert "1 image with 1 tag deleted" in bench.stage.shown
    assert "2 images with 2 tags left after all" in bench.stage.shown


def test_a_registry_that_does_not_allow_it(bench: Bench) -> None:
    """One line that says what to set, whatever the number of images; exit code 4."""
    bench.registry.refusals["delete", API.name] = RegistryError("x", "unsupported", status=405)
    bench.registry.push(WEB.with_tag("0"), OLD)

    assert bench.run(delete=True) == 4

    errors = [line for line in bench.stage.shown.splitlines() if line.startswith("error: ")]
    fix = "set storage.delete.enabled: true in its configuration and start it anew"
    assert errors == [f"error: localhost:5001: this registry does not allow to delete: {fix}"]
    assert "0" in bench.registry.tagged[WEB.name]  # of the same registry


def test_an_account_that_may_not_delete(bench: Bench) -> None:
    """Other repositories are dealt with all the same."""
    bench.registry.refusals["delete", API.name] = RegistryError("x", "denied", status=403)
    bench.registry.push(WEB.with_tag("0"), OLD)

    assert bench.run(delete=True) == 4

    assert "error: localhost:5001/shop/api: this account may not delete: log in" in (
        bench.stage.shown
    )
    assert "0" not in bench.registry.tagged[WEB.name]


def test_a_repository_that_cannot_be_read(bench: Bench) -> None:
    """Nothing of it is deleted; the others are dealt with."""
    bench.registry.refusals["tags", API.name] = RegistryError("here", "is away", status=503)
    bench.registry.push(WEB.with_tag("0"), OLD)

    assert bench.run(delete=True) == 4
    assert "error: here: is away" in bench.stage.shown
    assert bench.tags == "12345"
    assert "0" not in bench.registry.tagged[WEB.name]


def test_environments_that_are_named_elsewhere(bench: Bench) -> None:
    """Those that only have a namespace, and the one of --env, want their tags as well."""
    (bench.stage.folder / "services.yaml").write_text(
        STACK.replace("shop/api:{{ api }}", "shop/api:{{ {'qa': 4, 'ai': 5}.get(Env, api) }}")
        + "namespace: {patterns: {qa: shop-qa}}\n"
    )
    bench.run(delete=True, env="ai")
    assert bench.tags == "1245"
    assert "keep    4  desired by images.api in qa" in bench.stage.shown


def test_an_interruption(bench: Bench) -> None:
    """Each deletion is whole in itself: what is not deleted yet is as it was."""
    deletions = []

    def interrupt(verb: str, _: Any) -> None:
        deletions.extend([verb] if verb == "delete" else [])
        if len(deletions) == 2:
            raise Interrupted(2)

    bench.registry.before = interrupt
    with pytest.raises(Interrupted):
        bench.run(delete=True)

    assert len(bench.registry.deleted) == 1
    assert set(bench.registry.tagged[API.name].values()) == set(bench.registry.manifests[API.name])
    assert bench.stage.shown.count("deleted: ") == 1


def test_an_environment_that_cannot_be_rendered(bench: Bench) -> None:
    """Nobody knows which tags it wants: exit code 3, each mistake once."""
    (bench.stage.folder / "services.yaml").write_text(STACK.replace("{{ api }}", "{{ apj }}"))
    with pytest.raises(CombinedError) as caught:
        bench.run(delete=True)
    assert caught.value.exit_code == 3
    assert len(caught.value.problems) == 1
    assert bench.tags == "12345"


def test_images_of_services(bench: Bench) -> None:
    """A service may want a tag of another name of the registry that images does not mention."""
    (bench.stage.folder / "app.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
    )
    image = "{repository: registry.shop.svc/shop/api, tagTemplate: '4'}"
    (bench.stage.folder / "services.yaml").write_text(
        f"{STACK}services: [{{name: api, image: {image}, manifests: [{{path: app.yaml}}]}}]\n"
    )
    bench.run(delete=True)
    assert "keep    4  desired by service api in staging" in bench.stage.shown
    assert bench.tags == "124"


def test_as_json(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """One document as docs/output.md says: of a dry run, and of a run with trouble."""
    bench.run(output="json")
    report = report_of(capsys)
    output_schema.check(report, "gc-images")
    assert (report["dryRun"], report["deletedImages"], report["deletedTags"]) == (True, 3, 3)
    assert [each["name"] for each in report["clusters"]] == ["main", "live"]

    bench.registry.before = lambda verb, _: (
        bench.registry.refusals.update({("delete", API.name): RegistryError("a", "b", status=500)})
        if verb == "delete"
        else None
    )
    assert bench.run(output="json", delete=True) == 4
    report = report_of(capsys)
    output_schema.check(report, "gc-images")
    [api, _] = report["repositories"]
    outcomes = {image["tags"][0]["name"]: image["outcome"] for image in api["images"]}
    assert outcomes == {"1": "kept", "2": "kept", "3": "left", "4": "left", "5": "left"}
    assert report["problems"] == [{"where": "a", "what": "b", "fix": ""}]
    assert (report["exitCode"], report["deletedImages"], report["freedBytes"]) == (4, 0, 0)


def test_a_stack_without_images(bench: Bench, stage: Stage) -> None:
    """There is nothing to do, and no cluster is asked."""
    (stage.folder / "services.yaml").write_text("project: shop\n")
    assert bench.run() == 0
    assert "nothing would be deleted" in stage.shown
    assert bench.asked == []


def _days() -> int:
    return (datetime.now(UTC) - datetime.fromisoformat(OLD)).days
