"""Secrets of one namespace: compared, tried and written, and no value in any message."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from codexctl_tasks.world.cluster import Answer, Cluster

Answered = TypeVar("Answered")

_SECRET = Resource("v1", "Secret", "secrets", namespaced=True)
_HARMLESS = re.compile(
    r'User "[^"]*" cannot \w+ resource "secrets"|exceeded quota: .*'
    r'|admission webhook "[^"]*" denied the request|failed calling webhook "[^"]*"'
    r"|ValidatingAdmissionPolicy '[^']*' .*?denied request|data: Too long: [\w ]* bytes"
)
"""What is repeated of an answer: names and numbers. The rest may quote what was sent."""


@dataclass(frozen=True, slots=True)
class Update:
    """What is to be done with one Secret."""

    name: str
    state: str
    """``created``, ``changed`` or ``unchanged``: what it is afterwards."""
    body: Mapping[str, Any] = field(repr=False)
    """What is applied, unless it is unchanged."""


class SecretStore:
    """The Secrets of a namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Nothing is asked yet."""
        self._cluster, self._namespace = cluster, namespace

    def compare(self, name: str, data: Mapping[str, bytes], unset: Collection[str]) -> Update:
        """
        Look whether a Secret has these values; other keys are not looked at.

        Args:
            name: Of the Secret.
            data: Its values.
            unset: Keys that keep the values that they have.

        Raises:
            ClusterError: It cannot be read, or could not be changed.
        """
        live = self._ask(name, lambda: self._cluster.get(_SECRET, self._namespace, name))
        if live is None:
            return Update(name, "created", self._body(name, _written(data), {}))
        if live["metadata"].get("deletionTimestamp"):
            what = "is being deleted, so what is written now would be lost"
            raise ClusterError(self._place(name), what, "run again when it is gone")
        known: Mapping[str, str] = live.get("data") or {}
        if all(key in known and b64decode(known[key]) == value for key, value in data.items()):
            return Update(name, "unchanged", {})
        if live.get("immutable"):
            what = "holds other values and is immutable"
            raise ClusterError(self._place(name), what, "delete it, and run again")
        kept = {key: known[key] for key in unset if key in known}
        return Update(name, "changed", self._body(name, kept | _written(data), live))

    def rehearse(self, update: Update) -> None:
        """Ask whether the update would be accepted; nothing is changed."""
        self._apply(update, dry_run=True)

    def write(self, update: Update) -> str:
        """Make it so; return what was done."""
        self._apply(update, dry_run=False)
        return f"{update.state} {self._place(update.name)}"

    def _apply(self, update: Update, *, dry_run: bool) -> None:
        def apply() -> Answer:
            # By force: whoever has set these keys before, this is what they hold now.
            return self._cluster.apply(
                _SECRET, self._namespace, update.body, force=True, dry_run=dry_run
            )

        if update.body:
            self._ask(update.name, apply)

    def _body(
        self, name: str, data: Mapping[str, str], live: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self._namespace},
            "type": live.get("type") or "Opaque",  # it can never be changed
            "data": data,
        }

    def _place(self, name: str) -> str:
        return f"Secret {self._namespace}/{name}"

    def _ask(self, name: str, request: Callable[[], Answered]) -> Answered:
        """Ask the server about a Secret, and say in our own words what it refuses."""
        try:
            return request()
        except ClusterError as error:
            if not error.status:
                raise  # the server was not reached
            refusal = self._refusal(name, error)
        raise refusal  # out here it has no context: the server's answer may quote values

    def _refusal(self, name: str, error: ClusterError) -> ClusterError:
        namespace = f"namespace {self._namespace}"
        if error.status == HTTPStatus.NOT_FOUND:
            fix = "create it, or use the hook after it was applied"
            return ClusterError(namespace, "does not exist", fix, status=error.status)
        if "because it is being terminated" in error.what:
            fix = "run again when it is gone"
            return ClusterError(namespace, "is being deleted", fix, status=error.status)
        found = _HARMLESS.search(error.what)
        said = found[0] if found else error.reason
        fix = ""
        if error.status == HTTPStatus.UNAUTHORIZED:
            fix = "log in again: the credentials were not accepted"
        elif said.startswith("User "):
            fix = "it takes the rights to get, create and patch secrets there"
        what = f"the API server answered {error.status}: {said}"
        return ClusterError(self._place(name), what, fix, status=error.status, reason=error.reason)


def _written(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: b64encode(value).decode() for key, value in data.items()}
