"""Registries of images: those of ``services.yaml``, and those that the desired objects name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codexctl_tasks.checks.finding import Finding, State, doubt, ok, skipped
from codexctl_tasks.references import parse_host, parse_reference
from codexctl_tasks.registry.connections import is_loopback
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.presence import TIMEOUT_S, find_registry
from codexctl_tasks.world.cluster import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.checks.subject import Subject
    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.model import Stack

_MARGIN_S = 0.5
"""Before the deadline of all checks, so that what has answered is told."""
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Use:
    """Somebody who needs a registry."""

    where: Location | str
    text: str = field(repr=False)
    """The reference, or the host, as it is written: it may hold a password."""
    pushes: bool = False
    """This machine writes to it."""
    by_pods: bool = False
    """Nodes pull from it, for the pods of an object."""
    is_host: bool = False
    """It is the name of a registry, not a reference."""
    allows_http: bool = False
    """Plain HTTP will do."""


def check_registries(subject: Subject) -> Iterator[Finding]:
    """
    Ask each registry once whether it is there.

    A registry to which this machine pushes must answer. One from which images are only pulled is
    a warning: nodes may well see what this machine does not, and the other way round. The
    ``localhost`` of a pod's image is the node.
    """
    registries: dict[str, list[Use]] = {}
    for use in uses_of(subject):
        try:
            host = parse_host(use.text) if use.is_host else parse_reference(use.text).host
        except ValueError as error:
            shown = repr(use.text) if "@" not in use.text else "its value"  # that may be a password
            yield doubt(use.where, f"{shown} is {error}", "correct it")
        else:
            registries.setdefault(host, []).append(use)
    answers = dict(
        in_parallel(
            lambda host: _ask(host, registries[host], subject),
            list(registries),
            limit=CONNECTIONS,
            left_s=lambda: max(subject.left_s - _MARGIN_S, 0.0),
        )
    )
    for host, uses in registries.items():
        late = RegistryError(host, "no answer in time", "check this machine's DNS")
        yield answers.get(host) or _unusable(uses, late)
    if not registries:
        yield ok("images", "no registry is named")


def uses_of(subject: Subject) -> Iterator[Use]:
    """Yield everything that names a registry, in the order in which it is written."""
    if subject.stack is not None:
        yield from (use for use in _declared(subject.stack, subject.env) if _is_said(use.text))
    for manifest in subject.manifests:
        for image in dict.fromkeys(_images(manifest.body)):
            yield Use(manifest.location, image, by_pods=True)


def _declared(stack: Stack, env: str) -> Iterator[Use]:
    yield Use("registry", stack.registry, is_host=True)
    local = stack.environment(env).local_registry if env else None
    if local is not None and local.enabled:
        host = f"{local.name.strip()}:{local.port}" if local.port else local.name
        yield Use("localRegistry", host, is_host=True, allows_http=True)
    for name, image in stack.images.items():
        yield Use(f"images.{name}.from", image.source)
        yield Use(f"images.{name}.local", image.local, pushes=True)
        yield Use(f"images.{name}.repository", image.repository, pushes=True)


def _is_said(text: str) -> bool:
    """Tell whether there is a value, and no template that is rendered only when it is used."""
    return bool(text.strip()) and "{{" not in text


def _images(value: Any) -> Iterator[str]:
    """Yield the images of all containers in an object, custom kinds included."""
    if isinstance(value, list):
        for each in value:
            yield from _images(each)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _CONTAINERS and isinstance(inner, list):
                images = (each.get("image") for each in inner if isinstance(each, dict))
                yield from (image for image in images if isinstance(image, str) and image)
            yield from _images(inner)


def _ask(host: str, uses: Sequence[Use], subject: Subject) -> Finding:
    allows_http = any(use.allows_http or use.text.lower().startswith("http://") for use in uses)
    limit_s = min(TIMEOUT_S, max(subject.left_s, 0.1))
    try:
        address = find_registry(host, subject.variables, allows_http=allows_http, timeout_s=limit_s)
    except RegistryError as error:
        return _unusable(uses, error)
    return ok(f"registry {host}", f"answers at {address}")


def _unusable(uses: Sequence[Use], error: RegistryError) -> Finding:
    """Return a failure if this machine pushes to the registry, else a warning."""
    if is_loopback(error.where) and all(use.by_pods for use in uses):
        what = f"cannot be seen from here: it is the nodes' own; named by {uses[0].where}"
        return skipped(f"registry {error.where}", what)
    pushed = next((use for use in uses if use.pushes), None)
    more = f" and {len(uses) - 1} more" if len(uses) > 1 else ""
    why = f"{pushed.where} is pushed to it" if pushed else f"named by {uses[0].where}{more}"
    return Finding(
        state=State.FAILED if pushed else State.WARNING,
        where=f"registry {error.where}",
        what=f"{error.what}; {why}",
        fix=error.fix,
        exit_code=error.exit_code,
    )
