"""
Measure how soon an agent works, from the event of GitHub to its first word, on the sandbox.

    python bench/agents.py [--runs 5]

The slot is ready, and each task runs as a step of `ai-run.yml` does; GitHub and the model are on
this machine and answer at once. What GitHub needs for its jobs is not measured. Prints a table in
Markdown, in seconds; a pod that `kubectl run` starts in the same run stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from accounts import Administrator
from compare import CODEXCTL, ROOT, sandbox_environment

sys.path.insert(0, str(ROOT))

from tests.support.agent_image import push_agent_image
from tests.support.agents import ISSUE, REPO, AgentSlot
from tests.support.github_server import GitHubServer, github_server
from tests.support.model_server import model_server, says
from tests.support.shell import clean_environment

_NAME = "bench-agent"
_GOAL_S = 5.0
_PATIENCE_S = 120.0
_BEFORE = {
    "gate": ("gate",),
    "ensure-slot": ("ensure-slot", "--issue", str(ISSUE)),
    "ensure-ready": ("ensure-ready", "--issue", str(ISSUE)),
}
_URL, _PROXY, _POD = (
    "prompt-run, model at an address",
    "prompt-run, behind the proxy",
    "kubectl run",
)


class Bench:
    """A slot that is ready, and what an event starts in it."""

    def __init__(self, slot: AgentSlot, github: GitHubServer, admin: Administrator) -> None:
        self._slot, self._admin = slot, admin
        event = slot.folder.parent / "event.json"
        told = {"action": "labeled", "label": {"name": "[ai-dev]"}, "sender": {"login": "octo"}}
        event.write_text(json.dumps({**told, "issue": {"number": ISSUE, "title": "t"}}))
        workflow = f"{REPO}/.github/workflows/ai-run.yml@refs/heads/main"
        self._env = {
            **slot.environment,
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": github.url,
            "GITHUB_TOKEN": "ghs_workflow",
            "GITHUB_REPOSITORY": REPO,
            "GITHUB_RUN_ID": "1",
            "GITHUB_WORKFLOW_REF": workflow,
            "GITHUB_EVENT_NAME": "issues",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_ACTOR": "octo",
            "GITHUB_TRIGGERING_ACTOR": "octo",
        }

    def task(self, *words: str) -> float:
        """Return how long a task takes."""
        begun = time.monotonic()
        self._end(self._start(*words))
        return time.monotonic() - begun

    def first_event(self, *, by_url: bool) -> float:
        """Let the agent work; return after how long its first event is here."""
        shutil.rmtree(self._slot.result_folder, ignore_errors=True)
        events = self._slot.result_folder / "events.jsonl"
        where = ("--model-url", self._slot.model.url) if by_url else ()
        words = ("prompt-run", "--issue", str(ISSUE), "--kind", "plan", *where)
        key = {} if by_url else {"CODEXCTL_MODEL_KEY": "sk-bench"}
        begun = time.monotonic()
        process = self._start(*words, "--result-dir", str(self._slot.result_folder), **key)
        while not (events.exists() and events.stat().st_size):
            if process.poll() is not None or time.monotonic() - begun > _PATIENCE_S:
                break
            time.sleep(0.01)
        took = time.monotonic() - begun
        self._end(process)
        return took

    def pod(self) -> float:
        """Return how long a pod with the same image takes to be ready."""
        space = ("--namespace", self._slot.namespace)
        begun = time.monotonic()
        self._admin.run("run", _NAME, *space, "--image", self._slot.image, "--restart=Never")
        self._admin.run("wait", *space, "--for=condition=Ready", f"pod/{_NAME}", "--timeout=60s")
        took = time.monotonic() - begun
        self._admin.run("delete", "pod", _NAME, *space, "--now", "--wait=true")
        return took

    def _start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [CODEXCTL, *words],
            cwd=self._slot.folder,
            env=clean_environment(**self._env, **env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _end(self, process: subprocess.Popen[str]) -> None:
        try:
            _, complaint = process.communicate(timeout=_PATIENCE_S)
        except BaseException:
            process.kill()
            raise
        if process.returncode:
            raise SystemExit(f"{process.args}: exit code {process.returncode}: {complaint}")


def play(bench: Bench, runs: int) -> dict[str, float]:
    """Return the medians."""
    found: dict[str, list[float]] = {}
    for run in range(runs + 1):
        taken = {name: bench.task(*words) for name, words in _BEFORE.items()}
        taken[_URL] = bench.first_event(by_url=True)
        taken[_PROXY] = bench.first_event(by_url=False)
        taken[_POD] = bench.pod()
        if run:  # the first one warms up
            for name, took in taken.items():
                found.setdefault(name, []).append(took)
    return {name: statistics.median(each) for name, each in found.items()}


def main() -> None:
    """Measure, print the table, leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5, help="after one to warm up (default: 5)")
    options = parser.parse_args()
    env = sandbox_environment()
    admin = Administrator(env.get("SANDBOX_KUBECTL", "kubectl"), env)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "shop"
        folder.mkdir()
        github = stack.enter_context(github_server())
        github.repository = github.facts.repository = REPO
        github.facts.people["octo"] = ("User", "write")
        github.facts.add_issue(ISSUE, title="t")
        github.facts.members["workflow_runs"] = [{"run_attempt": 1, "conclusion": None}]
        model = stack.enter_context(model_server(env["SANDBOX_HOST"]))
        model.play(*[says("Done.")] * 3 * options.runs)
        image = push_agent_image(env["SANDBOX_REGISTRY"])
        slot = AgentSlot(_NAME, folder, image, model, env)
        slot.write(proxy={"image": image, "upstream": model.url})
        slot.commit()
        for namespace in (slot.namespace, _NAME, f"{_NAME}-codexctl-model"):
            delete = ("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
            stack.callback(admin.run, *delete)
        slot.make_ready()
        medians = play(Bench(slot, github, admin), options.runs)
    print(
        f"load: {os.getloadavg()[0]:.1f}; medians of {options.runs}, in seconds\n\n| | |\n|---|---|"
    )
    for name, took in medians.items():
        print(f"| {name} | {took:.2f} |")
    whole = sum(medians[name] for name in (*_BEFORE, _PROXY)) - medians[_POD]
    print(f"| from event to first event, without the start of a pod | {whole:.2f} |")
    print(f"\nGoal: {_GOAL_S:.0f} s.")


if __name__ == "__main__":
    main()
