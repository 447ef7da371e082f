"""Requests about what is deployed, or may be: flags into objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.runs import (
    DeployRequest,
    DoctorRequest,
    ExplainRequest,
    HooksRequest,
    RenderRequest,
    TemplateRequest,
)
from codexctl_tasks.settings.environment import (
    path_of,
    step_files,
    switch,
    this_repository,
    this_run,
    value,
)
from codexctl_tasks.settings.sources import chosen_flags, cluster_settings, source
from codexctl_tasks.settings.values import choice, output_of, timeout_s

DEFAULT_WAIT_TIMEOUT_S = 600.0
"""Kubernetes' own default progress deadline: a rollout that needs longer says so explicitly."""


def render_request(
    *, output_dir: str = "", show_values: bool = False, **given: Any
) -> RenderRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    folder = value("output-dir", output_dir)
    return RenderRequest(
        source=source(**given),
        output_dir=Path(folder) if folder else None,
        show_values=show_values,
    )


def template_request(file: str, data: str, dialect: str) -> TemplateRequest:
    """Check the flags of ``render-template``."""
    if file.startswith("-"):
        raise UsageError("FILE", f"{file!r} is no file", "name the template last")
    return TemplateRequest(
        file=Path(file),
        data=Path(data) if data else None,
        dialect=choice("dialect", dialect, ("go", "jinja")) if dialect else "",
    )


def deploy_request(
    *,
    kubeconfig: str = "",
    context: str = "",
    wait_timeout: str = "",
    force_conflicts: bool = False,
    no_hooks: bool = False,
    stack: str = "",
    no_prune: bool = False,
    prune_protected: bool = False,
    detailed_exitcode: bool = False,
    output: str = "",
    junit: str = "",
    html: str = "",
    **given: Any,
) -> DeployRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    summary, outputs = step_files()
    return DeployRequest(
        source=source(**given),
        cluster=cluster_settings(kubeconfig, context),
        wait_timeout_s=timeout_s("wait-timeout", wait_timeout, DEFAULT_WAIT_TIMEOUT_S),
        chosen=chosen_flags(kubeconfig=kubeconfig, context=context, wait_timeout=wait_timeout),
        force_conflicts=force_conflicts or switch("CODEXCTL_FORCE_CONFLICTS"),
        runs_hooks=not (no_hooks or switch("CODEXCTL_NO_HOOKS")),
        stack=value("stack", stack),
        prunes=not (no_prune or switch("CODEXCTL_NO_PRUNE")),
        prune_protected=prune_protected or switch("CODEXCTL_PRUNE_PROTECTED"),
        detailed_exitcode=detailed_exitcode or switch("CODEXCTL_DETAILED_EXITCODE"),
        holder=this_run(),
        repository=this_repository(),
        files=ReportFiles(
            junit=path_of(value("junit", junit)),
            html=path_of(value("html", html)),
            step_summary=summary,
            step_outputs=outputs,
        ),
        output=output_of(output),
    )


def explain_request(
    *,
    object: str = "",  # noqa: A002 - the name of the flag
    kubeconfig: str = "",
    context: str = "",
    output: str = "",
    **given: Any,
) -> ExplainRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`, none of which is needed."""
    return ExplainRequest(
        source=source(**given, is_optional=True),
        cluster=cluster_settings(kubeconfig, context),
        chosen=chosen_flags(kubeconfig=kubeconfig, context=context),
        object=value("object", object),
        output=output_of(output),
    )


def doctor_request(
    *,
    backend: str = "",
    kubeconfig: str = "",
    context: str = "",
    stack: str = "",
    output: str = "",
    **given: Any,
) -> DoctorRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`, none of which is needed."""
    asked = explain_request(kubeconfig=kubeconfig, context=context, output=output, **given)
    return DoctorRequest(
        source=asked.source,
        cluster=asked.cluster,
        chosen=asked.chosen,
        backend=value("backend", backend),
        stack=value("stack", stack),
        output=asked.output,
    )


def hooks_request(
    *,
    show: str = "",
    run: str = "",
    kubeconfig: str = "",
    context: str = "",
    timeout: str = "",
    output: str = "",
    **given: Any,
) -> HooksRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are `with` and those of `source`."""
    parameters = {}
    for each in given.pop("with", ()):
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            # The text is not repeated: it may be a piece of a secret.
            raise UsageError("--with", "has no KEY=VALUE", "write --with dirs='[postgres, redis]'")
        parameters[name.strip()] = value
    if parameters and not run:
        raise UsageError(
            "--with", "is for hooks run", "write codexctl hooks run NAME --with KEY=VALUE"
        )
    return HooksRequest(
        source=source(**given, is_optional=True),
        cluster=cluster_settings(kubeconfig, context),
        chosen=chosen_flags(kubeconfig=kubeconfig, context=context),
        show=show.strip(),
        run=run.strip(),
        given=parameters,
        timeout_s=timeout_s("timeout", timeout, DEFAULT_WAIT_TIMEOUT_S),
        output=output_of(output),
    )
