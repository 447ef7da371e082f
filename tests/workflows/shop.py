"""The shop's repository with its own workflow, and a cluster to which that deploys."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.act import Forge, Run, ended_run
from tests.support.shell import QUICK_S, ROOT, SLOW_S, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = ROOT / "examples/shop"
BASES = {"redis:7": "redis-server", "python:3.11-slim": "python3"}
"""What the shop stands on, and the program of each."""
MARK = f"sentinel-{uuid.uuid4().hex[:12]}"
"""In secrets alone: no file of any checkout on this machine has it."""
PASSWORD = f"{MARK}-of-the-shop"
_HARNESS = ("secret.env", "event.json")
"""Files that hold secrets, but only because the harness wrote them."""


@contextmanager
def slots_of_the_shop() -> Iterator[None]:
    """Have the slots of this repository alone: the nightly removal of one file ends another's."""
    (folder := ROOT / "build").mkdir(exist_ok=True)
    with (folder / "slots.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class Shop:
    """A repository, a cluster and its registry, as a team's runner reaches them."""

    folder: Path
    tool_cache: Path
    cluster: dict[str, str] = field(repr=False)
    namespace: str = f"shop-workflow-{os.getpid()}"
    pushes: int = 0

    @property
    def registry(self) -> str:
        """Its host."""
        return self.cluster["SANDBOX_REGISTRY"]

    @property
    def kubeconfig(self) -> str:
        """The content of the secret."""
        return Path(self.cluster["KUBECONFIG"]).read_text()

    def push(
        self,
        files: dict[str, str] | None = None,
        *,
        workflow: str = "staging.yml",
        event: str = "push",
        payload: dict[str, Any] | None = None,
        secrets: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
        actor: str = "somebody",
        interrupt: Callable[[subprocess.Popen[str]], None] | None = None,
        shows_secrets: bool = False,
    ) -> Run:
        """
        Push the shop with some files changed: its own workflow runs to its end.

        Args:
            files: Texts by path, in place of those of the example.
            workflow: Which of them runs.
            event: What starts the workflow.
            payload: What GitHub says about that.
            secrets: In place of those that the repository has.
            variables: Further ones of the repository.
            env: Further variables of the runner.
            actor: Whoever started the run.
            interrupt: Called with act while it runs.
            shows_secrets: What a step writes is shown as it is; GitHub masks secrets itself.
        """
        self.pushes += 1
        forge = Forge(self.folder / f"push-{self.pushes}", self.tool_cache)
        caller = forge.add_caller("team/shop", SOURCE, files)
        known = {"KUBECONFIG": self.kubeconfig, "SHOP_DB_PASSWORD": PASSWORD}
        command = forge.command(
            *(workflow, event, payload),
            secrets={**known, **(secrets or {})},
            variables={"SHOP_REGISTRY": self.registry, **(variables or {})},
            env={
                "CODEXCTL_NAMESPACE": self.namespace,
                "CODEXCTL_LOGS": str(self.folder / "logs"),  # act removes the runner's own folder
                "SHOP_UPSTREAM": f"{self.registry}/upstream",
                **{name: v for name, v in self.cluster.items() if name != "KUBECONFIG"},
                **(env or {}),
            },
            actor=actor,
            shows_secrets=shows_secrets,
        )
        with forge.started(caller, command) as process:
            if interrupt:
                interrupt(process)
            log, _ = process.communicate(timeout=SLOW_S * 2)
        for name in _HARNESS:
            (forge.folder / name).unlink()
        return ended_run(process.returncode, log)

    def kubectl(self, *arguments: str) -> str:
        """Ask the cluster with an independent program."""
        program = self.cluster.get("SANDBOX_KUBECTL", "kubectl")
        return subprocess.check_output(
            [program, *arguments],
            env=clean_environment(**self.cluster),
            text=True,
            timeout=QUICK_S,
        )

    def page(self) -> str:
        """Return the page of the shop; the API server passes the request on."""
        path = f"/api/v1/namespaces/{self.namespace}/services/web:http/proxy/"
        return self.kubectl("get", "--raw", path)

    def objects(self) -> str:
        """Return all that is in the cluster, as JSON, but the Secrets."""
        kinds = self.kubectl("api-resources", "--verbs", "list", "--output", "name").split()
        shown = ",".join(kind for kind in kinds if kind != "secrets")
        return self.kubectl("get", shown, "--all-namespaces", "--output", "json")

    def lease_holder(self) -> str:
        """Return who deploys; empty: nobody."""
        name = ("get", "lease", "codexctl-shop.staging", "-n", self.namespace)
        with suppress(subprocess.CalledProcessError):
            lease = json.loads(self.kubectl(*name, "-o", "json"))
            return str(lease["spec"].get("holderIdentity") or "")
        return ""

    def close(self) -> None:
        """Remove what is in the cluster."""
        self.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
