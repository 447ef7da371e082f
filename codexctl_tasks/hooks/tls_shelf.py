"""One place where a TLS Secret may be: looked at, and written without overtaking anybody."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.hooks.tls_pairs import Demand, Holding, copy_of, judge, private_values
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.hooks.contract import HookContext

SECRET = Resource("v1", "Secret", "secrets", namespaced=True)
_NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_ATTEMPTS = 10  # each sees the newest version: others change it rarely
_OVERTAKEN = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class Shelf:
    """A Secret of one name in one namespace, whether it exists or not."""

    def __init__(self, context: HookContext, namespace: str, name: str, demand: Demand) -> None:
        self.namespace, self.name = namespace, name
        self._context, self._demand = context, demand
        self._cluster = context.connect()

    @property
    def where(self) -> str:
        """What it is called in messages."""
        return f"Secret {self.namespace}/{self.name}"

    def look(self) -> Holding:
        """
        Return what is there now.

        Raises:
            ClusterError: It may not be read.
        """
        with self.permitted():
            found = self._cluster.get(SECRET, self.namespace, self.name)
        return self.judge(found)

    def judge(self, secret: Mapping[str, Any] | None) -> Holding:
        """Say what a Secret is worth here and now; what is private in it is masked from now on."""
        if secret is not None:
            self._context.hide(private_values(secret))
        return judge(secret, self._demand, self._cluster.now() or datetime.now(UTC))

    def exists(self) -> bool:
        """Tell whether the namespace exists; also True for who may not know."""
        try:
            return self._cluster.get(_NAMESPACE, "", self.namespace) is not None
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return True

    def put(self, source: Holding, *, unless: Callable[[Holding], bool]) -> bool:
        """
        Make the Secret a copy of *source*, whoever else writes it meanwhile.

        Args:
            source: With a Secret.
            unless: What is there stays if this says so; asked again whenever it has changed.

        Returns:
            Whether it was written.

        Raises:
            ClusterError: It may not be written; with status 404: there is no such namespace.
        """
        for _ in range(_ATTEMPTS):
            there = self.look()
            if unless(there):
                return False
            try:
                with self.permitted():
                    self._write(source, there)
            except ClusterError as error:
                is_lost = error.status == HTTPStatus.NOT_FOUND and there.secret is None
                if is_lost or error.status not in _OVERTAKEN:
                    raise
            else:
                return True
        what = f"changed {_ATTEMPTS} times while it was written"
        raise ClusterError(self.where, what, "find out who else writes it")

    def make_namespace(self) -> None:
        """Create the namespace; another run may be faster."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        try:
            self._cluster.create(_NAMESPACE, "", body)
        except ClusterError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    def _write(self, source: Holding, there: Holding) -> None:
        body = copy_of(source.secret or {}, self.namespace, there.secret)
        if there.secret is None:
            self._cluster.create(SECRET, self.namespace, body)
            return
        known = there.secret.get("type")
        if known != body["type"]:
            what = f"of type {known}, which cannot become {body['type']}"
            raise ClusterError(self.where, what, "delete it, or choose another secretName")
        self._cluster.replace(SECRET, self.namespace, body)

    @contextmanager
    def permitted(self) -> Iterator[None]:
        """Say which permission is missing when the server refuses."""
        try:
            yield
        except ClusterError as error:
            # A namespace that is being deleted forbids as well.
            if error.status != HTTPStatus.FORBIDDEN or "being terminated" in error.what:
                raise
            verbs = "get, list, watch, create and update"
            fix = f"allow this account to {verbs} secrets in namespace {self.namespace}"
            raise ClusterError(self.where, error.what, fix, status=error.status) from error
