"""`codex.reuse-dev-tls-secret`: what is copied where, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from codexctl_tasks.errors import ClusterError, ConfigurationError, DeadlineError, Location
from codexctl_tasks.hooks.tls_secret import reuse_dev_tls_secret
from codexctl_tasks.stack.manifests import Manifest, ObjectName
from codexctl_tasks.world.cluster import Resource
from tests.support.certificates import Authority, Issued, private_pem, tls_secret
from tests.support.fakes import FakeCluster
from tests.support.hooks import HookBench

if TYPE_CHECKING:
    from codexctl_tasks.hooks.contract import HookContext

CA = Authority()
HOST, NAME, SLOT, STAGING = "slot-3.example.com", "web-tls", "shop-dev-3", "shop-staging"
GOOD = CA.issue(HOST)
LONGER = CA.issue(HOST, ends=timedelta(days=100))
EXPIRING = CA.issue(HOST, begins=timedelta(days=-61), ends=timedelta(days=29))
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Bench(HookBench):
    """A slot and a staging namespace."""

    def __init__(self, *, manifests: tuple[Manifest, ...] = (), **settings: Any) -> None:
        super().__init__(reuse_dev_tls_secret, **settings)
        self.manifests = manifests
        self.cluster.time = datetime.now(UTC)
        self.cluster.strict_namespaces = True
        for namespace in (SLOT, STAGING):
            self.cluster.objects["Namespace", "", namespace] = _stored(
                {"metadata": {"name": namespace}}
            )

    def context(self) -> HookContext:
        """Add the desired objects."""
        return replace(super().context(), manifests=self.manifests)

    def put(self, namespace: str, secret: Issued | dict[str, Any], **metadata: Any) -> None:
        """Store a Secret as if somebody had made it."""
        body = secret.secret(NAME, **metadata) if isinstance(secret, Issued) else secret
        self.cluster.objects["Secret", namespace, NAME] = _stored(body)

    def secret(self, namespace: str) -> Any:
        """Return what is there; None: nothing."""
        return self.cluster.objects.get(("Secret", namespace, NAME))

    def holds(self, namespace: str, issued: Issued) -> bool:
        """Tell whether the Secret there has exactly these data."""
        found = self.secret(namespace)
        return bool(found) and found["data"] == issued.secret(NAME)["data"]

    @property
    def writes(self) -> list[str]:
        """What was written."""
        return [call for call in self.cluster.calls if call.startswith(("create", "replace"))]


def _stored(body: dict[str, Any]) -> dict[str, Any]:
    version = {"uid": "stored", "resourceVersion": "0"}
    return {**body, "metadata": {**body["metadata"], **version}}


def _ingress(*entries: dict[str, Any], namespace: str = SLOT) -> Manifest:
    place = Location("ingress.yaml", 1)
    return Manifest(
        name=ObjectName("networking.k8s.io/v1", "Ingress", namespace, f"web-{len(entries)}"),
        body={"kind": "Ingress", "spec": {"tls": list(entries)}},
        location=place,
        locate=lambda _: place,
    )


def test_a_slot_gets_the_copy_of_last_time() -> None:
    """No certificate is requested again; the copy is tied to nobody."""
    bench = Bench()
    ties = {"ownerReferences": [{"kind": "Certificate"}], "labels": {"argocd": "yes"}}
    bench.put(STAGING, GOOD, annotations={LAST_APPLIED: "{}"}, **ties)

    said = bench.run(secretName=NAME, host=HOST, wait=False)

    assert bench.holds(SLOT, GOOD)
    copy = bench.secret(SLOT)
    assert (copy["type"], copy["kind"]) == ("kubernetes.io/tls", "Secret")
    assert not {"ownerReferences", "labels", "annotations"} & set(copy["metadata"])
    assert f"copied {NAME} from {STAGING}" in said


def test_a_copy_says_which_issuer_it_is_from() -> None:
    """Otherwise cert-manager orders a new one for every Certificate of a ClusterIssuer."""
    issuer = {"cert-manager.io/issuer-name": "public", "cert-manager.io/issuer-kind": "Cluster"}
    bench = Bench()
    ties = {"cert-manager.io/certificate-name": "web", "cert-manager.io/alt-names": HOST}
    bench.put(SLOT, GOOD, annotations={**issuer, **ties})

    bench.run(secretName=NAME)

    assert bench.secret(STAGING)["metadata"]["annotations"] == issuer


def test_a_good_certificate_in_the_slot_stays_and_is_kept() -> None:
    """A second deploy writes nothing."""
    bench = Bench()
    bench.put(SLOT, GOOD)

    assert "kept a copy" in bench.run(secretName=NAME, host=HOST)
    assert bench.holds(STAGING, GOOD)
    written = list(bench.writes)
    said = bench.run(secretName=NAME, host=HOST)

    assert bench.writes == written == [f"create Secret {NAME}"]
    assert "is good until" in said


def test_a_first_deploy_is_not_held_up_before_apply() -> None:
    """With ``wait: false`` there is nothing to copy, and that is all."""
    bench = Bench()

    said = bench.run(secretName=NAME, wait=False)

    assert f"nothing to reuse: there is no Secret {STAGING}/{NAME}" in said
    assert bench.writes == []
    assert bench.clock.now() == 0


def test_it_waits_until_the_certificate_is_made_and_keeps_it() -> None:
    """An empty Secret and a temporary certificate are waited out, and each is told once."""
    bench = Bench()
    temporary = Authority("cert-manager.local").issue(HOST)
    bench.clock.at(5, lambda: bench.put(SLOT, tls_secret(NAME, b"", b"")))
    bench.clock.at(10, lambda: bench.put(SLOT, temporary))
    bench.clock.at(15, lambda: bench.put(SLOT, GOOD))

    said = bench.run(secretName=NAME, host=HOST)

    for state in ("not there", "without certificate", "temporary certificate"):
        assert said.count(state) == 1, said
    assert bench.holds(STAGING, GOOD)
    assert all(feed.closed for feed in bench.cluster.feeds)


def test_a_long_wait_is_told_from_time_to_time() -> None:
    """Nobody believes that the job hangs."""
    bench = Bench(timeout_s=300)
    bench.clock.at(100, lambda: bench.put(SLOT, GOOD))

    said = bench.run(secretName=NAME)

    assert said.count(f"waiting for Secret {SLOT}/{NAME}: not there") == 4


@pytest.mark.parametrize(("given", "waited"), [({}, 60), ({"timeout": "20s"}, 20)])
def test_a_certificate_that_nobody_makes(given: dict[str, str], waited: int) -> None:
    """The error says what was waited for, how long, and what was there last."""
    bench = Bench()
    bench.clock.at(5, lambda: bench.put(SLOT, tls_secret(NAME, b"", b"")))

    with pytest.raises(DeadlineError) as error:
        bench.run(secretName=NAME, **given)

    assert error.value.exit_code == 70
    assert f"Secret {SLOT}/{NAME}: no certificate after {waited} s: without" in str(error.value)


def _unfit() -> dict[str, tuple[dict[str, Any], str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = CA.issue(HOST, key=key).certificate
    return {
        "expiring": (EXPIRING.secret(NAME), "expires on"),
        "expired": (CA.issue(HOST, ends=timedelta(hours=-1)).secret(NAME), "expired on"),
        "other-host": (CA.issue("b.example.com").secret(NAME), f"not for {HOST} but for b."),
        "other-key": (tls_secret(NAME, GOOD.certificate, LONGER.key), "belongs to another"),
        "garbage": (tls_secret(NAME, b"swordfish", GOOD.key), "certificate is unreadable"),
        "encrypted": (tls_secret(NAME, locked, private_pem(key, b"sesame")), "is encrypted"),
        "no-data": ({"metadata": {"name": NAME}, "type": "Opaque"}, "without certificate"),
    }


@pytest.mark.parametrize("case", _unfit())
def test_what_is_not_good_is_not_reused(case: str) -> None:
    """A warning names the reason, and shows nothing of the Secret."""
    secret, reason = _unfit()[case]
    bench = Bench()
    bench.put(STAGING, secret)

    said = bench.run(secretName=NAME, host=HOST, wait=False)

    assert bench.secret(SLOT) is None
    assert f"Secret {STAGING}/{NAME} is not reused: " in said
    assert reason in said
    assert "swordfish" not in said


@pytest.mark.parametrize(
    ("life", "left", "given", "copied"),
    [
        (90, 30.1, {}, True),
        (90, 29.9, {}, False),
        (6, 2.1, {}, True),
        (6, 1.9, {}, False),
        (90, 10.1, {"renewBefore": "240h"}, True),
        (90, 9.9, {"renewBefore": "240h"}, False),
    ],
)
def test_only_what_is_good_for_long_enough_is_copied(
    life: float, left: float, given: dict[str, str], *, copied: bool
) -> None:
    """Short-lived certificates are reused, too: until a third of their life is left."""
    bench = Bench()
    begins, ends = timedelta(days=left - life), timedelta(days=left)
    bench.put(STAGING, CA.issue(HOST, begins=begins, ends=ends))

    bench.run(secretName=NAME, wait=False, **given)

    assert (bench.secret(SLOT) is not None) is copied


def test_an_expiring_certificate_is_replaced_by_a_fresh_copy() -> None:
    """Labels stay, what says something about the old certificate goes."""
    bench = Bench()
    old = {LAST_APPLIED: "the old key", "cert-manager.io/issuer-name": "old", "mine": "yes"}
    bench.put(SLOT, EXPIRING, annotations=old, labels={"app": "web"})
    bench.put(STAGING, GOOD)

    bench.run(secretName=NAME)

    assert bench.holds(SLOT, GOOD)
    metadata = bench.secret(SLOT)["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"app": "web"}, {"mine": "yes"})


def test_an_expiring_certificate_is_better_than_a_wait() -> None:
    """It is valid still; whoever made it will renew it in time."""
    bench = Bench()
    bench.put(SLOT, EXPIRING)

    said = bench.run(secretName=NAME, host=HOST)

    assert "is good until" in said
    assert bench.holds(SLOT, EXPIRING)
    assert bench.holds(STAGING, EXPIRING)


def test_a_certificate_that_lasts_longer_stays_in_staging() -> None:
    """The older one of a slot does not overwrite it."""
    bench = Bench()
    bench.put(SLOT, GOOD)
    bench.put(STAGING, LONGER)

    bench.run(secretName=NAME)

    assert bench.writes == []


class _Overtaking(FakeCluster):
    """Another run stores something just before each of ours is stored."""

    def __init__(self, *others: Issued) -> None:
        super().__init__()
        self.others = list(others)

    def create(self, resource: Any, namespace: str, body: Any) -> Any:
        """Let the other run be faster."""
        self._overtake(resource, namespace)
        return super().create(resource, namespace, body)

    def replace(self, resource: Any, namespace: str, body: Any) -> Any:
        """Let the other run be faster."""
        self._overtake(resource, namespace)
        return super().replace(resource, namespace, body)

    def _overtake(self, resource: Any, namespace: str) -> None:
        if self.others:
            version = {"uid": "other", "resourceVersion": f"other-{len(self.others)}"}
            body = self.others.pop(0).secret(NAME, **version)
            self.objects[resource.kind, namespace, NAME] = body


def test_two_slots_at_once_leave_the_newer_certificate() -> None:
    """Each write is compared with what is there by then."""
    older, newest = CA.issue(HOST, ends=timedelta(days=50)), CA.issue(HOST, ends=timedelta(days=99))
    for others, survivor in (
        ((older, LONGER), LONGER),
        ((older, older), GOOD),
        ((newest,), newest),
    ):
        bench = Bench(cluster=_Overtaking(*others))
        bench.put(SLOT, GOOD)

        bench.run(secretName=NAME)

        assert bench.holds(STAGING, survivor)


def test_a_certificate_that_is_made_meanwhile_is_not_overwritten_in_the_slot() -> None:
    """Whoever was faster wins in the slot, and both are kept in order of their age."""
    bench = Bench(cluster=_Overtaking(LONGER))
    bench.put(STAGING, GOOD)

    bench.run(secretName=NAME)

    assert bench.holds(SLOT, LONGER)
    assert bench.holds(STAGING, LONGER)


def test_a_secret_that_never_stands_still() -> None:
    """The hook gives up rather than to run for ever."""
    bench = Bench(cluster=_Overtaking(*[EXPIRING] * 50))
    bench.put(SLOT, GOOD)

    with pytest.raises(ClusterError, match="changed 10 times"):
        bench.run(secretName=NAME)


def test_the_certificate_of_staging_itself_is_never_overwritten() -> None:
    """cert-manager would order a new one, again and again."""
    bench = Bench()
    bench.put(SLOT, LONGER)
    bench.put(STAGING, GOOD, annotations={"cert-manager.io/certificate-name": "web"})

    said = bench.run(secretName=NAME)

    assert f"Secret {STAGING}/{NAME} belongs to Certificate web: left as it is" in said
    assert bench.holds(STAGING, GOOD)


def test_a_secret_of_another_type_is_not_turned_into_one() -> None:
    """Kubernetes cannot change it; the error says what to do."""
    bench = Bench()
    bench.put(SLOT, GOOD)
    bench.put(STAGING, {"metadata": {"name": NAME}, "type": "Opaque"})

    with pytest.raises(ClusterError, match=r"of type Opaque, which cannot become .*: delete"):
        bench.run(secretName=NAME)


def test_no_staging_namespace_is_no_failure() -> None:
    """A project without staging deploys; it is warned of that nothing is kept."""
    bench = Bench()
    del bench.cluster.objects["Namespace", "", STAGING]

    before = bench.run(secretName=NAME, wait=False)
    bench.put(SLOT, GOOD)
    after = bench.run(secretName=NAME)

    assert f"namespace {STAGING} does not exist: nothing to reuse" in before
    assert f"namespace {STAGING} does not exist: no copy is kept" in after


def test_a_slot_that_is_new_gets_its_namespace() -> None:
    """Before the first apply there is none to copy into."""
    bench = Bench()
    del bench.cluster.objects["Namespace", "", SLOT]
    bench.put(STAGING, GOOD)

    bench.run(secretName=NAME, wait=False)

    assert bench.holds(SLOT, GOOD)
    assert ("Namespace", "", SLOT) in bench.cluster.objects


def test_a_strange_namespace_is_not_made() -> None:
    """A mistyped one is an error, not a new namespace."""
    bench = Bench()
    bench.put(STAGING, GOOD)

    with pytest.raises(ClusterError, match='namespaces "mistyped" not found'):
        bench.run(secretName=NAME, namespace="mistyped", wait=False)


def test_what_may_not_be_read_is_named() -> None:
    """The error says which right is missing, and where."""
    bench = Bench()
    bench.cluster.forbidden_kinds = {"Secret"}

    with pytest.raises(ClusterError, match="watch, create and update secrets in namespace") as it:
        bench.run(secretName=NAME)

    assert it.value.exit_code == 4


class _Leaving(FakeCluster):
    """Its namespaces are being deleted."""

    def create(self, resource: Any, namespace: str, body: Any) -> Any:
        """Refuse as Kubernetes does."""
        del resource, body
        raise ClusterError("POST", f"namespace {namespace} is being terminated", status=403)


def test_a_server_in_trouble_is_not_taken_for_a_missing_right() -> None:
    """Its own words are what people read."""
    bench = Bench(cluster=_Leaving())
    bench.put(SLOT, GOOD)

    with pytest.raises(ClusterError, match=r"being terminated$"):
        bench.run(secretName=NAME)


def test_secret_and_hosts_are_taken_from_the_ingress() -> None:
    """Nobody writes twice what stands in a manifest."""
    entry = {"secretName": NAME, "hosts": [HOST]}
    foreign = _ingress({"secretName": "other", "hosts": ["x"]}, namespace="elsewhere")
    bench = Bench(manifests=(_ingress(entry, {"hosts": ["plain"]}), foreign))
    bench.put(STAGING, CA.issue("b.example.com"))

    said = bench.run(wait=False)

    assert f"not for {HOST} but for b.example.com" in said


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ((), "name no Secret"),
        (({"hosts": [HOST]},), "name no Secret"),
        (({"secretName": "a"}, {"secretName": "b"}), "name several Secrets: a, b"),
    ],
)
def test_a_secret_that_cannot_be_guessed_must_be_named(
    entries: tuple[dict[str, Any], ...], found: str
) -> None:
    """It is a mistake in the parameters, found before anything is asked."""
    bench = Bench(manifests=(_ingress(*entries),))

    with pytest.raises(ConfigurationError, match=f"Ingresses {found}: set secretName"):
        bench.run()

    assert bench.cluster.calls == []


@pytest.mark.parametrize(
    ("namespace", "given", "match"),
    [
        ("", {}, "no namespace: set namespace"),
        (STAGING, {}, "same namespace: set stagingNamespace"),
        (SLOT, {"stagingNamespace": SLOT}, "same namespace: set stagingNamespace"),
    ],
)
def test_two_namespaces_are_needed(namespace: str, given: dict[str, str], match: str) -> None:
    """A certificate is not kept where it comes from."""
    with pytest.raises(ConfigurationError, match=match):
        Bench(namespace=namespace).run(secretName=NAME, **given)


def test_nothing_private_is_ever_said() -> None:
    """Key, keystore and their notations are masked in whatever follows."""
    bench = Bench()
    secret = GOOD.secret(NAME)
    secret["data"]["keystore.jks"] = "c3dvcmRmaXNo"
    bench.put(STAGING, secret)

    bench.run(secretName=NAME, wait=False)
    key = GOOD.key.decode()
    bench.context().tell(f"{key} {secret['data']['tls.key']} {key.splitlines()[1]} c3dvcmRmaXNo")

    for private in (key.splitlines()[1], secret["data"]["tls.key"], "swordfish", "c3dvcmRmaXNo"):
        assert private not in bench.said


class _WithCertManager(FakeCluster):
    """Knows the kind Certificate."""

    def resources(self, *, refresh: bool = False) -> Any:
        """Add it."""
        kind = Resource("cert-manager.io/v1", "Certificate", "certificates", namespaced=True)
        return {**super().resources(refresh=refresh), (kind.api_version, kind.kind): kind}


def test_what_cert_manager_says_explains_a_wait_in_vain() -> None:
    """Its limits and mistakes are in the line, not in another program."""
    bench = Bench(cluster=_WithCertManager())
    message = "The certificate request has failed: too many certificates"
    bench.cluster.objects["Certificate", SLOT, "web"] = {
        "metadata": {"name": "web", "uid": "1"},
        "spec": {"secretName": NAME},
        "status": {"conditions": [{"type": "Issuing", "status": "False", "message": message}]},
    }

    with pytest.raises(DeadlineError, match=f"not there; Certificate web: {message}"):
        bench.run(secretName=NAME)
