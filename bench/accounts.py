"""
The cluster's side of the benchmark: an account for each program, and counts of its requests.

Each program has a ServiceAccount, and a FlowSchema at the exempt priority level. So nothing slows
it down, and the API server counts its requests, and only those, in a metric. With several API
servers the counts are those of one of them. Everything carries one label, by which it is removed.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "codexctl-bench"
_HOME = "bench-accounts"
_COUNTER = "apiserver_flowcontrol_dispatched_requests_total"
_TOKENS_LAST = "8h"
_PATIENCE_S = 60.0


class ClusterError(Exception):
    """The cluster does not do what the benchmark needs."""


@dataclass(frozen=True)
class Administrator:
    """What the benchmark itself does with the cluster, never while a program is measured."""

    kubectl: str
    environment: dict[str, str]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints."""
        done = subprocess.run(
            [self.kubectl, *arguments],
            env=self.environment,
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create objects of the benchmark itself, with its label."""
        for each in objects:
            each["metadata"]["labels"] = {LABEL: "apply"}
        every = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "-f", "-", stdin=json.dumps(every))

    def create_namespace(self, name: str) -> None:
        """Create a namespace and wait until it has what every namespace gets."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        wait_until(
            lambda: self.run("get", "sa/default", "--namespace", name, "--ignore-not-found") != "",
            f"ServiceAccount default in {name}",
        )

    def clean(self, *, wait: bool = True) -> None:
        """Remove everything with our label: what we made, or what an earlier run left."""
        kinds = "namespaces,clusterrolebindings,flowschemas"
        self.run("delete", kinds, "--selector", LABEL, f"--wait={str(wait).lower()}")

    def open_accounts(self, names: list[str], folder: Path) -> dict[str, Path]:
        """Create an account for each name; return the kubeconfigs."""
        self.create_namespace(_HOME)
        self.apply(*(each for name in names for each in _describe(name)))
        kubeconfigs = {}
        for name in names:
            duration = f"--duration={_TOKENS_LAST}"
            token = self.run("create", "token", name, "--namespace", _HOME, duration).strip()
            kubeconfigs[name] = folder / f"{name}.json"
            kubeconfigs[name].touch(mode=0o600)
            kubeconfigs[name].write_text(self._write_kubeconfig(token), encoding="utf-8")
            self._wait_for_count(name, kubeconfigs[name])
        return kubeconfigs

    def count_requests(self, name: str) -> int:
        """Return how many requests an account has sent so far."""
        wanted = f'{_COUNTER}{{flow_schema="bench-{name}",'
        # Line by line: what we use counts as memory of what we start, and this is megabytes.
        with subprocess.Popen(
            [self.kubectl, "get", "--raw", "/metrics"],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            return sum(int(line.split()[-1]) for line in process.stdout if line.startswith(wanted))

    def _write_kubeconfig(self, token: str) -> str:
        ours = json.loads(self.run("config", "view", "--raw", "--minify", "--output", "json"))
        cluster = {"name": "bench", "cluster": ours["clusters"][0]["cluster"]}
        context = {"name": "bench", "context": {"cluster": "bench", "user": "bench"}}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "bench", "user": {"token": token}}],
                "contexts": [context],
                "current-context": "bench",
            }
        )

    def _wait_for_count(self, name: str, kubeconfig: Path) -> None:
        """Wait until the API server knows the FlowSchema, which takes it a moment."""

        def is_counted() -> bool:
            self.run("get", "--raw", "/version", "--kubeconfig", str(kubeconfig))
            return self.count_requests(name) > 0

        wait_until(is_counted, f"FlowSchema bench-{name}")


def wait_until(condition: Any, what: str, patience_s: float = _PATIENCE_S) -> None:
    """Ask until the answer is yes."""
    ends = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > ends:
            raise ClusterError(f"{what}: not there after {patience_s:.0f} s")
        time.sleep(0.5)


def _describe(name: str) -> list[dict[str, Any]]:
    """Return an account that may do everything, at the priority level without limits."""
    owner = {"kind": "ServiceAccount", "name": name, "namespace": _HOME}
    rbac = "rbac.authorization.k8s.io"
    every = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    rule = {
        "subjects": [
            {"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": _HOME}}
        ],
        "resourceRules": [{**every, "clusterScope": True, "namespaces": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": _HOME},
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"bench-{name}"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [owner],
        },
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": f"bench-{name}"},
            "spec": {
                "matchingPrecedence": 50,
                "priorityLevelConfiguration": {"name": "exempt"},
                "rules": [rule],
            },
        },
    ]
