"""Waits until the sandbox can be used, and explains what keeps it from that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox import configuration, console, images, processes
from sandbox import status as reports
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
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.addresses import Addresses
    from sandbox.places import Places

BASE_REFERENCE = f"{images.BASE}:1"
_RESTARTS_TOO_MANY = 3


def wait_until_ready(
    places: Places, addresses: Addresses, own_images: tuple[Path, Path] | None, timeout_s: float
) -> None:
    """
    Go through the signs of readiness in the order in which they come.

    Args:
        places: the folders of the sandbox.
        addresses: its addresses.
        own_images: the program `pause` and the tar file of the base image, to
            be pushed; None when only the control plane runs.
        timeout_s: how long all of it may take together.

    """
    deadline = time.monotonic() + timeout_s
    server = ApiServer(addresses, places.state / "pki")

    def wait(component: str, is_true: Callable[[], bool]) -> None:
        while not is_true():
            if not processes.is_running(places.state / "top.json"):
                raise _explain(places, "node", "ended")
            if time.monotonic() > deadline:
                raise _explain(places, component, f"is not ready after {timeout_s:.0f} s")
            time.sleep(0.05)
        console.say(f"  {component} is ready")

    if own_images:
        wait("registry", lambda: is_registry_answering(addresses.registry))
        _push_own_images(addresses, *own_images)
    wait("kube-apiserver", server.is_ready)
    wait("kube-controller-manager", lambda: is_healthy(addresses, CONTROLLER_MANAGER_PORT))
    wait("kube-scheduler", lambda: is_healthy(addresses, SCHEDULER_PORT))
    wait("default storage class", server.ensure_storage_class)
    wait("default service account", server.has_default_account)
    if own_images:
        wait("coredns", lambda: is_dns_answering(addresses))
        wait("kubelet", lambda: server.is_node_ready(reports.started_at(places, "kubelet")))


def _push_own_images(addresses: Addresses, pause: Path, base: Path) -> None:
    recipe = images.Recipe([(pause, "/pause")], ["/pause"], user="65534")
    images.push(addresses.registry, configuration.PAUSE, images.SCRATCH, recipe)
    images.push_layer(addresses.registry, BASE_REFERENCE, base)


def _explain(places: Places, component: str, what: str) -> SandboxError:
    """Name the component to look at: one that keeps dying rather than one that waits for it."""
    for name, seen in reports.read_running(places).items():
        if seen["restarts"] >= _RESTARTS_TOO_MANY:
            component, what = name, f"died {seen['restarts']} times"
            break
    last = reports.read_last_line(places, component)
    reason = f"{what} ({last})" if last else what
    return SandboxError(component, reason, f"python3 -m sandbox logs {component}")
