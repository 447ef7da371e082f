"""``kubectl.wait``: wait for objects of the cluster, by the rules of the rollout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, model_validator

from codexctl_tasks.errors import (
    WORKLOAD_FAILED,
    CodexctlError,
    CombinedError,
    ConfigurationError,
    DeadlineError,
)
from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Seconds, Text, hook
from codexctl_tasks.rollout.custom import Rule, read_rule
from codexctl_tasks.rollout.departure import Departure
from codexctl_tasks.rollout.findings import finding_lines
from codexctl_tasks.rollout.pursuit import MOST_NAMED, Pursuit, Sought
from codexctl_tasks.rollout.wait import Outcome, Result
from codexctl_tasks.world.kinds import find_kind, suggest_kind
from codexctl_tasks.world.labels import read_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codexctl_tasks.world.cluster import Cluster, Resource


class WorkloadError(CodexctlError):
    """What is waited for has failed, as far as can be known for certain."""

    exit_code = WORKLOAD_FAILED


def _readable(read: Callable[[str], Any], mend: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            read(text)
        except ValueError as error:
            raise ValueError(f"{str(error)!r} means nothing: {mend}") from error
        return text

    return check


def _condition_rule(text: str) -> Rule:
    return read_rule(f"condition={text.removeprefix('condition=')}")


def _path_rule(text: str) -> Rule:
    return read_rule(f"jsonpath={text.removeprefix('jsonpath=')}")


def _check_kind(text: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]*(/[A-Za-z0-9][A-Za-z0-9.:-]*)?", text):
        return text
    raise ValueError(f"{text!r} is no kind: write Deployment or deployment/web")


_Kind = Annotated[Text, AfterValidator(_check_kind)]
_Selector = Annotated[
    Text, AfterValidator(_readable(read_selector, "write app=web or tier in (api, worker)"))
]
_Condition = Annotated[
    Text, AfterValidator(_readable(_condition_rule, "write Available or Ready=False"))
]
_Path = Annotated[
    Text, AfterValidator(_readable(_path_rule, "write {.status.phase}=Running or {.status.phase}"))
]


class ObjectWait(Parameters):
    """``with`` of ``kubectl.wait``."""

    kind: _Kind
    """As kubectl takes it: `Deployment`, `deployments`, `deploy`, `certificates.cert-manager.io`;
    also with the name: `deployment/web`."""
    name: Text = ""
    """One object; without it and without `selector`: all of the kind in the namespace."""
    selector: _Selector = ""
    """All objects with these labels, at least one: `app=web`, `tier in (api, worker)`."""
    namespace: Text = ""
    """Default: the environment's."""
    condition: _Condition | None = None
    """A condition of the status: `Available`, `Ready=False`."""
    jsonpath: _Path | None = None
    """A value: `{.status.phase}=Running`; without `=`: it is there and not empty."""
    delete: Flag = False
    """Wait until they are gone instead."""
    timeout: Seconds | None = None
    """Default: what the step has left."""

    @model_validator(mode="after")
    def _check_choices(self) -> ObjectWait:
        if self.object_name and self.selector:
            raise ValueError("name and selector exclude each other")
        if self.name and "/" in self.kind and self.object_name != self.name:
            raise ValueError(f"{self.kind} is not named {self.name}")
        if sum((bool(self.condition), bool(self.jsonpath), self.delete)) > 1:
            raise ValueError("condition, jsonpath and delete exclude each other")
        return self

    @property
    def kind_name(self) -> str:
        """The kind alone."""
        return self.kind.partition("/")[0]

    @property
    def object_name(self) -> str:
        """The name; empty: any."""
        return self.kind.partition("/")[2] or self.name

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What must hold of each object; empty: it must be healthy."""
        if self.condition:
            return (_condition_rule(self.condition),)
        return (_path_rule(self.jsonpath),) if self.jsonpath else ()


@hook(
    "kubectl.wait",
    ObjectWait,
    example="""
        - use: kubectl.wait
          with: { kind: StatefulSet, name: postgres, timeout: 4m }
    """,
    replaces="""
        kubectl -n shop-dev rollout status statefulset/postgres --timeout=4m
        kubectl -n shop-dev wait --for=condition=Ready certificate/web-tls --timeout=4m
    """,
)
def wait_for_object(given: ObjectWait, context: HookContext) -> None:
    """
    Wait until objects of the cluster are as they should be.

    Without `condition`, `jsonpath` and `delete` each object must be healthy by the rules of the
    rollout, of any kind: a Deployment, a StatefulSet, a Job that completes, a bound claim, a custom
    resource that is `Ready`. An object that does not exist yet is waited for.

    A workload that will not come up is reported in seconds with its cause, as in a rollout, also
    when only a condition is asked for: exit code 1. If the time is over first, the line says what
    is missing: exit code 70.

    With a selector, or for all of a kind, there must be at least one object; those that come later
    count as well, those that are being deleted do not. With `delete` the objects that are there at
    the beginning are waited for until they are gone; a new one of the same name is another object.

    The account needs `list` and `watch` on the kind in the namespace, for workloads on their pods
    (and ReplicaSets), too.
    """
    cluster = context.connect()
    resource = _resource(given.kind_name, cluster, context)
    namespace = given.namespace or context.namespace or cluster.default_namespace
    sought = Sought(
        resource=resource,
        namespace=namespace if resource.namespaced else "",
        name=given.object_name,
        selector=read_selector(given.selector),
        text=given.selector,
    )
    left_s = min(context.left_s, given.timeout or context.left_s)
    if given.delete:
        _until_gone(Departure(sought, cluster, context.outside, timeout_s=left_s), context)
    else:
        pursuit = Pursuit(
            *(sought, cluster, context.outside),
            rules=given.rules,
            manifests=context.manifests,
            timeout_s=left_s,
        )
        _until_ready(pursuit, given, context, left_s)


def _resource(kind: str, cluster: Cluster, context: HookContext) -> Resource:
    resource = find_kind(kind, cluster)
    if resource is None:
        what = f"the cluster knows no kind {kind!r}"
        raise ConfigurationError(context.hook, what, suggest_kind(kind, cluster))
    if resource.kind == "Event":
        raise ConfigurationError(context.hook, "events come and go", "wait for what they are about")
    return resource


def _until_ready(
    pursuit: Pursuit, given: ObjectWait, context: HookContext, timeout_s: float
) -> None:
    with pursuit:
        is_ready = pursuit.until_ready()
    context.console.stop_live()
    results = pursuit.results()
    if is_ready:
        _tell_ready(results, pursuit, context)
        return
    for result in results:
        if result.outcome is not Outcome.READY:
            context.console.lines(finding_lines(result))
    if failed := [result for result in results if result.outcome is Outcome.FAILED]:
        raise _as_one([WorkloadError(*_finding(result)) for result in failed])
    wanted = ", ".join(rule.text for rule in given.rules) or "healthy"
    raise DeadlineError(
        str(pursuit.sought),
        f"not {wanted} after {timeout_s:.0f} s: {pursuit.last_state()}",
        "give the step a longer timeout if it only needs more time",
    )


def _tell_ready(results: Sequence[Result], pursuit: Pursuit, context: HookContext) -> None:
    if len(results) > MOST_NAMED:
        context.tell(f"{pursuit.sought}: all {len(results)} are ready")
        return
    for result in results:
        context.tell(f"{result.target.name}: {result.detail}")


def _until_gone(departure: Departure, context: HookContext) -> None:
    with departure:
        is_over = departure.until_gone(context.tell)
    if is_over:
        return
    raise DeadlineError(
        str(departure.sought),
        f"still there: {departure.left()}",
        "see what holds it, or who makes it anew",
    )


def _finding(result: Result) -> tuple[str, str, str]:
    """Return where, what and how to mend it."""
    cause = result.diagnosis.cause if result.diagnosis else ""
    what = f"{result.detail}: {cause}" if cause else result.detail
    return str(result.target.name), what, result.diagnosis.hint if result.diagnosis else ""


def _as_one(errors: Sequence[CodexctlError]) -> CodexctlError:
    return errors[0] if len(errors) == 1 else CombinedError(errors)
