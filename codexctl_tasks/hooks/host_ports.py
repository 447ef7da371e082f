"""
``codex.check-dev-host-ports``: does the host answer as people will ask it?

`world.probing` asks, `host_answers` says what the answer means.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.contract import (
    Flag,
    HookContext,
    HookError,
    Parameters,
    Seconds,
    Text,
    Texts,
    hook,
)
from codexctl_tasks.hooks.host_answers import Finding, judge
from codexctl_tasks.world.parallel import in_parallel
from codexctl_tasks.world.probing import Endpoint, SystemNetwork, trusting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from codexctl_tasks.world.probing import Network

AT_ONCE = 16
_LOOPBACK = ("127.0.0.1", "::1")
_HTTPS = 443
_LAST_PORT = 65535
_PORT = re.compile(r"([0-9]{1,5})(?:/(http|https))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


def _readable(ports: tuple[str, ...]) -> tuple[str, ...]:
    for port in ports:
        found = _PORT.fullmatch(port)
        if not found or not 0 < int(found[1]) <= _LAST_PORT:
            raise ValueError(f"{port!r} is no port: write 80, 443 or 8443/https")
    return ports


Ports = Annotated[Texts, AfterValidator(_readable)]


class CheckHostPorts(Parameters):
    """``with`` of ``codex.check-dev-host-ports``."""

    host: Text = ""
    """Host name to ask for, in the `Host` header and by SNI; absent: `baseDomain` of the
    environment. Slots have one of their own: write `slot-{{ .Slot }}.example.com`."""
    ports: Ports = ("80", "443")
    """Ports to ask: on `443` HTTPS is spoken, on others HTTP, unless they say otherwise, such as
    `8443/https`."""
    address: Texts = ()
    """Where to ask, IPv4, IPv6 or a name, or several; absent: what the host name resolves to, else
    `127.0.0.1` and `::1`."""
    timeout: Seconds = 5.0
    """For one answer, such as `5s`; all are asked at once."""
    ca_file: Text = ""
    """PEM file with authorities to trust as well, relative to `services.yaml`."""
    strict: Flag = False
    """Whether to fail instead of to warn."""


@hook(
    "codex.check-dev-host-ports",
    CheckHostPorts,
    example="""
        - use: codex.check-dev-host-ports
          timeout: 1m
          with: { host: "slot-{{ .Slot }}.market.example.com", ports: [80, 443] }
    """,
    replaces="""
        for port in 80 443; do
          if timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/${port}" 2>/dev/null; then
            echo "port ${port} of the host is open"
          else
            echo "warning: nobody listens on port ${port} of the host" >&2
          fi
        done
        curl -fsS -m 10 -o /dev/null -H "Host: $HOST" http://127.0.0.1/ \\
          || echo "warning: http://$HOST/ does not answer yet" >&2
    """,
)
def check_dev_host_ports(given: CheckHostPorts, context: HookContext) -> None:
    """
    Look whether the ports of the host answer as browsers will ask them, and say what is wrong.

    Each address and port is asked for `/` with the environment's host name, over HTTPS with SNI,
    and gets one line. These are told apart:

    - the host name does not resolve
    - nothing listens; no answer in time (a filter, or a server that hangs)
    - nothing is routed for the host: the default page of the ingress controller answers
    - the certificate is expired, self-signed, from an unknown authority, for other hosts, or the
      ingress controller's own because there is none for the host
    - no TLS where it is expected, or TLS where it is not; something that is no HTTP
    - 5xx: the backend is not ready, or broken

    Everything else is fine; the status is told. Without `strict` problems are warnings. If the
    addresses are those that the name resolves to, one that refuses is none as long as another one
    of them listens on the port: clients go on to that one.
    """
    check_ports(given, context, SystemNetwork())


def check_ports(given: CheckHostPorts, context: HookContext, network: Network) -> None:
    """
    Ask all ports through *network*.

    Raises:
        ConfigurationError: There is no host to ask for, or *ca_file* is unusable.
        HookError: With *strict*: something is not as it should be.
    """
    host, ca_file = _host(given, context), _ca_file(given, context)
    timeout_s = max(min(given.timeout, context.left_s), 0.1)
    addresses, problems = _addresses(given, host, network, timeout_s)
    asked = (_endpoint(address, port) for port in given.ports for address in addresses)
    endpoints = list(dict.fromkeys(asked))
    timeout_s = max(min(given.timeout, context.left_s), 0.1)
    seen = in_parallel(
        lambda each: network.probe(each, host, ca_file, timeout_s), endpoints, limit=AT_ONCE
    )
    now = datetime.now(UTC)
    found = {each: judge(each, sighting, host, timeout_s, now) for each, sighting in seen}
    findings = [found[each] for each in endpoints]
    spared = set() if given.address else set(_spared(findings))
    for finding in findings:
        if finding.is_fine or finding.endpoint in spared:
            context.tell(f"{host}: {finding}")
        else:
            problems.append(str(finding))
    _report(problems, host, context, strict=given.strict)


def _report(problems: Sequence[str], host: str, context: HookContext, *, strict: bool) -> None:
    if problems and strict:
        raise HookError(host, "; ".join(problems), "see the ingress controller and its ports")
    for problem in problems:
        context.warn(f"{host}: {problem}")


def _host(given: CheckHostPorts, context: HookContext) -> str:
    host = (given.host or context.stack.base_domain.get(context.env, "")).strip().lower()
    if not host:
        what = f"no host is given, and baseDomain has none for {context.env or 'no environment'}"
        raise ConfigurationError(context.hook, what, "set host")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        ascii_host = ""
    if not _HOST.fullmatch(ascii_host):
        raise ConfigurationError(context.hook, f"{host!r} is no host name", "write it without port")
    return ascii_host


def _ca_file(given: CheckHostPorts, context: HookContext) -> Path | None:
    if not given.ca_file:
        return None
    path = context.folder / given.ca_file
    try:
        trusting(path)
    except (OSError, ssl.SSLError) as error:
        what = f"caFile {given.ca_file} holds no certificate that could be read"
        raise ConfigurationError(context.hook, what, "name a PEM file") from error
    return path


def _addresses(
    given: CheckHostPorts, host: str, network: Network, timeout_s: float
) -> tuple[list[str], list[str]]:
    """Return where to ask, and what is wrong about it."""
    names = given.address or (host,)
    found = {name: network.resolve(name, timeout_s) for name in names}
    problems = [f"{name} does not resolve" for name, addresses in found.items() if not addresses]
    addresses = list(dict.fromkeys(a for each in found.values() for a in each))
    if addresses or given.address:
        return addresses, problems
    # Browsers know without asking that names below localhost are this machine.
    is_local = host.rpartition(".")[2] == "localhost"
    return list(_LOOPBACK), [] if is_local else problems


def _endpoint(address: str, port: str) -> Endpoint:
    number, _, scheme = port.partition("/")
    return Endpoint(address, int(number), tls=(scheme or _usual(int(number))) == "https")


def _usual(port: int) -> str:
    return "https" if port == _HTTPS else "http"


def _spared(findings: Sequence[Finding]) -> Iterable[Endpoint]:
    """Yield where nothing listens although another address of the same port is fine."""
    ports = {each.endpoint.port for each in findings if each.is_fine}
    return (e.endpoint for e in findings if e.sends_on and e.endpoint.port in ports)
