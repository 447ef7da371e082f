"""From the files of a repository to the desired objects of one environment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import (
    CodexctlError,
    CombinedError,
    ConfigurationError,
    Location,
)
from codexctl_tasks.stack.documents import Document, read_documents
from codexctl_tasks.stack.manifests import Manifest, read_manifests, refuse_duplicates
from codexctl_tasks.stack.model import Item, Stack, dotted, parse_stack, unknown_keys
from codexctl_tasks.stack.templates import Templates, display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from codexctl_tasks.settings import Filters, Source

_RENDERINGS = 4
"""``project`` may name variables, ``namespace`` the project, the rest both: three, and a check."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """What one environment should consist of."""

    origin: str
    """The ``services.yaml``, or the paths given with ``--manifests``."""
    namespace: str
    manifests: tuple[Manifest, ...]
    """In the order of the files; infrastructure first."""
    warnings: tuple[str, ...] = ()


def load_desired(source: Source) -> Desired:
    """
    Read and render everything an environment consists of; touches nothing but files.

    Raises:
        ConfigurationError, CombinedError: What is wrong, with file and line.
    """
    desired = _load_plain(source) if source.manifests else _load_stack(source)
    refuse_duplicates(desired.manifests)
    return desired


def _load_plain(source: Source) -> Desired:
    manifests: list[Manifest] = []
    problems: list[CodexctlError] = []
    for file in _yaml_files(source.manifests):
        name = display(file)
        try:
            documents = read_documents(_read(file, name), name)
            manifests += read_manifests(documents, namespace=source.namespace)
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    origin = ", ".join(display(path) for path in source.manifests)
    if not manifests:
        raise ConfigurationError(origin, "holds no manifests", "give files or folders with YAML")
    return Desired(origin=origin, namespace=source.namespace, manifests=tuple(manifests))


def _yaml_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = (f for f in path.rglob("*") if f.suffix in (".yaml", ".yml", ".json"))
            yield from sorted(f for f in found if f.is_file())
        else:
            yield path


def _load_stack(source: Source) -> Desired:
    file = display(source.config)
    text = _read(source.config, file, "run in the folder of services.yaml, or name it: --config")
    stack, document, namespace = _settle(source, text, file)
    _check_environment(source, stack, document)
    templates = _templates(source, stack.project, namespace)
    manifests: list[Manifest] = []
    problems: list[CodexctlError] = []
    for item, path, forced_namespace in _items(stack, source.filters, namespace):
        for index, entry in enumerate(item.manifests):
            declared = document.location((*path, "manifests", index, "path"))
            try:
                manifests += _load_file(source, templates, entry.path, declared, forced_namespace)
            except CodexctlError as error:
                problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    return Desired(
        origin=file,
        namespace=namespace,
        manifests=tuple(manifests),
        warnings=(
            *_unknown_key_warnings(stack, document),
            *_unmatched_filters(source.filters, stack, file),
            *(() if manifests else (f"{file}: {source.env} has no manifests: nothing to do",)),
        ),
    )


def _settle(source: Source, text: str, file: str) -> tuple[Stack, Document, str]:
    """
    Render services.yaml until the project and namespace it names no longer change.

    The file says itself what `Project` and `Namespace` are, and may use both anywhere.
    """
    project = namespace = ""
    for _ in range(_RENDERINGS):
        document = _parse(_templates(source, project, namespace), text, file)
        stack = parse_stack(document)
        settled = _namespace(source, stack)
        if (project, namespace) == (stack.project, settled):
            return stack, document, namespace
        project, namespace = stack.project, settled
    raise ConfigurationError(
        Location(file), "project and namespace refer to each other without end", "write one plainly"
    )


def _parse(templates: Templates, text: str, file: str) -> Document:
    rendered = templates.render(text, file)
    documents = list(
        read_documents(rendered.text, file, keep_spelling=True, source_place=rendered.place)
    )
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise ConfigurationError(
            Location(file), "is not one mapping of keys", "begin with project: NAME"
        )
    return documents[0]


def _namespace(source: Source, stack: Stack) -> str:
    pattern = stack.namespace.patterns.get(source.env, "").strip()
    return source.namespace or pattern or f"{stack.project}-{source.env}"


def _templates(source: Source, project: str, namespace: str) -> Templates:
    env_map = {**source.environ, **source.variables}
    root = source.config.resolve().parent

    def env_or(name: str, fallback: str = "") -> str:
        """Return the variable unless it is missing or empty."""
        return env_map.get(name) or fallback

    names: dict[str, Any] = {
        "Env": source.env,
        "Namespace": namespace,
        "Project": project,
        "ProjectRoot": str(root),
        "Slot": source.slot,
        "Vars": dict(source.variables),
        "EnvMap": env_map,
        "envOr": env_or,
    }
    return Templates(root, names)


def _check_environment(source: Source, stack: Stack, document: Document) -> None:
    known = sorted({*stack.environments, *stack.namespace.patterns})
    if source.env in known or not known:
        return
    nearest = difflib.get_close_matches(source.env, known, n=1)
    raise ConfigurationError(
        document.location(("environments",)),
        f"environment {source.env!r} is not defined",
        (f"did you mean {nearest[0]!r}? " if nearest else "") + f"known are {', '.join(known)}",
    )


def _unmatched_filters(filters: Filters, stack: Stack, file: str) -> Iterator[str]:
    """Warn of names that match no item; no error, so that workflows can serve many stacks."""
    for flag, names, items in (
        ("--only-services", filters.only_services, stack.services),
        ("--skip-services", filters.skip_services, stack.services),
        ("--only-infra", filters.only_infra, stack.infrastructure),
        ("--skip-infra", filters.skip_infra, stack.infrastructure),
    ):
        known = sorted(item.name.strip().lower() for item in items)
        for name in sorted(names - set(known)):
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            yield f"{flag}: {file} has no item {name!r}: {hint}"


def _items(
    stack: Stack, filters: Filters, namespace: str
) -> Iterator[tuple[Item, tuple[str | int, ...], str]]:
    """Yield what takes part: item, its path in the file, and the namespace its objects get."""
    groups: tuple[tuple[str, tuple[Item, ...], Callable[[str], bool], str], ...] = (
        # Objects of infrastructure are applied as they are written: they often belong elsewhere.
        (
            "infrastructure",
            stack.infrastructure,
            _chooser(filters.only_infra, filters.skip_infra),
            "",
        ),
        (
            "services",
            stack.services,
            _chooser(filters.only_services, filters.skip_services),
            namespace,
        ),
    )
    for key, items, chosen, forced_namespace in groups:
        for index, item in enumerate(items):
            if item.wanted and chosen(item.name.strip().lower()):
                yield item, (key, index), forced_namespace


def _chooser(only: frozenset[str], skip: frozenset[str]) -> Callable[[str], bool]:
    return lambda name: name not in skip and (not only or name in only)


def _load_file(
    source: Source, templates: Templates, path: str, declared: Location, namespace: str
) -> list[Manifest]:
    file = source.config.parent / path
    if not file.is_file():
        raise ConfigurationError(
            declared, f"manifest {path!r} does not exist", "paths are relative to services.yaml"
        )
    name = display(file)
    text = _read(file, name)
    rendered = templates.render(text, name)
    documents = read_documents(rendered.text, name, source_place=rendered.place)
    return list(read_manifests(documents, namespace=namespace))


def _read(file: Path, name: str, fix_missing: str = "check the path") -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(name, "does not exist", fix_missing) from None
    except UnicodeDecodeError:
        raise ConfigurationError(name, "is not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(name, f"cannot be read: {error.strerror}", "mend it") from None


def _unknown_key_warnings(stack: Stack, document: Document) -> Iterator[str]:
    for path, nearest in unknown_keys(stack):
        hint = f": did you mean {nearest!r}?" if nearest else ""
        yield f"{document.location(path)}: {dotted(path)} is not known and ignored{hint}"
