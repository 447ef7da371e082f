"""`kubectl.wait` on the real cluster: what it waits for, and how it ends."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError, CodexctlError, ConfigurationError, DeadlineError
from codexctl_tasks.hooks.builtin.object_wait import wait_for_object
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.outside import real_outside
from tests.support.accounts import kubeconfig_of
from tests.support.deploys import kubectl
from tests.support.hooks import HookBench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

Object = dict[str, Any]
LONG_S = 240.0
PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}
DEFINITION = "gadgets.wait.example.com"


class Bench(HookBench):
    """The hook on the real cluster, and a program that changes the cluster meanwhile."""

    def __init__(self, playground: Playground, kubeconfig: str) -> None:
        self._playground, clock = playground, SystemClock()
        super().__init__(
            wait_for_object,
            cluster=connect(
                ClusterSettings(kubeconfig=kubeconfig, context=""), clock, lambda _: None
            ),
            clock=clock,
            namespace=playground.namespace,
            timeout_s=LONG_S,
            outside=real_outside(Console()),
        )
        self.outside = real_outside(Console(self.stream))

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Change something with an independent program."""
        return kubectl(self._playground, *arguments, given=given)

    def apply(self, *objects: Object) -> None:
        """Create or change objects."""
        everything = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", given=json.dumps(everything))

    def run_while(self, action: Callable[[], object], **given: Any) -> str:
        """Call the hook, and do something while it waits."""
        timer = threading.Timer(1.5, action)
        timer.start()
        try:
            return self.run(**given)
        finally:
            timer.join()


@pytest.fixture
def bench(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Give the hook in a namespace of its own."""
    for name, value in playground.environment.items():
        monkeypatch.setenv(name, value)
    made = Bench(playground, playground.environment["KUBECONFIG"])
    made.kubectl("create", "namespace", playground.namespace)
    return made


def _claim(name: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


def _settings(name: str, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def test_a_workload_is_waited_for_in_each_way(bench: Bench, playground: Playground) -> None:
    """Healthy, by condition, by value, by value that only must be there, by label."""
    bench.apply(playground.workload("web", readinessProbe=PROBE))

    assert f"Deployment {bench.namespace}/web: 1 of 1 pod ready" in bench.run(kind="deploy/web")
    for given in (
        {"kind": "deployments.apps", "name": "web", "condition": "Available"},
        {"kind": "deployment/web", "jsonpath": "{.status.readyReplicas}=1"},
        {"kind": "deployment/web", "jsonpath": "{.status.observedGeneration}"},
        {"kind": "pods", "selector": "app in (web, api)", "condition": "Ready"},
        {"kind": "Deployment"},
    ):
        assert "ready" in bench.run(**given)


def test_what_ends_or_only_exists(bench: Bench, playground: Playground) -> None:
    """A Job is complete, a claim waits for its first pod, a ConfigMap is simply there."""
    bench.apply(playground.job("seed", "true"), _claim("data"), _settings("mode"))

    assert f"Job {bench.namespace}/seed: complete" in bench.run(kind="job/seed")
    assert f"Job {bench.namespace}/seed: ready" in bench.run(kind="jobs", condition="Complete")
    assert f"PersistentVolumeClaim {bench.namespace}/data" in bench.run(kind="pvc/data")
    assert f"ConfigMap {bench.namespace}/mode: exists" in bench.run(kind="cm/mode")


def test_a_workload_that_appears_later(bench: Bench, playground: Playground) -> None:
    """It is told that there is none yet, and then that it is healthy."""
    web = playground.workload("web", readinessProbe=PROBE)

    said = bench.run_while(lambda: bench.apply(web), kind="pods", selector="app=web")

    assert f"pods with app=web in {bench.namespace}  waiting  does not exist yet" in said
    assert f"Pod {bench.namespace}/web-" in said


def test_an_image_that_does_not_exist(bench: Bench, playground: Playground) -> None:
    """Exit code 1 in seconds, with the cause, although only a condition is asked for."""
    bench.apply(playground.workload("lost", image=f"{playground.image}-nosuch"))

    with pytest.raises(CodexctlError, match="image not found") as caught:
        bench.run(kind="deployment/lost", condition="Available")

    assert caught.value.exit_code == 1
    assert f"Deployment {bench.namespace}/lost  FAILED  image not found" in bench.said


def test_a_job_that_fails(bench: Bench, playground: Playground) -> None:
    """Its last lines say why."""
    bench.apply(playground.job("ledger", "echo 'cannot open the ledger'; exit 3"))

    with pytest.raises(CodexctlError, match="job failed") as caught:
        bench.run(kind="job/ledger", condition="Complete")

    assert caught.value.exit_code == 1
    assert "| cannot open the ledger" in bench.said


def test_the_time_is_over(bench: Bench, playground: Playground) -> None:
    """Exit code 70 says how far it has come."""
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    bench.apply(playground.workload("slow", readinessProbe=never))

    with pytest.raises(DeadlineError, match=r"slow: not healthy after 6 s: .*0 of 1 pod ready"):
        bench.run(kind="deployment/slow", timeout="6s")
    with pytest.raises(DeadlineError, match="none exists"):
        bench.run(kind="deployment/nosuch", timeout="2s")


def test_gone(bench: Bench) -> None:
    """At once if it is not there; when its last finalizer is; when another has its name."""
    assert "nothing is there" in bench.run(kind="configmap/nosuch", delete=True)
    bench.apply(_settings("held", finalizers=["example.com/keep"]), _settings("other"))
    bench.kubectl("delete", "configmap", "held", "--wait=false")

    with pytest.raises(DeadlineError, match=r"held is being deleted, held by example\.com/keep"):
        bench.run(kind="configmap/held", delete=True, timeout="2s")

    release = ("patch", "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    said = bench.run_while(lambda: bench.kubectl(*release), kind="cm/held", delete=True)
    assert f"ConfigMap {bench.namespace}/held: gone" in said

    anew = ("replace", "--force", "-f", "-")
    other = json.dumps(_settings("other"))
    said = bench.run_while(lambda: bench.kubectl(*anew, given=other), kind="cm/other", delete=True)
    assert f"ConfigMap {bench.namespace}/other: gone" in said
    assert bench.kubectl("get", "cm", "other", "-o", "name") == "configmap/other\n"


def test_a_kind_that_is_new(bench: Bench) -> None:
    """A definition is established; objects of its kind are judged by their conditions."""
    bench.apply(_definition())
    try:
        assert "established" in bench.run(kind="crd", name=DEFINITION)
        bench.apply(_gadget("one"))
        made_ready = _gadget("one", "Ready")
        bench.run_while(lambda: bench.apply(made_ready), kind="gdg/one", condition="Ready")
        assert "Gadget" in bench.run(kind="gadgets.wait.example.com")
        bench.apply(_gadget("one", "Stalled"))
        with pytest.raises(CodexctlError, match="Gadget failed"):
            bench.run(kind="gadget/one", jsonpath="{.status.phase}=Running")
    finally:
        bench.kubectl("delete", "crd", DEFINITION, "--wait=false")


def _definition() -> Object:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
    }
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "shortNames": ["gdg"]}
    spec = {
        "group": "wait.example.com",
        "scope": "Namespaced",
        "names": names,
        "versions": [version],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": DEFINITION},
        "spec": spec,
    }


def _gadget(name: str, condition: str = "") -> Object:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {
        "apiVersion": "wait.example.com/v1",
        "kind": "Gadget",
        "metadata": {"name": name},
        "status": {"conditions": conditions},
    }


def test_a_kind_that_nobody_knows(bench: Bench) -> None:
    """Exit code 3 with the nearest name."""
    with pytest.raises(ConfigurationError, match="did you mean 'statefulset'"):
        bench.run(kind="statfulset/db")


def test_an_account_that_may_not(bench: Bench, playground: Playground, tmp_path: Path) -> None:
    """Exit code 4 at once, with what the server says."""
    bench.kubectl("create", "serviceaccount", "nobody")
    as_nobody = Bench(playground, kubeconfig_of(playground, "nobody", tmp_path))

    for delete in (False, True):
        with pytest.raises(ClusterError, match="cannot list") as caught:
            as_nobody.run(kind="deployment/web", delete=delete)
        assert (caught.value.status, caught.value.exit_code) == (HTTPStatus.FORBIDDEN, 4)
