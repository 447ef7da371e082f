"""From a loaded stack to its desired objects: every item that takes part, file by file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    CodexctlError,
    CombinedError,
    ConfigurationError,
    did_you_mean,
)
from codexctl_tasks.requests.basis import DeployDefaults, Filters
from codexctl_tasks.stack.desired import Desired
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.files import display, inside, read_text
from codexctl_tasks.stack.items import taking_part, title_of, unmatched_filters
from codexctl_tasks.stack.loading import LoadedStack, holds_template, leaves_project
from codexctl_tasks.stack.manifests import Manifest, read_manifests
from codexctl_tasks.stack.model import Item, Service
from codexctl_tasks.stack.overlays import overlay_mounts, with_changes
from codexctl_tasks.stack.steps import doubtful_steps
from codexctl_tasks.stack.validation import KeyPath, unknown_key_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.stack.documents import Document


def desired_of(loaded: LoadedStack) -> Desired:
    """
    Render what a stack names.

    Raises:
        CombinedError: What is wrong in all the files, with file and line.
    """
    source = loaded.source
    manifests: list[Manifest] = []
    problems: list[CodexctlError] = []
    for item, path in taking_part(loaded):
        try:
            manifests += _objects(loaded, item, path)
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    return Desired(
        origin=loaded.file,
        namespace=loaded.context.namespace,
        manifests=tuple(manifests),
        stack=".".join(filter(None, (loaded.stack.project, source.env, str(source.slot or "")))),
        is_partial=source.filters != Filters(),
        warnings=(
            *(str(problem) for problem in unknown_key_problems(loaded.stack, loaded.document)),
            *unmatched_filters(source.filters, loaded.stack, loaded.file),
            *doubtful_steps(loaded),
            *(
                ()
                if manifests
                else (f"{loaded.file}: {source.env} has no manifests: nothing to do",)
            ),
        ),
        obstacles=(*obstacles_of(loaded), *_held_templates(loaded)),
        defaults=defaults_of(loaded),
        loaded=loaded,
        secrets=loaded.secrets,
    )


def _held_templates(loaded: LoadedStack) -> Iterator[ConfigurationError]:
    """Yield an error for each image that is rendered as Go does it, and that no node could pull."""
    for item, path in taking_part(loaded):
        if holds_template(loaded.image(item, path)):
            yield loaded.held_template((*path, "image"))


def _objects(loaded: LoadedStack, item: Item, path: KeyPath) -> list[Manifest]:
    """Render the files of an item."""
    namespace, image, overlay = "", "", loaded.overlay(item)
    # Objects of infrastructure are applied as they are written: they often belong elsewhere.
    if isinstance(item, Service):
        namespace, image = loaded.context.namespace, loaded.image(item, path)
    overlay_path = (*path, "overlays", loaded.source.env)
    mounts = overlay_mounts(overlay, lambda inner: loaded.find((*overlay_path, *inner)))
    manifests: list[Manifest] = []
    problems: list[CodexctlError] = []
    for index, entry in enumerate(item.manifests):
        try:
            documents = _render_file(loaded, entry.path, (*path, "manifests", index, "path"))
            manifests += read_manifests(
                documents,
                namespace=namespace,
                drop_kinds={kind.strip().lower() for kind in overlay.drop_kinds},
                file=entry.path,
            )
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    changed = (with_changes(m, item.name, image=image, mounts=mounts) for m in manifests)
    return [replace(manifest, item=title_of(item)) for manifest in changed]


def _render_file(loaded: LoadedStack, path: str, declared: KeyPath) -> Iterator[Document]:
    file = inside(loaded.source.config.resolve().parent, path)
    if file is None:
        raise leaves_project(loaded.document.location(declared), f"manifest {path!r}")
    if not file.is_file():
        place, name = loaded.find(declared)
        what, fix = "does not exist", "paths are relative to services.yaml"
        if file.exists():
            what, fix = "is no file", "name the files in it, one by one"
        raise ConfigurationError(place, f"{name} names {path!r}, which {what}", fix)
    name = display(loaded.source.config.parent / path)
    rendered = loaded.templates.render(read_text(file, name), name)
    return read_documents(rendered.text, name, source_place=rendered.place)


def defaults_of(loaded: LoadedStack) -> DeployDefaults:
    """Return what ``services.yaml`` says about a deploy of its environment."""
    environment = loaded.stack.environment(loaded.source.env)
    kubeconfig = environment.kubeconfig.strip()
    if kubeconfig:
        kubeconfig = str(loaded.source.config.parent / Path(kubeconfig).expanduser())
    return DeployDefaults(
        kubeconfig=kubeconfig,
        context=environment.context.strip(),
        wait_timeout=loaded.stack.codex.timeouts.deploy_wait,
    )


def obstacles_of(loaded: LoadedStack) -> Iterator[ConfigurationError]:
    """Yield what keeps an environment from being deployed, but not from being looked at."""
    env, stack = loaded.source.env, loaded.stack
    known = sorted({*stack.environments, *stack.namespace.patterns})
    if known and env not in known:
        hint = did_you_mean(env, known)
        yield ConfigurationError(
            loaded.document.location(("environments",)),
            f"environment {env!r} is not defined",
            f"{hint} known are {', '.join(known)}".strip(),
        )
    if not loaded.context.namespace:
        yield ConfigurationError(
            loaded.document.location(("namespace",)),
            f"environment {env!r} has no namespace without a slot",
            "give --slot N or --namespace NAME",
        )
