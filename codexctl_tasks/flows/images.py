"""
Images before a deploy: mirror what comes from elsewhere, build what is the team's own, report.

Mirroring comes first: a build may stand on an image that is mirrored.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    DONE,
    CodexctlError,
    CombinedError,
    ConfigurationError,
    Interrupted,
    UsageError,
    did_you_mean,
)
from codexctl_tasks.flows.registries import plain_http_hosts, registry_of, variables_of
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.images.backends.build_arguments import settings_among
from codexctl_tasks.images.backends.choosing import choose_backend
from codexctl_tasks.images.backends.workshop import Workshop
from codexctl_tasks.images.building import BuildSettings, build_images
from codexctl_tasks.images.catalogue import Catalogue, catalogue_of
from codexctl_tasks.images.mirror import mirror_images
from codexctl_tasks.images.results import Done
from codexctl_tasks.references import parse_reference
from codexctl_tasks.reports import images as report
from codexctl_tasks.reports.images import ImageRow
from codexctl_tasks.requests.basis import looks_secret
from codexctl_tasks.stack.files import display
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.pins import pins_text, read_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from codexctl_tasks.images.backend import Backend
    from codexctl_tasks.images.results import ImageResult, MirrorResult
    from codexctl_tasks.references import Reference
    from codexctl_tasks.requests.images import ImagesRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.outside import Outside


def mirror(request: ImagesRequest, outside: Outside) -> int:
    """Mirror the external images of a stack."""
    return _Images(request, outside).run(_Images.mirror)


def build(request: ImagesRequest, outside: Outside) -> int:
    """Build the images of a stack that have changed."""
    return _Images(request, outside).run(_Images.build)


def mirror_and_build(request: ImagesRequest, outside: Outside) -> int:
    """Do both, one after the other; what fails stops only what needs it."""
    return _Images(request, outside).run(_Images.mirror, _Images.build)


class _Images:
    """The images of one stack, and what became of them."""

    def __init__(self, request: ImagesRequest, outside: Outside) -> None:
        """Load the stack; nothing is asked of a registry yet."""
        self._request, self._outside, self._console = request, outside, outside.console
        self._loaded = _load(request, outside)
        self._catalogue = catalogue_of(self._loaded)
        check_names(request.only, self._catalogue)
        for each in self._catalogue.builds:  # builders print what they are given
            self._console.hide(v for name, v in each.arguments.items() if looks_secret(name))
        self._rows: list[ImageRow] = []
        self._errors: list[CodexctlError] = []
        self._unmirrored: list[str] = []
        self._pending: list[str] = []
        self._registry = registry_of([self._loaded], outside)

    def run(self, *phases: Callable[[_Images], None]) -> int:
        """Go through the phases; whatever ends them, what was done until then is reported."""
        try:
            for phase in phases:
                phase(self)
        except (CodexctlError, Interrupted) as ended:
            if self._rows:
                self.report(ended.exit_code)
            raise
        return self.report()

    def mirror(self) -> None:
        """Bring external images into the registry of the project."""
        chosen = [e for e in self._catalogue.externals if self._is_chosen(e.name)]
        if not chosen:
            return
        with self._console.group(f"mirror {len(chosen)} images"):
            mirror_images(
                chosen,
                self._registry,
                platform=self._request.platform,
                dry_run=self._request.dry_run,
                clock=self._outside.clock,
                tell=lambda line: self._console.step("mirror", line),
                announce=self._note_mirrored,
            )

    def build(self) -> None:
        """Build what has changed."""
        request, catalogue = self._request, self._catalogue
        only = tuple(each.name for each in catalogue.builds if self._is_chosen(each.name))
        if not only:
            return
        settings = BuildSettings(
            console=self._console,
            clock=self._outside.clock,
            logs=request.logs,
            now=request.source.now,
            only=only if request.only else (),
            failed=self._unmirrored,
            pending=self._pending,
            platform=request.platform,
            jobs=request.jobs,
            timeout_s=request.build_timeout_s,
            force=request.force,
            push=request.pushes,
            dry_run=request.dry_run,
        )
        build_images(
            catalogue.builds,
            catalogue.externals,
            self._registry,
            self._backend,
            settings,
            announce=lambda result: self._note(result, result.size, result.note),
        )

    def report(self, ended_by: int = DONE) -> int:
        """
        Tell what became of every image, and return the exit code.

        *ended_by*: Exit code of what ended the run before its work was done; 0: nothing did.
        """
        failed = CombinedError(self._errors).exit_code if self._errors else DONE
        exit_code = ended_by or failed
        masked, names = self._console.masked, list(self._loaded.stack.images)
        rows = [replace(row, error=masked(row.error)) for row in self._rows]
        rows.sort(key=lambda row: names.index(row.name))
        self._console.lines([report.headline(rows), *report.table_lines(rows)])
        for problem in (each for error in self._errors for each in error.problems):
            self._console.annotate(problem.location, str(problem))
        self._write_step_files(rows)
        if self._request.output == "json":
            self._console.result_as_json(report.as_json(rows, exit_code=exit_code))
        if self._request.pin and not exit_code:
            self._pin(self._request.pin)
        return exit_code

    def _write_step_files(self, rows: Sequence[ImageRow]) -> None:
        """Tell GitHub Actions, if this is a step of it."""
        if summary := self._request.files.step_summary:
            write_report(summary, report.markdown(rows), self._console, "a")
        if outputs := self._request.files.step_outputs:
            write_report(outputs, outputs_text(report.step_outputs(rows)), self._console, "a")

    def _pin(self, file: Path) -> None:
        """Write which digest each tag stands for; images that were not chosen keep theirs."""
        catalogue = self._catalogue
        others = [each.target for each in catalogue.externals if not self._is_chosen(each.name)]
        others += [each.target for each in catalogue.builds if not self._is_chosen(each.name)]
        before = read_pins(file) if others and file.exists() else {}
        pins = {target: before[target] for target in others if target in before}
        pins |= {parse_reference(row.target): row.digest for row in self._rows if row.digest}
        write_pins(file, pins)

    def _is_chosen(self, name: str) -> bool:
        return not self._request.only or name in self._request.only

    def _note_mirrored(self, result: MirrorResult) -> None:
        self._note(result, result.moved)
        if result.error:
            self._unmirrored.append(result.name)
        elif result.done in (Done.WOULD_COPY, Done.WOULD_RETAG):
            self._pending.append(result.name)

    def _note(self, result: ImageResult, size_bytes: int, note: str = "") -> None:
        row = ImageRow(
            name=result.name,
            target=str(result.target),
            what=result.done.value,
            digest=result.digest,
            size_bytes=size_bytes,
            seconds=result.seconds,
        )
        problems = result.error.problems if result.error else ()
        error = "; ".join(map(str, problems)) or (note if row.is_bad else "")
        self._rows.append(replace(row, error=error))
        if result.error:
            self._errors.append(result.error)

    def _backend(self) -> Backend:
        """Find a builder that can work here, and say which."""
        workshop = Workshop(
            run=self._outside.run,
            clock=self._outside.clock,
            environ={**self._request.source.environ, **settings_among(variables_of(self._loaded))},
            plain_http=plain_http_hosts(self._loaded),
        )
        choice = choose_backend(workshop, self._request.backend)
        for refused in choice.refused:
            self._console.step("build", f"not with {refused}")
        name, address = choice.backend.name, workshop.environ.get("BUILDKIT_HOST")
        if address and name not in ("buildctl", "buildx"):
            reasons = "; ".join(map(str, choice.refused[:2]))
            self._console.warn(f"BUILDKIT_HOST is set, but {name} is used: {reasons}")
        self._console.step("build", f"building with {choice.backend.name}")
        return choice.backend


def _load(request: ImagesRequest, outside: Outside) -> LoadedStack:
    if request.source.manifests:
        raise UsageError("--manifests", "is plain YAML without images", "give --env")
    outside.console.hide(request.source.secrets)
    loaded = load_stack(request.source)
    outside.console.hide(loaded.secrets)
    return loaded


def check_names(names: Collection[str], catalogue: Catalogue) -> None:
    """Raise `UsageError` for a name that is no image of the stack."""
    known = [each.name for each in catalogue.externals]
    known += [each.name for each in catalogue.builds]
    for name in sorted(set(names) - set(known)):
        fix = did_you_mean(name, known, f"known are {', '.join(known)}")
        raise UsageError("--only", f"there is no image {name!r}", fix)


def write_pins(file: Path, pins: Mapping[Reference, str]) -> None:
    """
    Write a file of pins, all of it or nothing.

    Raises:
        ConfigurationError: It cannot be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(pins_text(pins), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        what = f"cannot be written: {error.strerror}"
        raise ConfigurationError(display(file), what, "name another file with --pin") from None
