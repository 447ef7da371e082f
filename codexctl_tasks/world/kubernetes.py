"""
The boundary to the Kubernetes API: plain dictionaries in and out, every call with a timeout.

The official client loads the kubeconfig, authenticates and keeps the connections; its generated
models and its own hidden retries are not used. This is the only module that imports it.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    TransientClusterError,
)
from codexctl_tasks.world.answers import parse_discovery, parse_status, plain_message, refusal
from codexctl_tasks.world.cluster import Resource, WatchEvent
from codexctl_tasks.world.retrying import FIRST_CONTACT, STEADY, retrying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.settings import ClusterSettings
    from codexctl_tasks.world.clock import Clock

T = TypeVar("T")

FIELD_MANAGER = "codexctl"
CONNECTIONS = 16
"""More requests in flight do not help: from 8 on the API server is the limit."""
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
"""Longer than the 10 s an admission webhook may take by default."""
WATCH_TIMEOUT_S = 290
"""The server ends a watch after this; the next one resumes where it stopped."""
PAGE = 500
"""Objects per page of a LIST, as kubectl asks for."""

_POD_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML


def connect(
    settings: ClusterSettings, clock: Clock, announce: Callable[[str], None]
) -> KubernetesCluster:
    """
    Load the credentials and return the cluster; nothing is sent yet.

    Raises:
        ClusterError: No usable kubeconfig.
    """
    from kubernetes import client, config  # 0.25 s: paid only by tasks that talk to a cluster
    from yaml import YAMLError

    loaded: Any = config  # without types
    configuration = client.Configuration()
    namespace = "default"
    try:
        if settings.kubeconfig or _has_home_config() or not _POD_ACCOUNT.exists():
            loaded.load_kube_config(
                config_file=settings.kubeconfig or None,
                context=settings.context or None,
                client_configuration=configuration,
                persist_config=False,
            )
            namespace = _context_namespace(settings, loaded)
        else:
            loaded.load_incluster_config(client_configuration=configuration)
            namespace = (_POD_ACCOUNT / "namespace").read_text().strip()
    except (config.ConfigException, OSError, YAMLError, *_NOT_A_KUBECONFIG) as error:
        raise ClusterError(
            settings.kubeconfig or "kubeconfig",
            f"no usable cluster access: {error}",
            "set KUBECONFIG to a file with a current context, or give --context",
        ) from error
    # More watches than kept connections are fine, and no news for the user.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS * 2  # watches hold connections of their own
    configuration.socket_options = _keepalive()
    return KubernetesCluster(client.ApiClient(configuration), namespace, clock, announce)


class KubernetesCluster:
    """A cluster reached through the official client's connection pool."""

    def __init__(
        self, api: Any, default_namespace: str, clock: Clock, announce: Callable[[str], None]
    ) -> None:
        """
        Wrap an API client.

        Args:
            api: A `kubernetes.client.ApiClient`.
            default_namespace: For namespaced objects that name none.
            clock: For the pauses between attempts.
            announce: Receives one line before each repeated attempt.
        """
        self.address: str = api.configuration.host
        self.default_namespace = default_namespace
        self._api, self._clock, self._announce = api, clock, announce
        self._policy = FIRST_CONTACT
        self._resources: dict[tuple[str, str], Resource] = {}

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return every kind the server knows; asked once unless *refresh*."""
        if refresh or not self._resources:
            found: dict[tuple[str, str], Resource] = {}
            for root in ("/api", "/apis"):
                answer = self._request("GET", root, accept=_DISCOVERY)
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
            return self._request("GET", resource.path(namespace, name))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list_objects(
        self, resource: Resource, namespace: str
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return all objects of a kind, page by page, and the resource version of the first."""
        items: list[Mapping[str, Any]] = []
        version, token = "", ""
        while True:
            query = {"limit": PAGE, **({"continue": token} if token else {})}
            page = self._request("GET", resource.path(namespace), query)
            identity = {"apiVersion": resource.api_version, "kind": resource.kind}
            items += [{**identity, **item} for item in page.get("items") or ()]
            version = version or page["metadata"]["resourceVersion"]
            if not (token := page["metadata"].get("continue", "")):
                return items, version

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        """
        Open a watch and yield changes until the server ends it.

        Raises:
            ExpiredError: *resource_version* is too old; list anew.
            BrokenStreamError: The connection broke; watch again from the last version.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_TIMEOUT_S,
        }
        path = resource.path(namespace)

        def open_watch() -> Any:
            with self._translated("GET", path):
                # The server is silent between changes: only a keep-alive tells a dead connection.
                return self._send("GET", path, query, read_timeout_s=WATCH_TIMEOUT_S + 30.0)

        return self._events(path, self._retried(open_watch))

    def _events(self, path: str, answer: Any) -> Iterator[WatchEvent]:
        try:
            for line in _lines(answer.stream(2**16, decode_content=True)):
                event = json.loads(line)
                kind, found = event.get("type"), event.get("object") or {}
                if kind == "ERROR":
                    raise refusal("GET", path, found.get("code", 0), found)
                if "metadata" not in found:  # not the API server's words: a proxy in between
                    raise ValueError(line[:100])
                yield WatchEvent(kind, found)
        except TransientClusterError as error:
            raise BrokenStreamError(self.address, error.what) from error
        except _connection_errors() as error:
            raise BrokenStreamError(
                self.address, f"the stream broke: {plain_message(error)}"
            ) from error
        finally:
            answer.close()

    def apply(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], *, force: bool
    ) -> Mapping[str, Any]:
        """Apply on the server side; a misspelt field is refused. Returns the object."""
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
        }
        return self._request(
            "PATCH", resource.path(namespace, body["metadata"]["name"]), query, body
        )

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        """Delete the object with this UID after what it owns; False if it is gone already."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Foreground"}
        try:
            self._request("DELETE", resource.path(namespace, name), body=options)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND or (
                error.status == HTTPStatus.CONFLICT and "uid" in error.what.lower()
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
            with self._translated("GET", path):
                answer = self._send("GET", path, query, accept="text/plain, */*")
                text: str = answer.data.decode(errors="replace")
                return text.splitlines()[-lines:]
        except ClusterError as error:
            if error.status in (
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.NOT_FOUND,
            ):  # not started yet, or already collected
                return []
            raise

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request, repeating it while the trouble is passing, and decode the answer."""

        def attempt() -> dict[str, Any]:
            with self._translated(method, path):
                answer: dict[str, Any] = json.loads(
                    self._send(method, path, query or {}, body, accept=accept).data
                )
                return answer

        return self._retried(attempt)

    def _retried(self, attempt: Callable[[], T]) -> T:
        answer = retrying(attempt, self._clock, self._policy, self._announce)
        self._policy = STEADY
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        *,
        accept: str = "application/json",
        read_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Any:
        from urllib3 import Timeout

        content = _APPLY_PATCH if method == "PATCH" else "application/json"
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": FIELD_MANAGER}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        answer = self._api.rest_client.pool_manager.request(
            method,
            f"{self.address}{path}" + (f"?{urlencode(query)}" if query else ""),
            headers=headers,
            body=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
            timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(
                method,
                path,
                answer.status,
                parse_status(answer.data),
                answer.headers.get("Retry-After"),
            )
        return answer

    @contextmanager
    def _translated(self, method: str, path: str) -> Iterator[None]:
        """Turn what the connection can raise into the errors of this package."""
        from urllib3.exceptions import MaxRetryError, SSLError

        try:
            yield
        except (SSLError, ssl.SSLError) as error:
            raise self._tls_error(error) from error
        except _connection_errors() as error:
            reason = error.reason if isinstance(error, MaxRetryError) else error
            if isinstance(reason, SSLError):
                raise self._tls_error(reason) from error
            raise TransientClusterError(
                self.address,
                f"cannot be reached: {plain_message(reason)}",
                "check that the cluster runs and that this machine may reach it",
                reason=f"{method} {path}",
            ) from error

    def _tls_error(self, error: BaseException) -> ClusterError:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):  # broken off in the middle of a handshake
            return TransientClusterError(
                self.address, f"TLS failed: {plain_message(error)}", "try again"
            )
        return ClusterError(
            self.address,
            "its certificate is not signed by the authority in the kubeconfig",
            "fetch a fresh kubeconfig",
        )


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return what a connection can raise; a cut-off answer is a `ValueError` of the decoder."""
    from urllib3.exceptions import HTTPError

    return HTTPError, OSError, ValueError


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from filter(None, whole)


def _keepalive() -> list[tuple[int, int, int]]:
    """Notice a vanished peer after 10 + 3 x 5 s, also on a watch on which nothing happens."""
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ]
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # macOS has no TCP_KEEPIDLE
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


_NOT_A_KUBECONFIG = (AttributeError, KeyError, TypeError, ValueError)
"""What the official client raises for a file of another shape."""


def _has_home_config() -> bool:
    try:
        return Path("~/.kube/config").expanduser().exists()
    except RuntimeError:  # no home folder: some containers
        return False


def _context_namespace(settings: ClusterSettings, config: Any) -> str:
    try:
        contexts, active = config.list_kube_config_contexts(settings.kubeconfig or None)
    except config.ConfigException:  # no current context, which --context makes up for
        return "default"
    chosen = next((c for c in contexts if c["name"] == settings.context), active)
    return str(chosen["context"].get("namespace") or "default")
