"""A slot with an agent in it: a project with a workspace, a pod with Codex, a model on a leash."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.agent_image import PROCESS_1
from tests.support.shell import BIN, clean_environment, run, run_kubectl, run_program_in

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess, Popen

    from tests.support.model_server import ModelServer

REPO, ISSUE = "org/shop", 12
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "workspace"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


@dataclass
class AgentSlot:
    """A checkout, its slot, and what an agent does there."""

    name: str
    """Of the project, and of the namespace of its records."""
    folder: Path
    """The checkout."""
    image: str
    model: ModelServer
    environment: dict[str, str] = field(repr=False)
    started: list[Popen[str]] = field(default_factory=list, repr=False)

    @property
    def namespace(self) -> str:
        """Of the slot."""
        return f"{self.name}-dev-1"

    @property
    def result_folder(self) -> Path:
        """What the last run left."""
        return self.folder.parent / "result"

    @property
    def result(self) -> dict[str, Any]:
        """What the last run came to."""
        found: dict[str, Any] = json.loads((self.result_folder / "result.json").read_text())
        return found

    def write(self, **codex: Any) -> None:
        """Write the stack."""
        pod = {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000},
            "containers": [
                {
                    "name": "codex",
                    "image": self.image,
                    "volumeMounts": [{"name": "work", "mountPath": "/workspace"}],
                }
            ],
            "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "workspace"}}],
        }
        labels = {"app": "codex"}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "codex"},
            "spec": {
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
        (self.folder / "agent.yaml").write_text(yaml.safe_dump_all([CLAIM, deployment]))
        stack = {
            "project": self.name,
            "maxSlots": 1,
            "state": {"configmapNamespace": self.name, "configmapPrefix": "slot-"},
            "services": [{"name": "agent", "manifests": [{"path": "agent.yaml"}]}],
            "codex": {"model": "gpt-5-codex", **codex},
        }
        (self.folder / "services.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))

    def commit(self) -> None:
        """Make a repository of the checkout, with all of it in one commit."""
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
            run_program_in(self.folder, "git", *who, *words)

    def make_ready(self) -> None:
        """Take a slot and make it ready."""
        for words in (("ensure-slot", "--issue", str(ISSUE)), ("ensure-ready", "--slot", "1")):
            done = self.codexctl(*words)
            assert done.returncode == 0, done.stderr

    def ask(
        self, *flags: str, prompt: str = "Do it.", by_url: bool = True, **env: str
    ) -> CompletedProcess[str]:
        """Let the agent work; *by_url*: with the model's address, else through the proxy."""
        words = self._words(prompt)
        if by_url:
            words += ["--model-url", self.model.url]
        return self.codexctl(*words, *flags, **env)

    def start(self, *flags: str, prompt: str = "Do it.", **env: str) -> Popen[str]:
        """Let the agent work, and return at once."""
        process = subprocess.Popen(
            [BIN / "codexctl", *self._words(prompt), "--model-url", self.model.url, *flags],
            cwd=self.folder,
            env=clean_environment(**self._environ(env)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def _words(self, prompt: str) -> list[str]:
        file = self.folder.parent / "prompt.md"
        file.write_text(prompt)
        told = ["prompt-run", "--issue", str(ISSUE), "--prompt-file", str(file)]
        return [*told, "--result-dir", str(self.result_folder)]

    def codexctl(self, *words: str, **env: str) -> CompletedProcess[str]:
        """Run a task as a step of a workflow does."""
        return run(*words, cwd=self.folder, env=self._environ(env))

    def _environ(self, env: dict[str, str]) -> dict[str, str]:
        step = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": REPO, "GITHUB_RUN_ID": "1"}
        return {**self.environment, **step, **env}

    def kubectl(self, *words: str) -> str:
        """Ask the cluster with an independent program."""
        return run_kubectl(self.environment, "-n", self.namespace, *words)

    def sh(self, script: str) -> str:
        """Run a script in the agent's pod."""
        return self.kubectl("exec", "deployment/codex", "--", "sh", "-c", script)

    def processes(self) -> list[str]:
        """Return what runs in the pod, but for this question, process 1 and the dead."""
        script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null"
        lines = [line.strip() for line in self.sh(script).splitlines()]
        idle = (f"sh -c {PROCESS_1}", "sleep 100000")
        return [line for line in lines if line and "/proc/[0-9]" not in line and line not in idle]

    def dead(self) -> list[str]:
        """Return names of processes that have ended, and that nobody takes off the table."""
        script = "cat /proc/[0-9]*/stat 2>/dev/null; true"
        found = [line.rpartition(") ") for line in self.sh(script).splitlines()]
        return [name.partition("(")[2] for name, _, rest in found if rest.startswith("Z")]
