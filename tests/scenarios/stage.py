"""
The stage: a namespace in which one scenario is played, with everything that happens around it.

Used by the tests and by ``bench/faults.py``; which program deploys is the caller's choice.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.images import Recipe, push
from tests.scenarios.model import Apply, Kubectl, Push
from tests.support.shell import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.scenarios.model import Action, Object, Scenario, Step

MANIFESTS = "all.yaml"
_PATIENCE_S = 150
_OF_THE_CLUSTER = {
    "CustomResourceDefinition",
    "PersistentVolume",
    "StorageClass",
    "ValidatingWebhookConfiguration",
}


class _Dumper(yaml.SafeDumper):
    """Writes every object in full."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        """Say that nothing is written as a reference to what was written before."""
        return True


@dataclass(frozen=True)
class Stage:
    """One namespace and one folder."""

    namespace: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    """What leads to the cluster, as ``python3 -m sandbox env`` prints it."""
    faulty: str = ""
    """Address of the registry that misbehaves; empty: there is none."""

    @contextlib.contextmanager
    def set_for(self, scenario: Scenario) -> Iterator[None]:
        """Make everything as it is before the rollout; remove all of it afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MANIFESTS).write_text(self.written(scenario.objects))
        try:
            self.kubectl("create", "namespace", self.namespace)
            self.kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=60s")
            for action in scenario.before:
                self.do(action)
            yield
        finally:
            self._remove(scenario)

    @contextlib.contextmanager
    def meanwhile(self, steps: Sequence[Step]) -> Iterator[None]:
        """Let the steps happen, counted from the creation of the first object of the rollout."""
        if not steps:
            yield
            return
        ended, failures = threading.Event(), []

        def perform() -> None:
            try:
                self._wait_for_first_object()
                passed_s = 0.0
                for step in steps:
                    if ended.wait(step.after_s - passed_s):
                        return
                    passed_s = step.after_s
                    self.do(step.action)
            except Exception as error:  # noqa: BLE001 - raised below, in the thread that asks
                failures.append(error)

        thread = threading.Thread(target=perform, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if failures:
            raise failures[0]

    def do(self, action: Action) -> None:
        """Perform one action."""
        match action:
            case Apply(objects):
                self.kubectl("apply", "--filename", "-", given=self.written(objects))
            case Kubectl(arguments):
                self.kubectl(*map(self.filled, arguments))
            case Push(reference):
                registry = self.environment["SANDBOX_REGISTRY"]
                push(
                    registry, self.filled(reference), "base:1", Recipe(command=["sleep", "100000"])
                )

    def filled(self, text: str) -> str:
        """Return a text with the names of this run."""
        names = {
            "{registry}": self.environment["SANDBOX_REGISTRY"],
            "{faulty}": self.faulty,
            "{namespace}": self.namespace,
        }
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    def written(self, objects: Sequence[Object]) -> str:
        """Return manifests as YAML, one document each."""
        return self.filled(yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False))

    def object_at(self, line: int) -> str:
        """Return the object whose manifest is at this line: ``Deployment/web``."""
        written = (self.folder / MANIFESTS).read_text().splitlines()
        start = max(n for n, text in enumerate(["---", *written[:line]]) if text == "---")
        found = yaml.safe_load("\n".join(written[start:]).partition("\n---")[0])
        return f"{found['kind']}/{found['metadata']['name']}"

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl in the namespace; return what it printed."""
        program = self.environment.get("SANDBOX_KUBECTL", "kubectl")
        done = subprocess.run(
            [program, "--namespace", self.namespace, *arguments],
            env=clean_environment(**self.environment),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S + 10,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _wait_for_first_object(self) -> None:
        first = next(yaml.safe_load_all((self.folder / MANIFESTS).read_text()))
        group = first["apiVersion"].rpartition("/")[0]
        kind = f"{first['kind']}.{group}".rstrip(".").lower()
        what = f"{kind}/{first['metadata']['name']}"
        self.kubectl("wait", what, "--for=create", f"--timeout={_PATIENCE_S}s")

    def _remove(self, scenario: Scenario) -> None:
        """Remove what was made, without waiting until it is gone."""
        others = [each for action in scenario.before for each in _objects(action)]
        others += [each for step in scenario.during for each in _objects(step.action)]
        wide = [o for o in (*scenario.objects, *others) if o["kind"] in _OF_THE_CLUSTER]
        flags = ("--ignore-not-found", "--wait=false")
        if wide:
            self.kubectl("delete", "--filename", "-", *flags, given=self.written(wide))
        self.kubectl("delete", "namespace", self.namespace, *flags)


def _objects(action: Action) -> tuple[Object, ...]:
    return action.objects if isinstance(action, Apply) else ()
