"""
The steps of the reusable workflows; values come from ``CODEXCTL_*``, on a laptop as well.

Every step checks all of them, so that the first one says what is wrong with any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks import settings
from codexctl_tasks.errors import DONE, UsageError
from codexctl_tasks.stack.dotenv import read_dotenv
from codexctl_tasks.stack.pins import read_pins
from codexctl_tasks.world.passwords import passwords_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.requests import CiRequest, DeployRequest
    from codexctl_tasks.world.outside import Outside


def run(step: Callable[[CiRequest, Outside], int], outside: Outside) -> int:
    """Run a step with the secrets of the workflow in files, which are removed afterwards."""
    with settings.workflow_secrets() as secrets:
        inner = [each for document in secrets.documents for each in passwords_in(document)]
        outside.console.hide_everywhere([secrets.token, *inner])
        entries = tuple(read_dotenv(secrets.variables, "secret CODEXCTL_ENV_FILE"))
        outside.console.hide_everywhere(entry.value for entry in entries)
        variables = {entry.name: entry.value for entry in entries}
        return step(settings.ci_request(variables), outside)


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
