"""What steps of the reusable workflows are told, all of it by ``CODEXCTL_*``."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import Source
from codexctl_tasks.requests.runs import CiRequest
from codexctl_tasks.settings.deploys import deploy_request, doctor_request
from codexctl_tasks.settings.environment import switch, value
from codexctl_tasks.settings.images import IMAGE_STEPS, images_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

R = TypeVar("R", bound=Any)
"""A request: a frozen dataclass."""

PREFIX = "CODEXCTL_SECRET_"
SECRET_FILES = {
    # Given in so many words, it counts more than what services.yaml says; scripts know the other.
    f"{PREFIX}KUBECONFIG": ("kubeconfig", "CODEXCTL_KUBECONFIG", "KUBECONFIG"),
    f"{PREFIX}REGISTRY_AUTH": ("auth.json", "REGISTRY_AUTH_FILE"),
}
"""Secrets that a workflow has as texts: the file that each becomes, and what leads to that."""


RUNNER_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")
"""What is written there is told to later steps: in these workflows by codexctl alone."""


def ci_request(variables: Mapping[str, str]) -> CiRequest:
    """
    Combine ``CODEXCTL_*`` alone, for steps of workflows; *variables* are further ``--vars``.

    The files of the runner are taken out of the environment then, so that no hook inherits them.
    """
    dry_run = switch("CODEXCTL_DRY_RUN")
    which = value("images", "", "all")
    if which not in IMAGE_STEPS:
        allowed = ", ".join(IMAGE_STEPS)
        raise UsageError("CODEXCTL_IMAGES", f"{which!r} is unknown", f"use one of {allowed}")
    images = images_request(dry_run=dry_run, pin="" if dry_run else value("pins", ""))
    doctor, deploy = doctor_request(), deploy_request()
    _forget_runner_files()
    known = _with_variables(deploy.source, variables)
    return CiRequest(
        # The checks come before the images, of which the pins are.
        doctor=replace(doctor, source=replace(known, pins=None), builds=which in ("build", "all")),
        images=replace(images, source=known),
        which=which,
        deploy=replace(deploy, source=known),
        dry_run=dry_run,
    )


def step_request(make: Callable[[], R], variables: Mapping[str, str]) -> R:
    """Return a request of ``CODEXCTL_*`` alone, as `ci_request` does, all parts of it alike."""
    request = make()
    _forget_runner_files()
    return _completed(request, variables)


def _completed(request: R, variables: Mapping[str, str]) -> R:
    changes: dict[str, Any] = {}
    for each in fields(request):
        part = getattr(request, each.name)
        if isinstance(part, Source):
            changes[each.name] = _with_variables(part, variables)
        elif is_dataclass(part) and not isinstance(part, type):
            changes[each.name] = _completed(part, variables)
    return replace(request, **changes)


def _with_variables(source: Source, variables: Mapping[str, str]) -> Source:
    if both := sorted(variables.keys() & source.variables.keys()):
        what = f"{', '.join(both)} is in the secret CODEXCTL_ENV_FILE as well"
        raise UsageError("CODEXCTL_VARS", what, "leave it out here or there")
    known = {**variables, **source.variables}
    return replace(source, variables=known, environ=dict(os.environ))


def _forget_runner_files() -> None:
    for name in RUNNER_FILES:
        os.environ.pop(name, None)


@dataclass(frozen=True, slots=True)
class WorkflowSecrets:
    """What a step was given as secrets."""

    variables: str = field(repr=False)
    """Further variables, not read yet; empty: none."""
    documents: Mapping[str, str] = field(repr=False)
    """``KUBECONFIG`` and ``REGISTRY_AUTH``, as far as they were given."""
    token: str = field(repr=False)
    """For hooks that talk to GitHub; empty: none."""


@contextmanager
def workflow_secrets() -> Iterator[WorkflowSecrets]:
    """
    Keep secrets in files that only this user can read, for as long as a task runs.

    All but the token for hooks are taken out of the environment, so that no program that is
    started inherits them.
    """
    texts = {name: os.environ.pop(name, "") for name in SECRET_FILES}
    variables = os.environ.pop(f"{PREFIX}ENV_FILE", "")
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
        documents = {name.removeprefix(PREFIX): text for name, text in texts.items() if text}
        yield WorkflowSecrets(variables, documents, os.environ.get("CODEXCTL_GH_PAT", ""))
