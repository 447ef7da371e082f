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
GRACE_CREATE_QUOTA_S = 60.0
"""Pods that stop count against the quota until they are gone."""
GRACE_CREATE_QUOTA_SHARED_S = 120.0
"""The same while there are pods that stop, or of the old template, which will free it."""
GRACE_CREATE_TROUBLE_S = 100.0
"""A webhook without a server, and unknown reasons: the try at 85 s."""
GRACE_DEFINITION_S = 10.0
"""Names of custom kinds are decided at once; a conflict stays until the other kind is gone."""
GRACE_CLASS_MISSING_S = 60.0
"""A StorageClass or a volume may be made by hand, and is looked for every 15 s."""
GRACE_PROVISIONING_S = 120.0
"""Provisioners repeat with growing gaps what their storage refused."""
GRACE_CLAIM_MISSING_S = 30.0
"""A claim that a pod names may be made by the same deploy, or by another tool."""
GRACE_BLOCKED_S = 10.0
"""A controller that waits for a broken pod waits for ever; it needs a moment to say so."""
GRACE_CUSTOM_S = 10.0
"""Operators that say they failed may take it back within a few seconds."""
GRACE_GONE_S = 10.0
"""Whoever deleted the object may be making it anew."""
GRACE_UNSCHEDULABLE_S = 300.0
"""An autoscaler needs minutes for a new node; pods of old rollouts need some to leave."""
GRACE_OLD_CRASH_S = 90.0
"""A pod that had crashed `CRASH_LIMIT` times before our apply: as long as a new one gets."""

CRASH_LIMIT = 4
"""Restarts since our apply, 90 s: with 3 two recorded rollouts failed that became healthy."""
CRASH_LIMIT_BESIDE_READY = 5
"""The same while other pods of the Deployment are ready, 176 s."""
OLD_CRASHES = 2
"""Restarts from which on a crashing pod of an old revision is taken for one that stays broken."""

NEVER_S = math.inf
"""Named, but never fatal by itself."""


class Trouble(Enum):
    """Classes of symptoms: reasons alternate between tries, the class stays the same."""

    PULL = "image"
    CONFIG = "configuration"
    START = "start"
    CRASH = "crash"
    CREATE = "creation"
    SCHEDULE = "scheduling"
    VOLUME = "volume"
    SANDBOX = "sandbox"
    PROBE = "probe"
    PULLING = "pulling"
    EVICTION = "eviction"
    BLOCKED = "blocked"
    JOB = "job"
    POD = "pod"
    DEADLINE = "deadline"
    DEFINITION = "definition"
    CUSTOM = "custom"
    GONE = "gone"


WITH_LOG = frozenset({Trouble.CRASH, Trouble.POD})
"""Troubles that the log of the container explains."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a symptom shows; all empty when it is the workload's own."""

    pod: str = ""
    container: str = ""
    """Empty when it concerns the whole pod."""
    pod_uid: str = ""
    """Pods of a StatefulSet share a name over time, not a UID."""


NOWHERE = Site()
"""The workload's own."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An object whose absence must be confirmed before the verdict."""

    kind: str
    name: str
    uid: str = ""
    """Another object of that name is as good as none; empty: any object will do."""


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
    tell_after_s: float = 0.0
    """It is told when it has lasted so long: some signs pass by themselves in every rollout."""
    hint: str = ""
    site: Site = NOWHERE
    missing: Missing | None = None
    is_echo: bool = False
    """Kubernetes only says that it waits for the next try; the one before has said why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """How things stood when the wait for a workload began, and for how long that is."""

    restarts: Mapping[Site, int]
    """What happened before is not this rollout's fault."""
    elapsed_s: float = 0.0
    """Seconds since then."""
    begun: str = ""
    """The server's time of then, as RFC 3339 text; empty: not known."""
    unready_s: float = math.inf
    """Seconds since a pod of the new template was ready for more than a moment."""

    def since(self, site: Site, count: int) -> int:
        """Return the restarts since the wait began."""
        return count - self.restarts.get(site, 0)
