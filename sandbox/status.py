"""What runs, how it is, and what it wrote."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sandbox import addresses as numbering
from sandbox import components, configuration, processes
from sandbox.errors import SandboxError
from sandbox.readiness import (
    CONTROLLER_MANAGER_PORT,
    SCHEDULER_PORT,
    ApiServer,
    is_dns_answering,
    is_healthy,
    is_registry_answering,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.addresses import Addresses
    from sandbox.places import Places


@dataclass(frozen=True)
class ComponentStatus:
    """
    One component.

    Attributes:
        name: its name, also of its log.
        pid: process id as seen on this machine; 0 when it is not running.
        restarts: how often it was started again since `up`.
        ready: whether it does its work, as far as can be asked.

    """

    name: str
    pid: int
    restarts: int
    ready: bool


def read_running(places: Places) -> dict[str, Any]:
    """Return what process 1 of the node wrote down last."""
    try:
        return dict(json.loads((places.state / "running.json").read_text()))
    except (OSError, ValueError):
        return {}


def started_at(places: Places, component: str) -> float:
    """Return when a component was started, in seconds since the epoch; 0 when unknown."""
    return float(read_running(places).get(component, {}).get("started", 0.0))


def list_components(places: Places) -> list[ComponentStatus]:
    """Return the state of every component; empty when the sandbox is not running."""
    top = processes.load(places.state / "top.json")
    addresses = numbering.recorded(places.state)
    if top is None or addresses is None or not top.is_alive():
        return []
    inside: dict[int, int] = {}
    for init in processes.list_children(top.pid):
        inside |= processes.list_inside(init)
    probes = _list_probes(places, addresses)
    return [
        ComponentStatus(
            name=name,
            pid=inside.get(seen["pid"], 0) if seen["pid"] else 0,
            restarts=seen["restarts"],
            ready=seen["pid"] in inside and probes.get(name, lambda: True)(),
        )
        for name, seen in read_running(places).items()
    ]


def _list_probes(places: Places, addresses: Addresses) -> dict[str, Callable[[], bool]]:
    """Return the questions to ask; a component without one is ready when it runs."""
    server = ApiServer(addresses, places.state / "pki")
    return {
        "kube-apiserver": server.is_ready,
        "kube-controller-manager": lambda: is_healthy(addresses, CONTROLLER_MANAGER_PORT),
        "kube-scheduler": lambda: is_healthy(addresses, SCHEDULER_PORT),
        "kubelet": lambda: server.is_node_ready(since=started_at(places, "kubelet")),
        "coredns": lambda: is_dns_answering(addresses),
        "registry": lambda: is_registry_answering(addresses.registry),
        "registry-forwarder": lambda: is_registry_answering(addresses.registry),
    }


def render(found: list[ComponentStatus], *, as_json: bool) -> str:
    """Return the status as a table for people or as JSON."""
    if as_json:
        return json.dumps([asdict(component) for component in found], indent=1)
    if not found:
        return "sandbox: not running: python3 -m sandbox up"
    rows = [f"{'COMPONENT':<26}{'PID':>8}{'RESTARTS':>10}  STATE"]
    for component in found:
        state = "ready" if component.ready else "not ready" if component.pid else "not running"
        rows.append(f"{component.name:<26}{component.pid:>8}{component.restarts:>10}  {state}")
    return "\n".join(rows)


def is_fine(found: list[ComponentStatus]) -> bool:
    """Tell whether the sandbox runs and all of it is ready."""
    return bool(found) and all(component.ready for component in found)


def show_log(places: Places, component: str, *, follow: bool) -> int:
    """Print a component's log; with `follow` for ever, as ``tail -F``."""
    log = places.logs / f"{component}.log"
    known = sorted(file.stem for file in places.logs.glob("*.log")) if places.logs.exists() else []
    if component not in known:
        what = f"no log of {component!r}" if component else "which component?"
        names = " ".join(known) or "(none: the sandbox was never started)"
        raise SandboxError("logs", what, f"choose one of: {names}")
    if follow:
        return subprocess.run(["tail", "-n", "100", "-F", str(log)], check=False).returncode
    with log.open("rb") as file:
        while chunk := file.read(1 << 16):
            os.write(1, chunk)
    return 0


def read_last_line(places: Places, component: str) -> str:
    """Return the last line that a component wrote, shortened."""
    try:
        text = (places.logs / f"{component}.log").read_text(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def render_environment(places: Places, environ: Mapping[str, str] = os.environ) -> str:
    """Return shell lines that make a shell use this sandbox."""
    addresses = numbering.recorded(places.state)
    if addresses is None:
        raise SandboxError("sandbox", "was never started", "python3 -m sandbox up")
    bypass = [addresses.node, addresses.services, addresses.pods, "localhost", "127.0.0.1"]
    current = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    kept = [entry for entry in current.split(",") if entry and entry not in bypass]
    no_proxy = ",".join(kept + bypass)
    kubectl = components.find_binaries(places) / "kubectl"
    return export(
        {
            "KUBECONFIG": str(places.admin_conf),
            "SANDBOX_REGISTRY": addresses.registry,
            "SANDBOX_KUBECTL": str(kubectl),
            "SANDBOX_HOST": addresses.host,
            "SANDBOX_REGISTRIES": str(places.state / "config" / configuration.REGISTRIES),
            "KUBECACHEDIR": str(places.state / "kubectl"),
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }
    )


def export(variables: Mapping[str, str]) -> str:
    """Write variables as shell lines."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
