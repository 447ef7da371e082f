"""Why an image cannot be made: what it needs is not there, or not yet (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.images.results import Done

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.images.building import BuildSettings
    from codexctl_tasks.images.order import Ordered
    from codexctl_tasks.images.results import BuildResult

_LACKS = {
    Done.BUILT: "was not pushed",
    Done.WOULD_RETAG: "was not tagged",
    Done.FAILED: "failed",
    Done.SKIPPED: "was skipped",
}


def hindrance_of(
    ordered: Ordered, made: Mapping[str, BuildResult], settings: BuildSettings
) -> tuple[Done, str] | None:
    """
    Return what becomes of an image that cannot be made now, and why; None: it can be.

    Args:
        ordered: The image.
        made: What became of all builds that it needs.
        settings: Of the run.
    """
    needed = [made[name] for name in ordered.builds]
    for external in ordered.externals:
        if external in settings.failed:
            return Done.SKIPPED, f"needs {external}, which could not be mirrored"
    for result in needed:
        if lack := _lack(result, is_dry=settings.dry_run):
            return Done.SKIPPED, f"needs {result.name}, which {lack}"
    for external in ordered.externals:
        if external in settings.pending:
            return Done.WOULD_BUILD, f"needs {external}, which would be mirrored"
    for result in needed:
        if result.done is Done.WOULD_BUILD:
            return Done.WOULD_BUILD, f"needs {result.name}"
    return None


def _lack(result: BuildResult, *, is_dry: bool) -> str:
    """Return why nobody can build upon an image; empty: one can, or could."""
    if result.digest and (is_dry or result.done is not Done.WOULD_RETAG):
        return ""
    return _LACKS.get(result.done, "")
