"""
Access to a cluster: the official client reads the kubeconfig and authenticates.

Only its configuration, authentication and connection pool are used, neither its generated models
nor its hidden retries. This is the only module that imports it.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import HTTPConnectionPool, PoolManager

    from codexctl_tasks.requests.basis import ClusterSettings

_POD_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CERTIFICATES = ("ca_certs", "ca_cert_data", "cert_file", "key_file")
"""What a pool of connections would read again for each of them."""
_LOADING = Lock()
"""The official client shares its files among all who read the same kubeconfig."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """A way to a cluster, with the credentials as they were read."""

    address: str
    namespace: str
    """Of the context."""
    context: str
    """Its name in the kubeconfig; empty: the pod's own account."""
    pool: HTTPConnectionPool
    """Connections to the server, or to the proxy before it."""
    prefix: str
    """What the target of every request begins with."""
    authorization: str
    """The header of that name; empty with a client certificate."""


def load_access(settings: ClusterSettings) -> Access:
    """
    Read the kubeconfig, with the files and programs that it names; nothing is sent.

    Raises:
        ClusterError: No usable kubeconfig.
    """
    from kubernetes import client, config  # 0.25 s: paid only by tasks that talk to a cluster
    from urllib3.util import parse_url
    from yaml import YAMLError

    # More watches than kept connections are fine, and no news for the user.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    loaded: Any = config  # without types
    configuration = client.Configuration()
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS * 2  # watches hold connections of their own
    configuration.socket_options = _keepalive()
    try:
        with _no_key_left(loaded):
            context, namespace = _read(settings, loaded, configuration)
            manager = _pools(configuration)
        pool = manager.connection_from_url(configuration.host)
        url = parse_url(configuration.host)
        # An HTTP proxy is told the whole address, unless TLS leads through it.
        through_proxy = pool.proxy is not None and url.scheme == "http"
        return Access(
            address=configuration.host,
            namespace=namespace,
            context=context,
            pool=pool,
            prefix=configuration.host if through_proxy else (url.path or "").rstrip("/"),
            authorization=_header(str(configuration.api_key.get("BearerToken") or "")),
        )
    except (config.ConfigException, OSError, YAMLError, *_NOT_A_KUBECONFIG) as error:
        raise ClusterError(
            settings.kubeconfig or "kubeconfig",
            f"no usable cluster access: {error}",
            "name a file with a current context: --kubeconfig or KUBECONFIG; or give --context",
        ) from error


def _read(settings: ClusterSettings, config: Any, configuration: Any) -> tuple[str, str]:
    """Fill in the configuration; return name and namespace of the context."""
    if not settings.kubeconfig and not _has_home_config() and _POD_ACCOUNT.exists():
        config.load_incluster_config(client_configuration=configuration)
        return "", (_POD_ACCOUNT / "namespace").read_text().strip()
    _refuse_missing(settings, config.ConfigException)
    with _complaints_raised():
        config.load_kube_config(
            config_file=settings.kubeconfig or None,
            context=settings.context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    return _context(settings, config)


@contextmanager
def _no_key_left(config: Any) -> Iterator[None]:
    """
    Remove the files into which the official client writes certificates and keys of a kubeconfig.

    It does so itself, but at the end of the process: one that is killed leaves the key behind.
    """
    with _LOADING:
        try:
            yield
        finally:
            config.kube_config._cleanup_temp_files()  # noqa: SLF001 - nothing public forgets them


def _pools(configuration: Any) -> PoolManager:
    """Return what connects, with certificates in memory instead of files for each connection."""
    from kubernetes import client

    # A proxy is trusted as the cluster is, but is not shown who we are.
    configuration.proxy_ssl_context = _trust(configuration)
    manager: PoolManager = client.rest.RESTClientObject(configuration).pool_manager
    manager.connection_pool_kw.update(
        dict.fromkeys(_CERTIFICATES), ssl_context=_identity(configuration)
    )
    return manager


def _trust(configuration: Any) -> ssl.SSLContext:
    """Return whose certificates are believed."""
    from urllib3.util.ssl_ import create_urllib3_context

    verifies = ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE
    context = create_urllib3_context(cert_reqs=verifies)
    file, data = configuration.ssl_ca_cert, configuration.ca_cert_data
    if file or data:
        context.load_verify_locations(file, cadata=data)
    else:
        context.load_default_certs()
    return context


def _identity(configuration: Any) -> ssl.SSLContext:
    """Return `_trust`, and what a client certificate proves."""
    context = _trust(configuration)
    if configuration.cert_file:
        try:  # without a password OpenSSL would ask for one
            context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
        except ssl.SSLError as error:
            what = "the client's certificate or its key cannot be read, or needs a password"
            raise ValueError(f"{what}: {error}") from error
    return context


@contextmanager
def _complaints_raised() -> Iterator[None]:
    """Raise what the official client merely logs: a program for credentials that failed."""
    from kubernetes.config import ConfigException

    listener = _Listener(logging.ERROR)
    logging.root.addHandler(listener)
    try:
        yield
    finally:
        logging.root.removeHandler(listener)
    if listener.heard:
        raise ConfigException("; ".join(listener.heard))


class _Listener(logging.Handler):
    """Keeps what is logged without a logger of its own, as the official client does."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == logging.root.name:
            self.heard.append(record.getMessage())


def _header(authorization: str) -> str:
    """Return a header without the line break at the end of a token file; never show a token."""
    if not re.fullmatch(r"[\x20-\x7e]*", stripped := authorization.strip()):
        raise ValueError("the token holds characters that no token has")
    return stripped


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
    return _exists("~/.kube/config")


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except RuntimeError:  # no home folder: some containers
        return False


def _refuse_missing(settings: ClusterSettings, refusal: type[Exception]) -> None:
    """Say what is missing, where the official client calls the file invalid."""
    files = [each for each in settings.kubeconfig.split(os.pathsep) if each]
    if not files and not _has_home_config():
        raise refusal("neither KUBECONFIG nor ~/.kube/config is there")
    if files and not any(map(_exists, files)):
        raise refusal(f"the {'file does' if len(files) == 1 else 'files do'} not exist")


def _context(settings: ClusterSettings, config: Any) -> tuple[str, str]:
    """Return name and namespace of the context that is used."""
    try:
        contexts, active = config.list_kube_config_contexts(settings.kubeconfig or None)
    except config.ConfigException:  # no current context, which --context makes up for
        return settings.context, "default"
    chosen = next((c for c in contexts if c["name"] == settings.context), active)
    return str(chosen["name"]), str(chosen["context"].get("namespace") or "default")
