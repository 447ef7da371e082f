"""Symptoms of volume claims, told by events alone: a claim that waits is only ``Pending``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.symptoms import (
    GRACE_CLASS_MISSING_S,
    GRACE_PERMANENT_S,
    GRACE_PROVISIONING_S,
    NEVER_S,
    NOWHERE,
    Missing,
    Site,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

TELL_WAITING_AFTER_S = 10.0
"""Provisioners need some seconds for a volume."""
_NO_CLASS = re.compile(r'storageclass\S* "([^"]+)" not found')
_SPEAKING = ("ProvisioningFailed", "FailedBinding", "ExternalProvisioning", "Provisioning")


def claim_symptoms(claim: Object, view: View, *, site: Site = NOWHERE) -> Iterator[Symptom]:
    """
    Yield what keeps a claim from being bound.

    Args:
        claim: The PersistentVolumeClaim.
        view: For its events.
        site: The pod that waits for it, if it is looked at for one.
    """
    phase = (claim.get("status") or {}).get("phase", "Pending")
    name = claim["metadata"]["name"]
    if phase == "Lost":
        yield Symptom(
            trouble=Trouble.VOLUME,
            headline="volume is lost",
            cause=f"PersistentVolumeClaim {name}: its volume does not exist any more (Lost)",
            grace_s=GRACE_PERMANENT_S,
            hint="the data is gone; delete the claim to get an empty volume",
            site=site,
        )
    if phase != "Pending":
        return
    speaking = [
        e for e in view.events_about(claim["metadata"]["uid"]) if e.get("reason") in _SPEAKING
    ]
    if speaking:
        yield _pending(name, speaking[-1], site)


def waits_for_consumer(claim: Object, view: View) -> bool:
    """
    Tell whether a claim is bound only when a pod uses it.

    Only an event tells; who may not read events cannot know, and does not wait.
    """
    if (claim.get("status") or {}).get("phase", "Pending") != "Pending":
        return False
    metadata = claim["metadata"]
    if view.is_hidden("Event", metadata.get("namespace", "")):
        return True
    events = view.events_about(metadata["uid"])
    return bool(events) and events[-1].get("reason") == "WaitForFirstConsumer"


def _pending(name: str, event: Object, site: Site) -> Symptom:
    reason = str(event.get("reason"))
    message = " ".join(str(event.get("message") or "").split())
    without_class = _NO_CLASS.search(message)
    headline, grace_s, hint = "volume is not bound", NEVER_S, "see whether its provisioner runs"
    if without_class:
        headline, grace_s = f"StorageClass {without_class[1]} is missing", GRACE_CLASS_MISSING_S
        hint = "correct storageClassName, or have the class created"
    elif reason == "FailedBinding" and "no storage class is set" in message:
        headline, grace_s = "no volume and no storage class", GRACE_CLASS_MISSING_S
        hint = "set storageClassName, or mark a StorageClass as the default"
    elif reason == "ProvisioningFailed":
        headline, grace_s = "volume cannot be provisioned", GRACE_PROVISIONING_S
    return Symptom(
        trouble=Trouble.VOLUME,
        headline=headline,
        cause=f"PersistentVolumeClaim {name}: {message} ({reason})",
        grace_s=grace_s,
        tell_after_s=0.0 if grace_s < NEVER_S else TELL_WAITING_AFTER_S,
        hint=hint,
        missing=Missing("StorageClass", without_class[1]) if without_class else None,
        site=site,
    )
