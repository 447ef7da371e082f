"""What every request consists of: where the objects come from, which cluster, which files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|KEY|(^|_)PASS|(^|_)PAT)$", re.IGNORECASE
)


def looks_secret(name: str) -> bool:
    """Tell whether the name of a variable says that its value is secret."""
    return _SECRET_NAME.search(name) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which items of ``services.yaml`` take part; names are compared trimmed and in lower case."""

    only_services: frozenset[str] = frozenset()
    """Empty: all services."""
    skip_services: frozenset[str] = frozenset()
    only_infra: frozenset[str] = frozenset()
    """Empty: all infrastructure items."""
    skip_infra: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the desired objects come from."""

    config: Path
    """The ``services.yaml``; not read when *manifests* are given."""
    env: str
    """Name of the environment; empty only with *manifests*."""
    slot: int
    """Slot number, 0 for none."""
    namespace: str
    """Overrides the namespace pattern; empty: use the pattern."""
    manifests: tuple[Path, ...]
    """Plain YAML files and folders to use instead of a ``services.yaml``."""
    filters: Filters
    variables: Mapping[str, str]
    """From ``--vars``."""
    var_file: Path | None
    """From ``--var-file``."""
    strict: bool
    """Whether unknown keys in ``services.yaml`` are errors."""
    pins: Path | None = None
    """File that says which digest each image has; None: tags are deployed."""
    now: datetime
    """The moment that templates call `Now`: one for the whole run."""
    environ: Mapping[str, str] = field(repr=False)
    """The process environment, for templates. Never printed: it holds secrets."""

    @property
    def secrets(self) -> Iterator[str]:
        """The values of variables whose names say that they are secret."""
        for name, value in (*self.environ.items(), *self.variables.items()):
            if self.hides(name):
                yield value

    def hides(self, name: str) -> bool:
        """Tell whether a variable of this name holds a secret."""
        return looks_secret(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """How to reach the cluster."""

    kubeconfig: str
    """Path list as kubectl takes it; empty: the default places, then the pod's own account."""
    context: str
    """Empty: the current context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployDefaults:
    """What ``services.yaml`` says about a deploy; what is empty is not said."""

    kubeconfig: str = ""
    context: str = ""
    wait_timeout: str = ""
    """A duration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """Where a run writes what it has to tell, beside the console; None: not wanted."""

    junit: Path | None = None
    html: Path | None = None
    step_summary: Path | None = None
    """Of a step of GitHub Actions: Markdown is appended."""
    step_outputs: Path | None = None
    """Of a step of GitHub Actions: what later steps read is appended."""

    @property
    def wanted(self) -> bool:
        """Whether there is anything to write."""
        return any((self.junit, self.html, self.step_summary, self.step_outputs))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRequest:
    """What every flow needs to know that works on a cluster."""

    source: Source
    cluster: ClusterSettings
    chosen: frozenset[str]
    """Which of kubeconfig, context and wait-timeout were given by a flag or ``CODEXCTL_*``."""

    def with_defaults(self, defaults: DeployDefaults) -> Self:
        """Return the request with what ``services.yaml`` says, unless the user chose otherwise."""
        if self.chosen & {"kubeconfig", "context"}:
            return self
        return replace(
            self,
            cluster=ClusterSettings(
                kubeconfig=defaults.kubeconfig or self.cluster.kubeconfig,
                context=defaults.context or self.cluster.context,
            ),
        )
