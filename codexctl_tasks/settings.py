"""
What the user asked for: flags first, then ``CODEXCTL_*``, then the default.

This is the only module that reads the process environment; it makes the objects of `requests`.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests import (
    CiRequest,
    ClusterSettings,
    DeployRequest,
    DoctorRequest,
    ExplainRequest,
    Filters,
    GcImagesRequest,
    HooksRequest,
    ImagesRequest,
    RenderRequest,
    ReportFiles,
    Source,
    TemplateRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT_BUILD_TIMEOUT_S = 3600.0
"""Of one image; GitHub's own limit for a job is six hours."""
DEFAULT_WAIT_TIMEOUT_S = 600.0
"""Kubernetes' own default progress deadline: a rollout that needs longer says so explicitly."""


IMAGE_STEPS = ("mirror", "build", "all", "none")
"""What a workflow may do about images before a deploy."""
KEPT_IMAGES = 10
"""Newest images of each repository that stay."""
PROTECTED_TAGS = "v*,latest,main,master,stable"
YOUNG_S = 24 * 3600.0
"""A deploy may be under way that is to use what was made just now."""


def source(
    *,
    env: str = "",
    slot: str = "",
    namespace: str = "",
    config: str = "",
    manifests: Sequence[str] = (),
    vars: str = "",  # noqa: A002 - the name of the flag
    var_file: str = "",
    only_services: str = "",
    skip_services: str = "",
    only_infra: str = "",
    skip_infra: str = "",
    strict: bool = False,
    pins: str = "",
    is_optional: bool = False,
) -> Source:
    """
    Combine flags and ``CODEXCTL_*``; raise `UsageError` for what cannot be used.

    With *is_optional* neither an environment nor manifests must be given.
    """
    # A flag beats the variable of the other kind of source.
    paths = tuple(Path(path) for path in manifests or ([] if env else _list("CODEXCTL_MANIFESTS")))
    file = _value("var-file", var_file)
    found = Source(
        config=Path(_value("config", config, "services.yaml")),
        env=env.strip() if manifests else _value("env", env),
        slot=_slot(slot),
        namespace=_value("namespace", namespace),
        manifests=paths,
        filters=Filters(
            only_services=_names("only-services", only_services),
            skip_services=_names("skip-services", skip_services),
            only_infra=_names("only-infra", only_infra),
            skip_infra=_names("skip-infra", skip_infra),
        ),
        variables=_variables(_value("vars", vars)),
        var_file=Path(file) if file else None,
        strict=strict or _switch("CODEXCTL_STRICT"),
        pins=_path(_value("pins", pins)),
        now=datetime.now(UTC),
        environ=dict(os.environ),
    )
    if found.env or found.manifests or not is_optional:
        _check_source(found)
    return found


def template_request(file: str, data: str, dialect: str) -> TemplateRequest:
    """Check the flags of ``render-template``."""
    if file.startswith("-"):
        raise UsageError("FILE", f"{file!r} is no file", "name the template last")
    return TemplateRequest(
        file=Path(file),
        data=Path(data) if data else None,
        dialect=_choice("dialect", dialect, ("go", "jinja")) if dialect else "",
    )


def render_request(
    *, output_dir: str = "", show_values: bool = False, **given: Any
) -> RenderRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    folder = _value("output-dir", output_dir)
    return RenderRequest(
        source=source(**given),
        output_dir=Path(folder) if folder else None,
        show_values=show_values,
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
    return DeployRequest(
        source=source(**given),
        cluster=_cluster(kubeconfig, context),
        wait_timeout_s=_timeout("wait-timeout", wait_timeout, DEFAULT_WAIT_TIMEOUT_S),
        chosen=_chosen(kubeconfig=kubeconfig, context=context, wait_timeout=wait_timeout),
        force_conflicts=force_conflicts or _switch("CODEXCTL_FORCE_CONFLICTS"),
        runs_hooks=not (no_hooks or _switch("CODEXCTL_NO_HOOKS")),
        stack=_value("stack", stack),
        prunes=not (no_prune or _switch("CODEXCTL_NO_PRUNE")),
        prune_protected=prune_protected or _switch("CODEXCTL_PRUNE_PROTECTED"),
        detailed_exitcode=detailed_exitcode or _switch("CODEXCTL_DETAILED_EXITCODE"),
        holder=_this_run(),
        files=ReportFiles(
            junit=_path(_value("junit", junit)),
            html=_path(_value("html", html)),
            step_summary=_path(os.environ.get("GITHUB_STEP_SUMMARY", "")),
            step_outputs=_path(os.environ.get("GITHUB_OUTPUT", "")),
        ),
        output=_choice("output", _value("output", output, "text"), ("text", "json")),
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
        cluster=_cluster(kubeconfig, context),
        chosen=_chosen(kubeconfig=kubeconfig, context=context),
        object=_value("object", object),
        output=_choice("output", _value("output", output, "text"), ("text", "json")),
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
        backend=_value("backend", backend),
        stack=_value("stack", stack),
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
        cluster=_cluster(kubeconfig, context),
        chosen=_chosen(kubeconfig=kubeconfig, context=context),
        show=show.strip(),
        run=run.strip(),
        given=parameters,
        timeout_s=_timeout("timeout", timeout, DEFAULT_WAIT_TIMEOUT_S),
        output=_choice("output", _value("output", output, "text"), ("text", "json")),
    )


def gc_images_request(
    *,
    kubeconfig: str = "",
    contexts: str = "",
    only: str = "",
    keep: str = "",
    protect: str = "",
    younger_than: str = "",
    ignore_kinds: str = "",
    delete: bool = False,
    output: str = "",
    **given: Any,
) -> GcImagesRequest:
    """Combine flags and ``CODEXCTL_*``, but for *delete*: only a flag makes it happen."""
    return GcImagesRequest(
        source=source(**given, is_optional=True),
        cluster=_cluster(kubeconfig, ""),
        contexts=_parts("contexts", contexts),
        only=frozenset(_parts("only", only)),
        newest=_count("keep", keep, KEPT_IMAGES),
        protected=_parts("protect", protect, PROTECTED_TAGS),
        younger_s=_age_s("younger-than", younger_than, YOUNG_S),
        ignored_kinds=frozenset(_parts("ignore-kinds", ignore_kinds)),
        deletes=delete,
        output=_choice("output", _value("output", output, "text"), ("text", "json")),
    )


def images_request(
    *,
    only: str = "",
    platform: str = "",
    dry_run: bool = False,
    force: bool = False,
    no_push: bool = False,
    jobs: str = "",
    backend: str = "",
    pin: str = "",
    logs: str = "",
    build_timeout: str = "",
    output: str = "",
    **given: Any,
) -> ImagesRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    pin_file = _path(_value("pin", pin))
    if pin_file and (dry_run or no_push):
        raise UsageError(
            "--pin", "needs images that are pushed", "leave --dry-run or --no-push out"
        )
    return ImagesRequest(
        source=source(**given),
        only=frozenset(filter(None, (name.strip() for name in _value("only", only).split(",")))),
        platform=_platform(_value("platform", platform)),
        dry_run=dry_run,
        force=force,
        pushes=not no_push,
        jobs=_count("jobs", jobs),
        backend=_value("backend", backend),
        pin=pin_file,
        logs=_path(_value("logs", logs)) or _usual_logs(),
        build_timeout_s=_timeout("build-timeout", build_timeout, DEFAULT_BUILD_TIMEOUT_S),
        output=_choice("output", _value("output", output, "text"), ("text", "json")),
        files=ReportFiles(
            step_summary=_path(os.environ.get("GITHUB_STEP_SUMMARY", "")),
            step_outputs=_path(os.environ.get("GITHUB_OUTPUT", "")),
        ),
    )


def ci_request(variables: Mapping[str, str]) -> CiRequest:
    """Combine ``CODEXCTL_*`` alone, for steps of workflows; *variables* are further ``--vars``."""
    dry_run = _switch("CODEXCTL_DRY_RUN")
    which = _value("images", "", "all")
    if which not in IMAGE_STEPS:
        allowed = ", ".join(IMAGE_STEPS)
        raise UsageError("CODEXCTL_IMAGES", f"{which!r} is unknown", f"use one of {allowed}")
    images = images_request(dry_run=dry_run, pin="" if dry_run else _value("pins", ""))
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


SECRET_FILES = {
    # Given in so many words, it counts more than what services.yaml says; scripts know the other.
    "CODEXCTL_SECRET_KUBECONFIG": ("kubeconfig", "CODEXCTL_KUBECONFIG", "KUBECONFIG"),
    "CODEXCTL_SECRET_REGISTRY_AUTH": ("auth.json", "REGISTRY_AUTH_FILE"),
}
"""Secrets that a workflow has as texts: the file that each becomes, and what leads to that."""


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


def _usual_logs() -> Path:
    """Return a folder for logs that no other user has."""
    place = os.environ.get("RUNNER_TEMP") or tempfile.gettempdir()
    return Path(place) / f"codexctl-builds-{os.getuid()}"


def _platform(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", text):
        raise UsageError("--platform", f"{text!r} is no platform", "write linux/amd64")
    return text


def _count(flag: str, given: str, default: int = 0) -> int:
    text = _value(flag, given, str(default))
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--{flag}", f"{text!r} is no number", "give a whole number")
    return int(text)


def _cluster(kubeconfig: str, context: str) -> ClusterSettings:
    return ClusterSettings(
        kubeconfig=_value("kubeconfig", kubeconfig, os.environ.get("KUBECONFIG", "")),
        context=_value("context", context),
    )


def _chosen(**given: str) -> frozenset[str]:
    """Return which flags were given, by themselves or as ``CODEXCTL_*``."""
    flags = {name.replace("_", "-"): value for name, value in given.items()}
    return frozenset(flag for flag, value in flags.items() if _value(flag, value))


def _this_run() -> str:
    """Return a text by which people find this run: its page on GitHub, or user, host, process."""
    environ = os.environ
    run = environ.get("GITHUB_RUN_ID", "")
    if in_github_actions() and run:
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        attempt = environ.get("GITHUB_RUN_ATTEMPT", "1")
        job = environ.get("GITHUB_JOB", "")
        page = f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{run}"
        return f"{page} (attempt {attempt}, job {job}, process {os.getpid()})"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"


def in_github_actions() -> bool:
    """Tell whether annotations and log groups will be understood."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def github_workspace() -> Path | None:
    """Return the folder of the repository in GitHub Actions, to which annotations are relative."""
    return _path(os.environ.get("GITHUB_WORKSPACE", ""))


def colour_wanted() -> bool:
    """Follow https://no-color.org: any non-empty value switches colours off."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def debugging() -> bool:
    """Tell whether the user wants tracebacks of internal errors, as a re-run in debug mode does."""
    return _switch("CODEXCTL_DEBUG") or (in_github_actions() and _switch("RUNNER_DEBUG"))


def _check_source(source: Source) -> None:
    if source.manifests:
        if source.env:
            raise UsageError("--manifests", "cannot be combined with --env", "give one of the two")
        if not source.namespace:
            raise UsageError(
                "--namespace", "is required with --manifests", "say where the objects belong"
            )
    elif not source.env:
        raise UsageError(
            "--env",
            "is required",
            "name an environment of services.yaml, or give plain YAML with --manifests",
        )


def _value(flag: str, given: str, default: str = "") -> str:
    variable = "CODEXCTL_" + flag.upper().replace("-", "_")
    return (given or os.environ.get(variable, "") or default).strip()


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _list(variable: str) -> list[str]:
    return [part for part in os.environ.get(variable, "").split(os.pathsep) if part]


def _switch(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in ("1", "true", "yes", "on")


def _names(flag: str, given: str) -> frozenset[str]:
    names = (name.strip().lower() for name in _value(flag, given).split(","))
    return frozenset(name for name in names if name)


def _parts(flag: str, given: str, default: str = "") -> tuple[str, ...]:
    """Return the parts of a list with commas, each once, as they are written."""
    parts = (part.strip() for part in _value(flag, given, default).split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


def _age_s(flag: str, given: str, default_s: float) -> float:
    """Return a duration that may also be 0."""
    is_none = re.fullmatch(r"0+[hms]?", _value(flag, given))
    return 0.0 if is_none else _timeout(flag, given, default_s)


def _slot(given: str) -> int:
    text = _value("slot", given, "0")
    if not (text.isascii() and text.isdecimal()):
        raise UsageError("--slot", f"{text!r} is no slot", "give a whole number, 0 for none")
    return int(text)


def _choice(flag: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"--{flag}", f"{value!r} is unknown", f"use {' or '.join(allowed)}")
    return value


def _timeout(flag: str, given: str, default_s: float) -> float:
    text = _value(flag, given)
    if not text:
        return default_s
    total_s = duration_s(text)
    if total_s <= 0:
        raise UsageError(f"--{flag}", f"{text!r} is no duration", "write 90, 90s, 10m or 1h30m")
    return total_s


def _variables(text: str) -> dict[str, str]:
    """Parse ``A=1,B=2``: parts are trimmed, empty parts skipped, an empty value is allowed."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            # The part itself is not repeated: it may be a piece of a secret with a comma in it.
            raise UsageError("--vars", "a part has no NAME=VALUE", "write --vars A=1,B=2")
        found[name.strip()] = value.strip()
    return found
