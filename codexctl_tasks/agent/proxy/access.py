"""
A run's way to its model: a proxy that is made for it, and goes with it.

The pod's label says until when its run is sure to live, and is renewed by a thread. A pod whose
time is over, because its run was killed, is removed by whoever comes next; without anybody, by its
own deadline. All times are those of the API server.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.proxy import objects
from codexctl_tasks.agent.proxy.program import KEY_REFUSED
from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    ConfigurationError,
)
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.starting import ENDED, POD, is_ready, wait_until_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.agent.proxy.objects import ProxySettings
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

RESOURCES = {
    each.kind: each
    for each in (
        Resource("v1", "Namespace", "namespaces", namespaced=False),
        Resource("v1", "ServiceAccount", "serviceaccounts", namespaced=True),
        POD,
        Resource("v1", "Secret", "secrets", namespaced=True),
        Resource("v1", "ConfigMap", "configmaps", namespaced=True),
        Resource("v1", "Service", "services", namespaced=True),
        Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespaced=True),
    )
}
POLICY = RESOURCES["NetworkPolicy"]
LEASE_S = 300.0
_RENEWALS = 3
_LOG_LINES = 500
_REPLACE_S, _LOOK_S = 20.0, 0.2
"""For how long to wait for the end of an agent's pod, and between two looks."""


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """What an agent needs to reach its model."""

    base_url: str
    """To which ``/responses`` is added."""
    token: str = field(repr=False)
    is_key_refused: Callable[[], bool] = field(repr=False)
    """Ask whether the model has refused the key; ``ClusterError``: the proxy cannot be asked."""


@contextmanager
def model_access(
    cluster: Cluster, clock: Clock, settings: ProxySettings, *, lease_s: float = LEASE_S
) -> Iterator[ModelAccess]:
    """
    Start a proxy, and remove it and all that belongs to it at the end.

    *lease_s*: For how long others leave it alone when this process is gone.

    Raises:
        ClusterError: The namespace or the objects may not be made; the proxy does not run.
        ConfigurationError: There is no key.
        DeadlineError: It does not become ready.
    """
    if not settings.key.strip():
        raise ConfigurationError("model key", "is empty", "set the secret of the workflow")
    _prepare(cluster, settings)
    living = remove_leftovers(cluster, settings)
    proxy = _Proxy(cluster, clock, settings, lease_s)
    try:
        access = proxy.start()
        if settings.agent_pods:  # not before: what is shut in never finds a moment without a policy
            _remove_policies(cluster, settings, {*living, settings.run})
        yield access
    finally:
        proxy.remove()


def remove_leftovers(cluster: Cluster, settings: ProxySettings) -> set[str]:
    """Remove proxies of runs that are dead; return the runs that live."""
    now = cluster.now()
    living: set[str] = set()
    for pod in cluster.list_objects(POD, settings.place)[0]:
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(objects.COMPONENT) != objects.PROXY:
            continue
        until = labels.get(objects.LEASE, "")
        is_over = now is not None and until.isdigit() and int(until) < now.timestamp()
        if is_over or (pod.get("status") or {}).get("phase") in ENDED:
            cluster.delete(POD, settings.place, metadata["name"], metadata["uid"])
        else:
            living.add(labels.get(objects.RUN, ""))
    return living


def _remove_policies(cluster: Cluster, settings: ProxySettings, living: set[str]) -> None:
    """Remove policies in the slot's namespace of runs that are dead."""
    where = settings.slot_namespace
    for policy in cluster.list_objects(POLICY, where)[0]:
        metadata = policy["metadata"]
        labels = metadata.get("labels") or {}
        is_ours = labels.get(objects.COMPONENT) == objects.PROXY
        is_here = labels.get(objects.PROJECT) == settings.project
        if is_ours and is_here and labels.get(objects.RUN) not in living:
            cluster.delete(POLICY, where, metadata["name"], metadata["uid"])


def _prepare(cluster: Cluster, settings: ProxySettings) -> None:
    """Make what stays, where it is not there."""
    for body in objects.frame(settings):
        try:
            _create(cluster, body)
        except ClusterError as error:
            if error.reason == "AlreadyExists":
                continue
            if body["kind"] == "Namespace" and error.status == HTTPStatus.FORBIDDEN:
                if _is_there(cluster, body):
                    continue
                what = "does not exist, and this account may not create it"
                fix = "create it once, or name another one at codex.proxy.namespace"
                raise ClusterError(f"Namespace {settings.place}", what, fix) from None
            raise


def _is_there(cluster: Cluster, body: Mapping[str, Any]) -> bool:
    """Tell whether a namespace exists; who may not ask finds out with the next object."""
    try:
        return cluster.get(RESOURCES["Namespace"], "", body["metadata"]["name"]) is not None
    except ClusterError as error:
        return error.status == HTTPStatus.FORBIDDEN


def _create(cluster: Cluster, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return cluster.create(RESOURCES[body["kind"]], body["metadata"].get("namespace", ""), body)


class _Proxy:
    """The pod of one run and what belongs to it."""

    def __init__(
        self, cluster: Cluster, clock: Clock, settings: ProxySettings, lease_s: float
    ) -> None:
        self._cluster, self._clock, self._settings = cluster, clock, settings
        self._lease_s, self._ended = lease_s, threading.Event()
        self._where = f"Pod {settings.place}/{settings.name}"
        self._uid = ""
        self._was_up = False

    def start(self) -> ModelAccess:
        """Make everything and wait until it is ready."""
        token = secrets.token_urlsafe(32)
        try:
            made = _create(self._cluster, objects.pod(self._settings, self._lease_until()))
        except ClusterError:
            self._ended.set()  # one of that name is another process's
            raise
        self._uid = made["metadata"]["uid"]
        for body in objects.belongings(self._settings, token, self._uid):
            _create(self._cluster, body)
        for body in objects.confinement(self._settings):
            _create(self._cluster, body)
        threading.Thread(target=self._keep, daemon=True).start()
        self._await_ready()
        self._was_up = True
        return ModelAccess(self._settings.base_url, token, self._is_key_refused)

    def remove(self) -> None:
        """Remove what was made; nobody is told of trouble, for whoever comes next tries again."""
        if self._ended.is_set():
            return
        self._ended.set()
        settings = self._settings
        with suppress(ClusterError):
            self._uid = self._uid or self._uid_of_started()
            if self._uid:
                where = (POD, settings.place, settings.name, self._uid)
                self._cluster.delete(*where, propagation="Background")
        with suppress(ClusterError):
            if settings.agent_pods and (not self._was_up or self._end_agents()):
                self._remove_policy()

    def _end_agents(self) -> bool:
        """
        Replace the pods that were shut in; False: one of them lives, and its policy has to stay.

        Whatever an agent has left there would be free without it. Their controller makes new ones.
        """
        space = self._settings.slot_namespace
        left = self._shut_in()
        for pod in left.values():
            owners = pod["metadata"].get("ownerReferences") or ()
            if not any(each.get("controller") for each in owners):
                return False  # nobody would make it again
            where = (POD, space, pod["metadata"]["name"], pod["metadata"]["uid"])
            self._cluster.delete(*where, propagation="Background", grace_s=1)
        ends_s = min(self._clock.now() + _REPLACE_S, self._cluster.deadline_s)
        while left.keys() & self._shut_in().keys():
            if self._clock.now() > ends_s:
                return False
            self._clock.sleep(_LOOK_S)
        return True

    def _shut_in(self) -> dict[str, Mapping[str, Any]]:
        """Return the pods that are shut in, by UID."""
        pods, _ = self._cluster.list_objects(POD, self._settings.slot_namespace)
        wanted = self._settings.agent_pods.items()
        shut_in = (p for p in pods if wanted <= (p["metadata"].get("labels") or {}).items())
        return {pod["metadata"]["uid"]: pod for pod in shut_in}

    def _remove_policy(self) -> None:
        space, name = self._settings.slot_namespace, self._settings.name
        found = self._cluster.get(POLICY, space, name)
        if found and found["metadata"]["labels"].get(objects.RUN) == self._settings.run:
            self._cluster.delete(POLICY, space, name, found["metadata"]["uid"])

    def _uid_of_started(self) -> str:
        """Return the UID of a pod whose creation was interrupted; empty: there is none."""
        found = self._cluster.get(POD, self._settings.place, self._settings.name)
        return str(found["metadata"]["uid"]) if found else ""

    def _lease_until(self) -> int:
        now = self._cluster.now()
        return round(now.timestamp() + self._lease_s) if now else 0

    def _keep(self) -> None:
        """Renew the lease until the end."""
        label = "/metadata/labels/" + objects.LEASE.replace("/", "~1")
        while not self._ended.wait(self._lease_s / _RENEWALS):
            operations = [
                {"op": "test", "path": "/metadata/uid", "value": self._uid},
                {"op": "add", "path": label, "value": str(self._lease_until())},
            ]
            with suppress(CodexctlError):
                self._cluster.patch(POD, self._settings.place, self._settings.name, operations)

    def _await_ready(self) -> None:
        where = (self._settings.place, self._settings.name, self._cluster, self._clock)
        fix = "see codex.proxy.image, and whether the nodes may pull it"
        if not wait_until_up(*where, is_up=is_ready, fix=fix):
            self._raise_ended()

    def _raise_ended(self) -> None:
        said = self._said()
        what = f"ended before it was ready: {said[-1] if said else 'it said nothing'}"
        fix = "see codex.proxy: the image needs Python 3.9 or newer as python3"
        raise ClusterError(self._where, what, fix)

    def _is_key_refused(self) -> bool:
        return KEY_REFUSED in self._said()

    def _said(self) -> list[str]:
        where = (self._settings.place, self._settings.name, objects.CONTAINER)
        return self._cluster.logs(*where, previous=False, lines=_LOG_LINES)
