"""``preflight``: the checks of ``codexctl doctor`` as a step."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, WithJsonSchema

from codexctl_tasks.apply.quantities import amount_of
from codexctl_tasks.checks.examination import examine
from codexctl_tasks.checks.finding import State
from codexctl_tasks.checks.subject import Subject
from codexctl_tasks.errors import CombinedError
from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Texts, hook

CheckName = Literal["programs", "cluster", "permissions", "registries", "builders", "disk"]
USUAL = tuple(name for name in get_args(CheckName) if name != "builders")
"""Images may be built elsewhere: a run that only deploys needs no builder."""


def _names(value: Any) -> Any:
    """Take ``a, b`` as well as a list."""
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    amount = amount_of(str(value).strip())
    if isinstance(value, bool) or amount is None or amount <= 0:
        raise ValueError("no amount of bytes such as 2Gi")
    return int(amount)


Amount = Annotated[int, BeforeValidator(_bytes), WithJsonSchema({"type": "string"})]
"""Bytes, written as Kubernetes does: ``2Gi``."""


class Preflight(Parameters):
    """``with`` of ``preflight``."""

    checks: Annotated[tuple[CheckName, ...], BeforeValidator(_names)] = USUAL
    """Which checks: `programs`, `cluster`, `permissions`, `registries`, `builders`, `disk`; without
    it: all but `builders`."""
    programs: Texts = ()
    """Programs that your scripts need, such as `[kubectl, jq]`; one with a slash is a path from
    the folder of `services.yaml`. `bash` need not be named."""
    disk_free: Amount | None = None
    """How much disk must be free, such as `2Gi`; without it less than 1 GiB is a warning."""
    disk_paths: Texts = ()
    """Where it must be free; without it: the folder of `services.yaml`, the one for temporary
    files, and `dataPaths.root` if it exists."""
    strict: Flag = False
    """Whether warnings fail the step, too."""


@hook(
    "preflight",
    Preflight,
    example="""
        - use: preflight
          with: { programs: [jq], diskFree: 2Gi }
    """,
    replaces="""
        for program in kubectl jq; do
          command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
        done
        kubectl version >/dev/null
        for kind in deployments services configmaps secrets; do
          kubectl auth can-i create "$kind" -n "{{ .Namespace }}" || exit 1
        done
        curl -fsS -o /dev/null -m 5 https://registry.example.com/v2/ || true
        [ "$(df --output=avail -k . | tail -1)" -gt 2097152 ] || { echo "disk full" >&2; exit 1; }
    """,
)
def preflight(given: Preflight, context: HookContext) -> None:
    """
    Check all that the work needs before it begins; nothing is changed.

    Everything that is missing is told at once, a line each:

    - `programs`: `bash` if there are scripts, and what `programs` names. What scripts seem to call
      besides (`kubectl`, `jq`, ...) and is not there is a warning.
    - `cluster`: the server answers, accepts the credentials, and its clock agrees with this one.
    - `permissions`: what applying, waiting for and pruning these very objects needs. Without the
      right to delete there is a warning, as only `destroy` and pruning need it.
    - `registries`: each answers. One that this machine pushes to (`images.*.repository` and
      `images.*.local`) must; one from which images are only pulled is a warning, because nodes may
      see what this machine does not; `localhost` in the image of a pod is the node's own.
    - `builders`: if the stack builds images, one of the builders can work here.
    - `disk`: free bytes and inodes, and whether it can be written to.

    The same as `codexctl doctor --env ENV`, which looks at builders as well.
    """
    found = examine(_subject(given, context), given.checks)
    fatal = {State.FAILED, State.WARNING} if given.strict else {State.FAILED}
    for check, finding in found:
        if finding.state in fatal:
            continue
        if finding.state is State.WARNING:
            context.warn(str(finding))
        else:
            context.tell(f"{finding.state.value:<7}  {check:<11}  {finding}")
    if errors := [finding.error for _, finding in found if finding.state in fatal]:
        raise CombinedError(errors)


def _subject(given: Preflight, context: HookContext) -> Subject:
    return Subject(
        folder=context.folder,
        env=context.env,
        stack=context.stack,
        stack_name=context.stack_name,
        namespace=context.namespace,
        manifests=context.manifests,
        scripts={str(step.location): step.script for step in context.steps if step.script},
        variables=context.variables,
        connect=context.connect,
        clock=context.clock,
        deadline_s=context.deadline_s,
        run=context.outside.run,
        programs=given.programs,
        disk_free_bytes=given.disk_free,
        disk_paths=given.disk_paths,
    )
