"""A stack with slots on a cluster that is a dictionary, and a GitHub that is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.flows import deploy
from codexctl_tasks.settings import deploy_request
from codexctl_tasks.world.github_answers import GitHubError, Reason
from codexctl_tasks.world.github_objects import Issue, PullRequest, Run
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from tests.support.fakes import FakeCluster
    from tests.support.stage import Stage

STATE = ("codexctl", "shop-slot-")
"""Namespace of the records, and how their names begin."""


class Slotted:
    """A stack whose slots have a ConfigMap ``web`` and a data directory ``postgres``."""

    def __init__(self, stage: Stage, now: datetime) -> None:
        self.stage = stage
        self.cluster.time = now
        self.root = stage.folder / "data"
        self.root.mkdir()
        self.namespace(STATE[0], {})
        self.write()

    @property
    def cluster(self) -> FakeCluster:
        """Where everything is."""
        return self.stage.cluster

    @property
    def shown(self) -> str:
        """What was shown since the last run began."""
        return self.stage.shown

    def write(self, *, env_dir: str = "") -> None:
        """Write the stack."""
        folder = f"  envDir: {env_dir}\n" if env_dir else ""
        (self.stage.folder / "services.yaml").write_text(
            "project: shop\n"
            "maxSlots: 5\n"
            f"state: {{configmapNamespace: {STATE[0]}, configmapPrefix: {STATE[1]}}}\n"
            f"dataPaths:\n  root: {self.root}\n  dirs: [postgres]\n{folder}"
            "services:\n- {name: web, manifests: [{path: app.yaml}]}\n"
        )
        self.stage.write(yaml_of("ConfigMap", "web", "data: {k: v}"))

    def run(self, task: Callable[..., int], request: Any, *more: Any) -> int:
        """Run a task; what was shown and called before is forgotten."""
        self.cluster.calls.clear()
        self.stage.stream.seek(0)
        self.stage.stream.truncate()
        return task(request, self.stage.outside, *more)

    def deploy(self, slot: int, **fields: Any) -> None:
        """Take a slot and deploy its environment."""
        self.record(slot, **fields)
        assert deploy.apply(deploy_request(env="ai", slot=str(slot)), self.stage.outside) == 0
        self.make_data(slot)

    def record(self, slot: int, **fields: Any) -> None:
        """Write the record of a slot."""
        usual = {
            "slot": slot,
            "env": "ai",
            "project": "shop",
            "repo": "org/shop",
            "namespace": f"shop-dev-{slot}",
            "state": "ready",
        }
        data = {key: str(value) for key, value in {**usual, **fields}.items()}
        self.config_map(STATE[0], f"{STATE[1]}{slot}")["data"] = data

    def change(self, slot: int, **fields: str) -> None:
        """Change a record as ``kubectl edit`` does."""
        self.data_of(slot).update(fields)

    def data_of(self, slot: int) -> dict[str, str]:
        """Return what a record says."""
        data: dict[str, str] = self.cluster.objects["ConfigMap", STATE[0], f"{STATE[1]}{slot}"][
            "data"
        ]
        return data

    def namespace(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        """Make a namespace that is not codexctl's."""
        return self._object("Namespace", "", name, labels)

    def config_map(self, namespace: str, name: str) -> dict[str, Any]:
        """Make a ConfigMap that is not codexctl's."""
        return self._object("ConfigMap", namespace, name, {})

    def _object(
        self, kind: str, namespace: str, name: str, labels: dict[str, str]
    ) -> dict[str, Any]:
        number = len(self.cluster.objects)
        self.cluster.objects[kind, namespace, name] = {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"other-{number}",
                "resourceVersion": f"other-{number}",
                "labels": labels,
            },
        }
        return self.cluster.objects[kind, namespace, name]

    def data(self, slot: int) -> Path:
        """Return the data directory of a slot."""
        return self.root / "slots" / str(slot) / "postgres"

    def make_data(self, slot: int) -> None:
        """Make the data directory of a slot."""
        self.data(slot).mkdir(parents=True)

    @property
    def slots(self) -> set[int]:
        """Numbers of slots that have a record."""
        return {
            int(name.removeprefix(STATE[1]))
            for kind, space, name in self.cluster.objects
            if (kind, space) == ("ConfigMap", STATE[0])
        }

    @property
    def namespaces(self) -> set[str]:
        """All namespaces."""
        return {name for kind, _, name in self.cluster.objects if kind == "Namespace"}


class FakeGitHub:
    """Issues, pull requests and runs in dictionaries; anything else does not exist."""

    def __init__(self) -> None:
        self.issues: dict[int, bool] = {}
        """Whether each is open."""
        self.pulls: dict[int, PullRequest] = {}
        self.runs: dict[int, str] = {}
        """The status of each."""
        self.refusal: GitHubError | None = None
        """What every question gets."""
        self.deleted: list[str] = []

    def pull(self, number: int, **fields: Any) -> None:
        """Make a pull request."""
        texts = ("title", "body", "author", "head_sha", "base_ref", "base_sha", "url")
        usual = {
            **dict.fromkeys(texts, ""),
            "repository": "org/shop",
            "number": number,
            "is_open": True,
            "is_merged": False,
            "is_draft": False,
            "head_repository": "org/shop",
            "head_ref": f"codex/issue-{number}",
        }
        self.pulls[number] = PullRequest(**{**usual, **fields})

    def issue(self, repository: str, number: int) -> Issue:
        """Return an Issue."""
        self._check(number in self.issues)
        return Issue(
            repository=repository,
            number=number,
            is_open=self.issues[number],
            title="",
            body="",
            author="",
            labels=(),
            is_pull_request=False,
            is_locked=False,
            url="",
        )

    def pull_request(self, repository: str, number: int) -> PullRequest:
        """Return a pull request."""
        del repository
        self._check(number in self.pulls)
        return self.pulls[number]

    def open_pull_requests(self, repository: str, branch: str) -> list[PullRequest]:
        """Return the open pull requests from a branch."""
        del repository
        self._check(exists=True)
        return [each for each in self.pulls.values() if each.is_open and each.head_ref == branch]

    def run(self, repository: str, run: int) -> Run:
        """Return a run."""
        del repository
        self._check(run in self.runs)
        return Run(id=run, attempt=1, status=self.runs[run], conclusion="", url="")

    def delete_branch(self, repository: str, name: str) -> bool:
        """Note that a branch goes; False: it was gone already."""
        self._check(exists=True)
        is_new = f"{repository} {name}" not in self.deleted
        if is_new:
            self.deleted.append(f"{repository} {name}")
        return is_new

    def _check(self, exists: bool) -> None:
        if self.refusal:
            raise self.refusal
        if not exists:
            what = "GitHub answered 404"
            raise GitHubError("GET /repos/org/shop", what, status=404, reason=Reason.NOT_FOUND)
