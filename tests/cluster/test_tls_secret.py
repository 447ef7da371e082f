"""`codex.reuse-dev-tls-secret` on a real API server: copies, waits, races and refusals."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.hooks.builtin.tls_secret import reuse_dev_tls_secret
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.outside import real_outside
from tests.support.accounts import kubeconfig_of
from tests.support.certificates import Authority, Issued, tls_secret
from tests.support.hooks import HookBench
from tests.support.shell import QUICK_S, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codexctl_tasks.world.cluster import Cluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

CA = Authority()
HOST, NAME = "slot-3.example.com", "web-tls"
GOOD = CA.issue(HOST)
LONGER = CA.issue(HOST, ends=timedelta(days=100))
RBAC = "rbac.authorization.k8s.io"


@dataclass
class Slot:
    """A slot's namespace, one for staging, and the hook between them."""

    playground: Playground
    cluster: Cluster
    said: str = ""

    @property
    def namespace(self) -> str:
        """Of the slot."""
        return self.playground.namespace

    @property
    def staging(self) -> str:
        """Where copies are kept."""
        return f"{self.namespace}-staging"

    def run(self, *, timeout_s: float = 30.0, cluster: Cluster | None = None, **given: Any) -> str:
        """Run the hook and return what it told."""
        stream = io.StringIO()
        outside = real_outside(Console(stream))
        bench = HookBench(
            reuse_dev_tls_secret,
            cluster=cluster or self.cluster,
            clock=outside.clock,
            outside=outside,
            namespace=self.namespace,
            timeout_s=timeout_s,
        )
        try:
            bench.run(secretName=NAME, stagingNamespace=self.staging, host=HOST, **given)
        finally:
            self.said += stream.getvalue()
        return stream.getvalue()

    def put(self, namespace: str, secret: Issued | dict[str, Any], **metadata: Any) -> None:
        """Store a Secret with kubectl, as somebody else would."""
        body = secret.secret(NAME) if isinstance(secret, Issued) else secret
        body["metadata"] |= {"namespace": namespace, **metadata}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=body)

    def data(self, namespace: str) -> dict[str, str]:
        """Return the data of the Secret, empty if there is none."""
        return self.get(namespace).get("data") or {}

    def get(self, namespace: str) -> dict[str, Any]:
        """Return the Secret, empty if there is none."""
        arguments = ("--namespace", namespace, "get", "secret", NAME, "--ignore-not-found")
        found: dict[str, Any] = json.loads(self.kubectl(*arguments, "--output", "json") or "{}")
        return found

    def kubectl(self, *arguments: str, given: dict[str, Any] | None = None) -> str:
        """Run an independent program."""
        return run_kubectl(self.playground.environment, *arguments, given=json.dumps(given))

    def account(self, rules: dict[str, list[str]], folder: Path) -> Cluster:
        """Return the cluster as an account reaches it that has these verbs on Secrets."""
        self.kubectl("--namespace", self.namespace, "create", "serviceaccount", "limited")
        for namespace, verbs in rules.items():
            self._allow(namespace, verbs)
        return _connected(kubeconfig_of(self.playground, "limited", folder))

    def _allow(self, namespace: str, verbs: list[str]) -> None:
        metadata = {"name": "limited", "namespace": namespace}
        role = {"apiGroup": RBAC, "kind": "Role", "name": "limited"}
        subject = {"kind": "ServiceAccount", "name": "limited", "namespace": self.namespace}
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}
        kinds: list[dict[str, Any]] = [
            {"kind": "Role", "rules": [rule]},
            {"kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
        ]
        for each in kinds:
            body = {"apiVersion": f"{RBAC}/v1", "metadata": metadata, **each}
            self.kubectl("create", "-f", "-", given=body)


def _connected(kubeconfig: str) -> Cluster:
    return connect(ClusterSettings(kubeconfig=kubeconfig, context=""), SystemClock(), pytest.fail)


@pytest.fixture
def slot(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    """Give two namespaces; whatever the test does, no key may be seen."""
    for name, value in playground.environment.items():
        monkeypatch.setenv(name, value)
    found = Slot(playground, _connected(playground.environment["KUBECONFIG"]))
    for namespace in (found.namespace, found.staging):
        found.kubectl("create", "namespace", namespace)
    yield found
    found.kubectl("delete", "namespace", found.staging, "--ignore-not-found", "--wait=false")
    for issued in (GOOD, LONGER):
        stored = base64.b64encode(issued.key).decode()
        assert not any(part in found.said for part in (stored, issued.key.decode().split("\n")[1]))


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do something in a thread; what goes wrong there is raised here."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(QUICK_S)
    assert not thread.is_alive()
    for failure in failures:
        raise failure


def test_a_slot_gets_the_copy_of_last_time(slot: Slot) -> None:
    """The same objects as from kubectl and jq: type, data and name, and no ties to anybody."""
    ties = {"labels": {"app": "web"}, "annotations": {"argocd.argoproj.io/tracking-id": "x"}}
    slot.put(slot.staging, GOOD, **ties)

    said = slot.run(wait=False)

    copy = slot.get(slot.namespace)
    assert (copy["type"], copy["data"]) == ("kubernetes.io/tls", GOOD.secret(NAME)["data"])
    assert not {"labels", "annotations", "ownerReferences"} & set(copy["metadata"])
    assert f"copied {NAME} from {slot.staging}" in said


def test_an_old_copy_is_replaced_without_its_old_key(slot: Slot) -> None:
    """What ``kubectl apply`` noted of the old Secret holds its key: it goes."""
    old = CA.issue(HOST, ends=timedelta(hours=-1)).secret(NAME)
    old["metadata"]["namespace"] = slot.namespace
    slot.kubectl("apply", "-f", "-", given=old)
    slot.put(slot.staging, GOOD)

    said = slot.run(wait=False)

    copy = slot.get(slot.namespace)
    assert copy["data"] == GOOD.secret(NAME)["data"]
    assert "annotations" not in copy["metadata"]
    assert "is of no use: expired on" in said


def test_it_waits_until_the_certificate_is_made_and_keeps_it(slot: Slot) -> None:
    """First there is no Secret, then an empty one, then the certificate."""

    def make() -> None:
        time.sleep(1)
        slot.put(slot.namespace, tls_secret(NAME, b"", b""))
        time.sleep(1)
        slot.put(slot.namespace, GOOD)

    with meanwhile(make):
        said = slot.run()

    assert "not there" in said
    assert "without certificate" in said
    assert slot.data(slot.staging) == GOOD.secret(NAME)["data"]
    version = slot.get(slot.staging)["metadata"]["resourceVersion"]
    assert "is good until" in slot.run()
    assert slot.get(slot.staging)["metadata"]["resourceVersion"] == version


def test_before_apply_nothing_is_waited_for(slot: Slot) -> None:
    """A first deploy goes on at once."""
    said = slot.run(wait=False)

    assert "nothing to reuse" in said
    assert slot.data(slot.namespace) == {}


def test_a_certificate_that_nobody_makes(slot: Slot) -> None:
    """The hook ends in time, with what was there last."""
    slot.put(slot.namespace, tls_secret(NAME, b"", b""))

    with pytest.raises(DeadlineError, match=r"after \d s: without certificate") as it:
        slot.run(timeout="2s")

    assert it.value.exit_code == 70


@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        (CA.issue(HOST, begins=timedelta(days=-61), ends=timedelta(days=29)), "expires on"),
        (CA.issue("other.example.com"), f"not for {HOST} but for other.example.com"),
        (Issued(GOOD.certificate, LONGER.key), "its private key belongs to another"),
        (Issued(b"garbage", GOOD.key), "its certificate is unreadable"),
    ],
    ids=["expiring", "other-host", "other-key", "garbage"],
)
def test_what_is_not_good_is_not_reused(slot: Slot, issued: Issued, reason: str) -> None:
    """The slot stays without, so that a new one is made."""
    slot.put(slot.staging, issued)

    said = slot.run(wait=False)

    assert f"is not reused: {reason}" in said
    assert slot.data(slot.namespace) == {}


def test_slots_at_once_leave_the_newest_certificate_in_staging(slot: Slot) -> None:
    """Whoever is last: the older certificate never overwrites the newer one."""
    issued = [CA.issue(HOST, ends=timedelta(days=80 + number)) for number in range(6)]
    slots = [Slot(slot.playground, slot.cluster) for _ in issued]
    names = [f"{slot.namespace}-{number}" for number in range(len(issued))]
    for name, each in zip(names, issued, strict=True):
        slot.kubectl("create", "namespace", name)
        slot.put(name, each)
    try:
        threads = [
            threading.Thread(target=each.run, kwargs={"namespace": name})
            for each, name in zip(slots, names, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(QUICK_S)
    finally:
        slot.kubectl("delete", "namespace", *names, "--wait=false")

    assert slot.data(slot.staging) == issued[-1].secret(NAME)["data"]
    assert all("good until" in each.said for each in slots)


@pytest.mark.parametrize("first", [GOOD, LONGER])
def test_staging_keeps_what_lasts_longer(slot: Slot, first: Issued) -> None:
    """In whichever order two slots come."""
    for issued in (first, GOOD, LONGER, GOOD):
        slot.put(slot.namespace, issued)
        slot.run()

    assert slot.data(slot.staging) == LONGER.secret(NAME)["data"]


def test_what_may_not_be_read_in_staging_is_named(slot: Slot, tmp_path: Path) -> None:
    """The right that is missing, and where; nothing is half done."""
    cluster = slot.account({slot.namespace: ["get", "list", "watch", "create"]}, tmp_path)
    slot.put(slot.staging, GOOD)

    with pytest.raises(ClusterError, match=f"secrets in namespace {slot.staging}") as it:
        slot.run(cluster=cluster)

    assert it.value.exit_code == 4
    assert slot.data(slot.namespace) == {}


def test_what_may_not_be_watched_is_named(slot: Slot, tmp_path: Path) -> None:
    """A wait that could never end is none."""
    cluster = slot.account({slot.namespace: ["get"], slot.staging: ["get"]}, tmp_path)

    with pytest.raises(ClusterError, match=f"secrets in namespace {slot.namespace}"):
        slot.run(cluster=cluster)


def test_what_may_not_be_written_in_staging_is_named(slot: Slot, tmp_path: Path) -> None:
    """The slot has its certificate all the same."""
    cluster = slot.account({slot.namespace: ["get"], slot.staging: ["get"]}, tmp_path)
    slot.put(slot.namespace, GOOD)

    with pytest.raises(ClusterError, match=f"secrets in namespace {slot.staging}"):
        slot.run(cluster=cluster)


def test_no_staging_namespace_is_a_warning(slot: Slot) -> None:
    """Nothing to copy, nothing kept, no failure."""
    slot.kubectl("delete", "namespace", slot.staging)

    before = slot.run(wait=False)
    slot.put(slot.namespace, GOOD)
    after = slot.run()

    assert f"namespace {slot.staging} does not exist: nothing to reuse" in before
    assert f"namespace {slot.staging} does not exist: no copy is kept" in after


def test_a_slot_that_is_new_gets_its_namespace(slot: Slot) -> None:
    """Before the first apply there is none to copy into."""
    slot.kubectl("delete", "namespace", slot.namespace)
    slot.put(slot.staging, GOOD)

    slot.run(wait=False)

    assert slot.data(slot.namespace) == GOOD.secret(NAME)["data"]
