"""
The order of application: waves, and stages within a wave.

A wave (annotation ``codexctl/wave``) is applied when everything of the waves before it is healthy.
Within a wave the kinds that others refer to come first; objects of one stage go side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.apply.placement import Placed

_STAGES: tuple[frozenset[str], ...] = (
    frozenset({"Namespace"}),
    frozenset({"CustomResourceDefinition"}),
    frozenset(
        {
            "StorageClass",
            "PriorityClass",
            "RuntimeClass",
            "IngressClass",
            "ClusterRole",
            "PersistentVolume",
        }
    ),
    frozenset(
        {
            "ResourceQuota",
            "LimitRange",
            "NetworkPolicy",
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "ClusterRoleBinding",
            "ConfigMap",
            "Secret",
            "PersistentVolumeClaim",
        }
    ),
    frozenset({"Service"}),
    frozenset(),  # workloads, custom resources and all other kinds
    frozenset({"HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress"}),
    # Last: a webhook whose server is still starting would refuse everything after it.
    frozenset({"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}),
)
_OTHER_KINDS = _STAGES.index(frozenset())
_STAGE_OF = {kind: number for number, kinds in enumerate(_STAGES) for kind in kinds}

Stage = list["Placed"]
Wave = list[Stage]


def in_waves(objects: Sequence[Placed]) -> list[Wave]:
    """Group objects by wave, ascending; each wave by stage, without empty ones."""
    return [
        _in_stages([o for o in objects if o.manifest.wave == number])
        for number in sorted({o.manifest.wave for o in objects})
    ]


def in_deletion_order(objects: Sequence[Placed]) -> list[Stage]:
    """Return all stages of all waves, the last to be applied first."""
    return [stage for wave in reversed(in_waves(objects)) for stage in reversed(wave)]


def stage_number(kind: str) -> int:
    """Return when a kind is applied within its wave, from 0; deletion goes the other way."""
    return _STAGE_OF.get(kind, _OTHER_KINDS)


def _in_stages(objects: Sequence[Placed]) -> Wave:
    stages: dict[int, Stage] = {}
    for placed in objects:
        stages.setdefault(stage_number(placed.name.kind), []).append(placed)
    return [stages[number] for number in sorted(stages)]
