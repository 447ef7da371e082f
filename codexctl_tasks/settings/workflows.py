"""What steps of the reusable workflows are told, all of it by ``CODEXCTL_*``."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests import CiRequest
from codexctl_tasks.settings.deploys import deploy_request, doctor_request
from codexctl_tasks.settings.environment import switch, value
from codexctl_tasks.settings.images import images_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


IMAGE_STEPS = ("mirror", "build", "all", "none")
"""What a workflow may do about images before a deploy."""
SECRET_FILES = {
    # Given in so many words, it counts more than what services.yaml says; scripts know the other.
    "CODEXCTL_SECRET_KUBECONFIG": ("kubeconfig", "CODEXCTL_KUBECONFIG", "KUBECONFIG"),
    "CODEXCTL_SECRET_REGISTRY_AUTH": ("auth.json", "REGISTRY_AUTH_FILE"),
}
"""Secrets that a workflow has as texts: the file that each becomes, and what leads to that."""


def ci_request(variables: Mapping[str, str]) -> CiRequest:
    """Combine ``CODEXCTL_*`` alone, for steps of workflows; *variables* are further ``--vars``."""
    dry_run = switch("CODEXCTL_DRY_RUN")
    which = value("images", "", "all")
    if which not in IMAGE_STEPS:
        allowed = ", ".join(IMAGE_STEPS)
        raise UsageError("CODEXCTL_IMAGES", f"{which!r} is unknown", f"use one of {allowed}")
    images = images_request(dry_run=dry_run, pin="" if dry_run else value("pins", ""))
    doctor, deploy = doctor_request(), deploy_request()
    known = replace(deploy.source, variables={**variables, **deploy.source.variables})
    return CiRequest(
        # The checks come before the images, of which the pins are.
        doctor=replace(doctor, source=replace(known, pins=None), builds=which in ("build", "all")),
        images=replace(images, source=known),
        which=which,
        deploy=replace(deploy, source=known),
        dry_run=dry_run,
    )


@contextmanager
def workflow_secrets() -> Iterator[str]:
    """
    Keep secrets in files that only this user can read, for as long as a task runs.

    Gives the text of the further variables, as in a dotenv file. All are taken out of the
    environment, so that no program that is started inherits them.
    """
    texts = {name: os.environ.pop(name, "") for name in SECRET_FILES}
    variables = os.environ.pop("CODEXCTL_SECRET_ENV_FILE", "")
    place = os.environ.get("RUNNER_TEMP") or None
    with tempfile.TemporaryDirectory(prefix="codexctl-", dir=place) as folder:
        for name, text in texts.items():
            file, *leading = SECRET_FILES[name]
            if not text.strip():
                continue
            if os.environ.get("CODEXCTL_KUBECONFIG") and "CODEXCTL_KUBECONFIG" in leading:
                what = "cannot be combined with CODEXCTL_KUBECONFIG"
                raise UsageError(name, what, "give one of the two")
            path = Path(folder, file)
            path.touch(mode=0o600)
            path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
            os.environ.update(dict.fromkeys(leading, str(path)))
        yield variables
