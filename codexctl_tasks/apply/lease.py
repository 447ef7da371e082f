"""
Two runs on the same stack never apply at once: a Lease in its namespace lets one go first.

Only one of many can create it. No clock but our own is trusted: a holder is dead when its Lease has
stood still before our eyes for as long as it said; the times in a Lease are shown, never compared.

A Lease cannot call back a request that is on its way: `RunLease.check` before each one keeps what
a run may do after it lost the stack to one object per connection.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

LEASE = Resource("coordination.k8s.io/v1", "Lease", "leases", namespaced=True)
LEASE_S = 20
"""A holder that is silent for so long counts as dead."""
RENEWALS = 4
"""Within the time of a lease: every 5 s. Three may fail."""
LOOKS = 20
"""Of a waiting run, within the time of a lease: one each second."""
REMIND_S = 30.0
"""Longer silence makes people believe that a run hangs."""
RELEASE_S = 3.0
"""A run that is over does not wait longer for a server that does not answer."""
_ATTEMPTS = 5  # each sees the newest version: others change it rarely
_OVERTAKEN = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class RunLease:
    """
    The right to change one stack in one namespace, held by one run at a time.

    As a context manager it is given back at the end, whether it was acquired or not.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        *,
        namespace: str,
        name: str,
        holder: str,
        announce: Callable[[str], None],
        lease_s: int = LEASE_S,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            cluster: Where.
            clock: Measures how long another run has been silent.
            namespace: Of the stack.
            name: Of the Lease, the same for all runs that must not meet.
            holder: Tells other people which run this is.
            announce: Receives a line when somebody should know.
            lease_s: See `LEASE_S`; a whole number, because Kubernetes keeps it so.
            wall: The time of day, to be shown.
        """
        self._cluster, self._clock, self._wall = cluster, clock, wall
        self._namespace, self._name, self._holder = namespace, name, holder
        self._announce, self._lease_s = announce, lease_s
        self._where = f"Lease {namespace}/{name}"
        self._spec: dict[str, Any] = {}  # as we ask for it; empty before that
        self._metadata: Mapping[str, Any] = {"name": name, "namespace": namespace}
        self._proven = (-math.inf, wall())  # when it was ours for sure, by both clocks
        self._guarded = False
        self._lost = ""
        self._is_end_expected = False
        self._writing = threading.Lock()
        self._released = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, deadline_s: float) -> bool:
        """
        Return once this run holds the lease, or once it is known that it may not use leases.

        Args:
            deadline_s: The moment of the clock at which waiting ends.

        Returns:
            Whether another run held it meanwhile: what was read before may be stale.

        Raises:
            DeadlineError: Another run still holds it.
            ClusterError: The namespace does not exist, or is on its way out.
        """
        try:
            waited = self._wait_for_turn(deadline_s)
        except ClusterError as error:
            # A namespace that is being deleted forbids as well, and blames this field.
            is_leaving = any(cause.field == "metadata.namespace" for cause in error.causes)
            if error.status != HTTPStatus.FORBIDDEN or is_leaving:
                raise
            self._go_without(error)
            return False
        self._guarded = True
        threading.Thread(target=self._keep, daemon=True).start()
        return waited

    def check(self) -> None:
        """
        Return if this run may go on changing the stack; any thread may ask.

        Raises:
            ClusterError: Another run has the lease, or somebody deleted it.
        """
        if self._guarded and self._age_s() > self._lease_s / 2:
            self._renew()  # the thread was late: this process, or the whole machine, was asleep
        if self._lost and not self._is_end_expected:
            raise ClusterError(
                self._where, self._lost, "nothing more is applied; run again when the other is done"
            )

    def expect_end(self) -> None:
        """
        From now on it is no news that the Lease was deleted: this run deletes its namespace.

        Raises:
            ClusterError: As `check`: it was lost before.
        """
        self.check()
        self._is_end_expected = True

    def release(self) -> None:
        """Give the lease back, if the server can be told soon; the first call counts."""
        if self._released.is_set():
            return
        self._released.set()
        if self._spec:
            thread = threading.Thread(target=self._give_back, daemon=True)
            thread.start()
            thread.join(RELEASE_S)
            if thread.is_alive():
                self._tell_kept("the API server does not answer")

    def _wait_for_turn(self, deadline_s: float) -> bool:
        other: _Other | None = None
        while not self._create():
            while (found := self._get()) is not None:
                if self._is_ours(found):  # the answer to our request was lost
                    self._metadata = found["metadata"]
                    return other is not None
                now_s = self._clock.now()
                other = other or _Other(found, now_s, now_s)
                other.look(found, now_s, self._lease_s / RENEWALS)
                if other.is_free and self._take_over(other):
                    return True
                self._wait_for(other, deadline_s)
        if other:
            self._announce(f"{other.holder} no longer holds {self._where}: going on")
        return other is not None

    def _wait_for(self, other: _Other, deadline_s: float) -> None:
        """Tell from time to time who is waited for, and wait until the next look."""
        now_s = self._clock.now()
        if now_s >= deadline_s:
            raise DeadlineError(
                self._where,
                f"still held by {other.holder}{other.since}",
                "end that run or wait for it; if it hangs: "
                f"kubectl --namespace {self._namespace} delete lease {self._name}",
            )
        if now_s - other.told_s >= REMIND_S:
            still = "still " if other.told_s > -math.inf else ""
            self._announce(
                f"{still}waiting for {other.holder}, which has held {self._where}{other.since}"
            )
            other.told_s = now_s
        self._clock.sleep(min(self._lease_s / LOOKS, deadline_s - now_s))

    def _create(self) -> bool:
        """Return whether this run got the lease, because nobody had it."""
        self._ask_for(transitions=0)
        try:
            self._write(self._cluster.create, {"name": self._name, "namespace": self._namespace})
        except ClusterError as error:
            if error.reason != "AlreadyExists":
                raise
            return False
        return True

    def _take_over(self, other: _Other) -> bool:
        """Return whether this run got the lease of another; a third one may have been faster."""
        self._ask_for(transitions=other.transitions + 1)
        try:
            self._write(self._cluster.replace, other.metadata)
        except ClusterError as error:
            if error.status not in _OVERTAKEN:
                raise
            return False
        self._announce(
            f"{other.holder} has not been heard of for {other.promised_s} s: "
            f"took {self._where} over"
        )
        return True

    def _ask_for(self, *, transitions: int) -> None:
        self._spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": self._lease_s,
            "acquireTime": self._now(),
            "leaseTransitions": transitions,
        }

    def _write(
        self,
        send: Callable[[Resource, str, Mapping[str, Any]], Mapping[str, Any]],
        metadata: Mapping[str, Any],
    ) -> None:
        """
        Create or replace the Lease.

        *metadata* of one to replace has its UID, too: Kubernetes makes Leases that do not exist
        anew on PUT, and a deleted one must stay deleted.
        """
        begun = (self._clock.now(), self._wall())
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {**self._spec, "renewTime": self._now()},
        }
        self._metadata = send(LEASE, self._namespace, body)["metadata"]
        self._proven = begun

    def _get(self) -> Mapping[str, Any] | None:
        return self._cluster.get(LEASE, self._namespace, self._name)

    def _is_ours(self, lease: Mapping[str, Any]) -> bool:
        """Tell our Lease from that of another run, even one that bears the same name."""
        return not _is_leaving(lease) and _run(lease) == _run({"spec": self._spec})

    def _keep(self) -> None:
        """Renew the lease until the end or its loss; the next check may be far away."""
        while not self._released.wait(self._lease_s / RENEWALS):
            with suppress(ClusterError):
                self._renew()
            if self._lost:
                if not self._is_end_expected:
                    self._announce(f"{self._where} is lost: {self._lost}")
                return

    def _renew(self) -> None:
        with self._writing:
            if not any(self._is_settled() for _ in range(_ATTEMPTS)):
                what = f"changed {_ATTEMPTS} times while it was renewed"
                raise ClusterError(self._where, what, "find out who else writes it")

    def _is_settled(self) -> bool:
        """Renew once; return False if only the version was another one, so that it may work now."""
        if self._lost or not self._guarded:
            return True
        try:
            self._write(self._cluster.replace, self._metadata)
        except ClusterError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                self._go_without(error)
            elif error.status in _OVERTAKEN:
                return self._is_lost()
            else:
                raise
        return True

    def _is_lost(self) -> bool:
        found = self._get()
        if found is not None and self._is_ours(found):
            self._metadata = found["metadata"]  # an answer was lost, or somebody set a label
        elif found is None or _is_leaving(found):
            self._lost = "somebody deleted it while this run held it"
        else:
            other = _Other(found, 0.0, 0.0)
            self._lost = f"taken over by {other.holder}, which has held it{other.since}"
        return bool(self._lost)

    def _go_without(self, error: ClusterError) -> None:
        self._guarded = False
        self._announce(
            f"nothing keeps another run from changing this stack at the same time: {error.what}: "
            "allow this account to create, get, update and delete leases.coordination.k8s.io "
            f"in namespace {self._namespace}"
        )

    def _give_back(self) -> None:
        try:
            for _ in range(_ATTEMPTS):
                found = self._get()
                if found is None or not self._is_ours(found):
                    return
                uid, version = _version(found)
                if self._cluster.delete(
                    *(LEASE, self._namespace, self._name, uid),
                    version=version,
                    propagation="Background",  # at once: it owns nothing
                ):
                    return
        except ClusterError as error:
            self._tell_kept(error.what)

    def _tell_kept(self, why: str) -> None:
        if self._guarded and not self._lost:
            self._announce(
                f"{self._where} was not given back: {why}: "
                f"the next run takes it over after {self._lease_s} s of silence"
            )
        self._guarded = False

    def _age_s(self) -> float:
        """Return for how long it has not been sure; clocks differ when a laptop was asleep."""
        proven_s, proven_at = self._proven
        return max(self._clock.now() - proven_s, (self._wall() - proven_at).total_seconds())

    def _now(self) -> str:
        return self._wall().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class _Other:
    """The Lease of another run, and for how long we have seen it unchanged."""

    lease: Mapping[str, Any]
    looked_s: float
    unchanged_since_s: float
    told_s: float = -math.inf
    """When a person was last told who holds it."""

    def look(self, lease: Mapping[str, Any], now_s: float, longest_gap_s: float) -> None:
        """
        Take in what is there now.

        After a gap the silence counts anew: while the API server was away for us, the other run
        could not renew either.
        """
        if _version(lease) != _version(self.lease) or now_s - self.looked_s > longest_gap_s:
            self.unchanged_since_s = now_s
        if _run(lease) != _run(self.lease):
            self.told_s = -math.inf
        self.lease, self.looked_s = lease, now_s

    @property
    def is_free(self) -> bool:
        """Whether it may be taken over; one that is being deleted would be gone again."""
        is_silent = self.looked_s - self.unchanged_since_s >= self.promised_s
        return not _is_leaving(self.lease) and (is_silent or not _run(self.lease)[0])

    @property
    def metadata(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.lease["metadata"]
        return found

    @property
    def holder(self) -> str:
        return " ".join(_run(self.lease)[0].split()) or "nobody"

    @property
    def since(self) -> str:
        """Since when, by its own clock; empty when it does not say."""
        time = _run(self.lease)[1].partition("T")[2][:8]
        return f" since {time} UTC" if time else ""

    @property
    def promised_s(self) -> int:
        return int(_spec(self.lease).get("leaseDurationSeconds") or LEASE_S)

    @property
    def transitions(self) -> int:
        return int(_spec(self.lease).get("leaseTransitions") or 0)


def _spec(lease: Mapping[str, Any]) -> Mapping[str, Any]:
    return lease.get("spec") or {}


def _run(lease: Mapping[str, Any]) -> tuple[str, str]:
    """Return who holds it and since when, by the holder's own clock: no two runs agree in both."""
    spec = _spec(lease)
    return str(spec.get("holderIdentity") or ""), str(spec.get("acquireTime") or "")


def _version(lease: Mapping[str, Any]) -> tuple[str, str]:
    return str(lease["metadata"]["uid"]), str(lease["metadata"]["resourceVersion"])


def _is_leaving(lease: Mapping[str, Any]) -> bool:
    return bool(lease["metadata"].get("deletionTimestamp"))
