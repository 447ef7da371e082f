"""
The vocabulary of trouble: what a symptom is, and for how long each may last.

Graces come from recorded rollouts: they are the shortest that never failed a rollout which became
healthy later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE_PERMANENT_S = 0.0
"""The kubelet never tries again, or tries with the same certain result."""
GRACE_IMAGE_MISSING_S = 20.0
"""Two pulls, at 1 and 15 s: a tag pushed moments after the deploy is still found."""
GRACE_IMAGE_TROUBLE_S = 200.0
"""The fifth pull, at 173 to 180 s: registries restart and rate limits pass."""
GRACE_CONFIG_S = 30.0
"""Two to three tries, 10 to 15 s apart: a Secret made by another tool may come late."""
GRACE_START_S = 20.0
"""The second try: a command that does not exist will not appear."""
GRACE_START_TROUBLE_S = 60.0
"""Start errors of unknown kind."""
GRACE_CREATE_REFUSED_S = 15.0
"""The pod itself is refused: a controller's many quick tries all get the same answer."""
GRACE_CREATE_ACCOUNT_S = 30.0
"""A ServiceAccount or PriorityClass that the same deploy may still bring."""
GRACE_CREATE_QUOTA_S = 120.0
"""Pods that stop count against the quota until they are gone, old ones of a rollout too."""
GRACE_CREATE_TROUBLE_S = 100.0
"""A webhook without a server, and unknown reasons: the try at 85 s."""
CRASH_LIMIT = 4
"""Restarts since our apply, 90 s: with 3 two recorded rollouts failed that became healthy."""
CRASH_LIMIT_BESIDE_READY = 5
"""The same while other pods of the Deployment are ready, 176 s."""

NEVER_S = math.inf
"""Named, but never fatal by itself."""


class Trouble(Enum):
    """Classes of symptoms."""

    PULL = "image"
    CONFIG = "configuration"
    START = "start"
    CRASH = "crash"
    CREATE = "creation"
    JOB = "job"
    POD = "pod"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a symptom shows; all empty when it is the workload's own."""

    pod: str = ""
    container: str = ""
    """Empty when it concerns the whole pod."""
    pod_uid: str = ""
    """Pods of a StatefulSet share a name over time, not a UID."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Symptom:
    """One sign of trouble, at one place."""

    trouble: Trouble
    headline: str
    """In two to five words: ``image not found``."""
    cause: str
    """With container, name and Kubernetes' own reason."""
    grace_s: float
    """It may last this long, in seconds; infinite: never fatal by itself."""
    hint: str = ""
    site: Site = Site()
    missing: tuple[str, str] | None = None
    """Kind and name of an object whose absence must be confirmed before the verdict."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Restart counts when the wait began: what happened before is not this rollout's fault."""

    restarts: Mapping[Site, int]
    elapsed_s: float = 0.0
    """Seconds since then."""

    def since(self, site: Site, count: int) -> int:
        """Return the restarts since the wait began."""
        return count - self.restarts.get(site, 0)
