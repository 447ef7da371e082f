"""
The boundary to the Kubernetes API: plain dictionaries in and out.

What each call means to the server; how it gets there is `transport`, with whose rights
`credentials`.
"""

from __future__ import annotations

import json
import math
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    Patience,
    TransientClusterError,
)
from codexctl_tasks.world.answers import parse_discovery, refusal, warnings_in
from codexctl_tasks.world.cluster import FIELD_MANAGER, Answer, Resource, WatchEvent
from codexctl_tasks.world.credentials import load_access
from codexctl_tasks.world.execution import V4, V5, Executed, Session, exec_path
from codexctl_tasks.world.transport import JSON, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.requests.basis import ClusterSettings
    from codexctl_tasks.world.clock import Clock

WATCH_TIMEOUT_S = 290
"""The server ends a watch after this; the next one resumes where it stopped."""
SILENCE_S = 90.0
"""A watch on which nothing happens shows a bookmark every minute, unless it is one of events."""
_NO_LOG = ("failed to try resolving symlinks", "unable to retrieve container logs for")
"""What the kubelet sends in place of a log whose file is not there (any more)."""
PAGE = 500
"""Objects per page of a LIST, as kubectl asks for."""

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
_JSON_PATCH = "application/json-patch+json"


def connect(
    settings: ClusterSettings, clock: Clock, announce: Callable[[str], None]
) -> KubernetesCluster:
    """
    Load the credentials and return the cluster; nothing is sent yet.

    Raises:
        ClusterError: No usable kubeconfig.
    """
    transport = Transport(lambda: load_access(settings), clock, announce)
    return KubernetesCluster(transport, transport.namespace)


class KubernetesCluster:
    """A cluster reached through the official client's connection pool; see `cluster.Cluster`."""

    def __init__(self, transport: Transport, default_namespace: str) -> None:
        """
        Wrap a transport.

        Args:
            transport: How requests reach the server.
            default_namespace: For namespaced objects that name none.
        """
        self._transport = transport
        self.address: str = transport.address
        self.context: str = transport.context
        self.default_namespace = default_namespace
        self._resources: dict[tuple[str, str], Resource] = {}

    @property
    def deadline_s(self) -> float:
        """Nothing is repeated after this moment of the clock; infinity: no limit."""
        return self._transport.deadline_s

    @deadline_s.setter
    def deadline_s(self, deadline_s: float) -> None:
        self._transport.deadline_s = deadline_s

    def now(self) -> datetime | None:
        """Return the server's own time, up to some 1 s behind; None: nothing was answered yet."""
        return self._transport.server_time()

    def version(self) -> str:
        """Return the server's version, such as ``v1.34.0``; empty: it does not tell."""
        try:
            return str(json.loads(self._transport.read_text("/version", {}))["gitVersion"])
        except (KeyError, TypeError, ValueError):  # a proxy in between
            return ""
        except ClusterError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return ""
            raise

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return every kind the server knows; asked once unless *refresh*."""
        if refresh or not self._resources:
            found: dict[tuple[str, str], Resource] = {}
            for root in ("/api", "/apis"):
                answer = self._transport.request("GET", root, accept=_DISCOVERY)
                try:
                    found |= {(r.api_version, r.kind): r for r in parse_discovery(answer)}
                except (KeyError, TypeError) as error:
                    raise ClusterError(
                        self.address,
                        "its list of kinds is not understood",
                        "codexctl needs Kubernetes 1.30 or newer",
                    ) from error
            self._resources = found
        return self._resources

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return the object, None if there is none."""
        try:
            return self._transport.request("GET", resource.path(namespace, name))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list_objects(
        self, resource: Resource, namespace: str, *, repeats: bool = True
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return all objects of a kind, page by page, and the resource version of the first."""
        not_for = () if repeats else tuple(Patience)
        items: list[Mapping[str, Any]] = []
        version, token = "", ""
        while True:
            query = {"limit": PAGE, **({"continue": token} if token else {})}
            page = self._transport.request("GET", resource.path(namespace), query, not_for=not_for)
            identity = {"apiVersion": resource.api_version, "kind": resource.kind}
            items += [{**identity, **item} for item in page.get("items") or ()]
            version = version or page["metadata"]["resourceVersion"]
            if not (token := page["metadata"].get("continue", "")):
                return items, version

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        """
        Open a watch, trying once, and yield changes until the server ends it.

        Raises:
            TransientClusterError: It could not be opened.
            ExpiredError: *resource_version* is too old, or nothing came for `SILENCE_S`.
            BrokenStreamError: The connection broke; watch again from the last version.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_TIMEOUT_S,
        }
        path = resource.path(namespace)
        return self._events(path, self._transport.open_stream(path, query, silence_s=SILENCE_S))

    def _events(self, path: str, pieces: Generator[bytes, None, None]) -> Iterator[WatchEvent]:
        with closing(pieces):
            for line in _lines(pieces):
                try:
                    event = _event(path, line)
                except ValueError as error:  # not the API server's words: a proxy in between
                    what = f"the stream broke: {line[:100]!r} is no event"
                    raise BrokenStreamError(self.address, what) from error
                except TransientClusterError as error:
                    raise BrokenStreamError(self.address, error.what) from error
                yield event

    def apply(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Answer:
        """Apply on the server side; a misspelt field is refused."""
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
            **({"dryRun": "All"} if dry_run else {}),
        }
        path = resource.path(namespace, body["metadata"]["name"])
        # The object comes back only where somebody looks at it: a dry run's is shown.
        found, headers = self._transport.exchange(
            *("PATCH", path, query, body),
            content=_APPLY_PATCH,
            accept=JSON if dry_run else _METADATA,
            versioned="resourceVersion" in body["metadata"],
            # The pods of a webhook may be part of what is applied after the dry runs.
            not_for=(Patience.WEBHOOK,) if dry_run else (),
        )
        warnings = headers.getlist("Warning") if "Warning" in headers else ()
        return Answer(found, warnings_in(warnings))

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Create an object, or ask a question that Kubernetes models as one."""
        return self._transport.request("POST", resource.path(namespace), body=body)

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Replace an object that is still at the version which *body* names."""
        path = resource.path(namespace, body["metadata"]["name"])
        return self._transport.request("PUT", path, body=body, versioned=True)

    def patch(
        self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Change an object by JSON Patch."""
        path = resource.path(namespace, name)
        return self._transport.request(
            *("PATCH", path, {"fieldManager": FIELD_MANAGER}, operations),
            content=_JSON_PATCH,
            versioned=any(each["path"] == "/metadata/resourceVersion" for each in operations),
        )

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        version: str = "",
        propagation: str = "Foreground",
        grace_s: int | None = None,
    ) -> bool:
        """Delete the object with this UID after what it owns; False if it is gone already."""
        preconditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        options: dict[str, Any] = {
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self._transport.request("DELETE", resource.path(namespace, name), body=options)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND or (
                error.status == HTTPStatus.CONFLICT and "precondition" in error.what.lower()
            ):
                return False
            raise
        return True

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int
    ) -> list[str]:
        """Return the last lines a container wrote; empty when it has none."""
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        query = {
            "container": container,
            "tailLines": lines,
            "previous": "true" if previous else "false",
            "limitBytes": 64 * 1024,
        }
        try:
            found = self._transport.read_text(path, query).splitlines()[-lines:]
            return [] if len(found) == 1 and found[0].startswith(_NO_LOG) else found
        except ClusterError as error:
            if error.status in (
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.NOT_FOUND,
            ):  # not started yet, or already collected
                return []
            raise

    def execute(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """Run a command that is safe to be started twice; see `execution.Session.run`."""
        path = exec_path(namespace, pod, container, command)
        upgraded = self._transport.upgrade(path, (V5, V4))
        return Session(f"pod {namespace}/{pod}", upgraded).run(stdin, take, limit_s)


def _event(path: str, line: bytes) -> WatchEvent:
    match json.loads(line):
        case {"type": "ERROR", "object": {"code": int(code)} as status}:
            raise refusal("GET", path, code, status)
        case {
            "type": "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" as kind,
            "object": {"metadata": dict()} as found,
        }:
            return WatchEvent(kind, found)
    raise ValueError(line)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from filter(None, whole)
    yield from filter(None, [rest])
