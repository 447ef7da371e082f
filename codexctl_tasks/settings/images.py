"""Requests about images: flags into objects."""

from __future__ import annotations

from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.images import GcImagesRequest, ImagesRequest
from codexctl_tasks.settings.environment import path_of, step_files, usual_logs, value
from codexctl_tasks.settings.sources import cluster_settings, source
from codexctl_tasks.settings.values import age_s, count, output_of, parts, platform_of, timeout_s

IMAGE_STEPS = ("mirror", "build", "all", "none")
"""What may be done about images before a deploy."""
DEFAULT_BUILD_TIMEOUT_S = 3600.0
"""Of one image; GitHub's own limit for a job is six hours."""
KEPT_IMAGES = 10
"""Newest images of each repository that stay."""
PROTECTED_TAGS = "v*,latest,main,master,stable"
YOUNG_S = 24 * 3600.0
"""A deploy may be under way that is to use what was made just now."""


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
    pin_file = path_of(value("pin", pin))
    if pin_file and (dry_run or no_push):
        raise UsageError(
            "--pin", "needs images that are pushed", "leave --dry-run or --no-push out"
        )
    summary, outputs = step_files()
    return ImagesRequest(
        source=source(**given),
        only=frozenset(filter(None, (name.strip() for name in value("only", only).split(",")))),
        platform=platform_of(value("platform", platform)),
        dry_run=dry_run,
        force=force,
        pushes=not no_push,
        jobs=count("jobs", jobs),
        backend=value("backend", backend),
        pin=pin_file,
        logs=path_of(value("logs", logs)) or usual_logs(),
        build_timeout_s=timeout_s("build-timeout", build_timeout, DEFAULT_BUILD_TIMEOUT_S),
        output=output_of(output),
        files=ReportFiles(
            step_summary=summary,
            step_outputs=outputs,
        ),
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
        cluster=cluster_settings(kubeconfig, ""),
        contexts=parts("contexts", contexts),
        only=frozenset(parts("only", only)),
        newest=count("keep", keep, KEPT_IMAGES),
        protected=parts("protect", protect, PROTECTED_TAGS),
        younger_s=age_s("younger-than", younger_than, YOUNG_S),
        ignored_kinds=frozenset(parts("ignore-kinds", ignore_kinds)),
        deletes=delete,
        output=output_of(output),
    )
