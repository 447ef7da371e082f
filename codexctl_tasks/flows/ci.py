"""
The steps of the reusable workflows; values come from ``CODEXCTL_*``, on a laptop as well.

Every step checks all of them, so that the first one says what is wrong with any.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from codexctl_tasks import settings
from codexctl_tasks.errors import DONE, UsageError
from codexctl_tasks.stack.pins import read_pins
from codexctl_tasks.stack.secret_variables import read_secret_variables
from codexctl_tasks.world.passwords import passwords_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.requests.runs import CiRequest, DeployRequest
    from codexctl_tasks.world.outside import Outside

R = TypeVar("R")


def run(step: Callable[[CiRequest, Outside], int], outside: Outside) -> int:
    """Run a step of a deploy; all that the deploy was given is checked by each of them."""
    with _secrets(outside, warns=step is doctor) as variables:
        return step(settings.ci_request(variables), outside)


def run_task(task: Callable[[R, Outside], int], request: Callable[[], R], outside: Outside) -> int:
    """Run a task as a step; *request* makes what it is asked for of ``CODEXCTL_*`` alone."""
    with _secrets(outside, warns=True) as variables:
        return task(settings.step_request(request, variables), outside)


@contextmanager
def _secrets(outside: Outside, *, warns: bool) -> Iterator[dict[str, str]]:
    """Keep the secrets of the workflow in files, which are removed afterwards, and mask them."""
    with settings.workflow_secrets() as secrets:
        documents = secrets.documents.values()
        inner = [each for document in documents for each in passwords_in(document)]
        outside.console.hide_everywhere([secrets.token, *inner])
        variables = read_secret_variables(secrets.variables)
        outside.console.hide_everywhere(variables.values())
        if warns and settings.in_github_actions():
            _warn_of_braces({**secrets.documents, "CODEXCTL_ENV_FILE": secrets.variables}, outside)
        yield variables


def _warn_of_braces(secrets: Mapping[str, str], outside: Outside) -> None:
    """Warn of JSON on several lines: GitHub masks each of them, and drops outputs with a mask."""
    for name, text in secrets.items():
        if {"{", "}"} & {line.strip() for line in text.splitlines()}:
            what = "has a line with only a brace, so GitHub masks braces and drops outputs in JSON"
            outside.console.warn(f"secret {name}: {what}: write it in one line")


def doctor(asked: CiRequest, outside: Outside) -> int:
    """Check what the work needs, before anything is changed."""
    from codexctl_tasks.flows import doctor

    return doctor.doctor(asked.doctor, outside)


def images(asked: CiRequest, outside: Outside) -> int:
    """Bring the images into the registry that are asked for."""
    from codexctl_tasks.flows import images

    if asked.which == "none":
        outside.console.step("images", "none are asked for")
        return DONE
    steps = {"mirror": images.mirror, "build": images.build, "all": images.mirror_and_build}
    return steps[asked.which](asked.images, outside)


def deploy(asked: CiRequest, outside: Outside) -> int:
    """Deploy and wait, or print the plan."""
    request = _with_usable_pins(asked.deploy)
    from codexctl_tasks.flows import deploy, plan

    if not asked.dry_run:
        return deploy.apply_and_wait(request, outside)
    if request.detailed_exitcode:
        raise UsageError(
            "CODEXCTL_DETAILED_EXITCODE", "would fail the step", "run codexctl plan instead"
        )
    return plan.plan(request, outside)


def _with_usable_pins(request: DeployRequest) -> DeployRequest:
    """Leave pins out that no step before has written, or that hold nothing."""
    pins = request.source.pins
    if pins is None or (pins.exists() and read_pins(pins)):
        return request
    return replace(request, source=replace(request.source, pins=None))
