"""
``services.yaml``, rendered for one environment.

It is read three times: raw, for what its own templates refer to; rendered as a whole; and, for keys
that are used later (`when`, `tagTemplate`, ...), their rendered text once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import (
    CodexctlError,
    CombinedError,
    ConfigurationError,
    Location,
)
from codexctl_tasks.stack.context import Context
from codexctl_tasks.stack.dialect import Dialect
from codexctl_tasks.stack.documents import not_one_mapping, read_documents
from codexctl_tasks.stack.files import display, inside, read_text
from codexctl_tasks.stack.functions import functions
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.values import StringMap
from codexctl_tasks.stack.header import Header, read_header
from codexctl_tasks.stack.model import Item, Overlay, Service, Stack
from codexctl_tasks.stack.sealing import is_dangerous, is_sealed, unsealed
from codexctl_tasks.stack.templates import Templates
from codexctl_tasks.stack.validation import KeyPath, named_path, parse_stack, unknown_key_problems
from codexctl_tasks.stack.variables import read_variables

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.requests.basis import Source
    from codexctl_tasks.stack.documents import Document

_LEAVES_OUT = ("false", "0", "no")
_MISSING_CONFIG = "run in the folder of services.yaml, or name it: --config"


class LoadedStack:
    """A rendered ``services.yaml`` and what is needed to render what it names."""

    def __init__(
        self,
        source: Source,
        header: Header,
        document: Document,
        context: Context,
        *,
        dialect: Dialect,
        stack: Stack,
    ) -> None:
        self.source, self.header, self.document, self.stack = source, header, document, stack
        self.file = display(source.config)
        self.context = replace(context, stack=stack)
        self._dialect = dialect
        self.templates = _templates(source, self.context, dialect)
        if stack.images:
            self.context = replace(self.context, images=ImageNames(self))
            self.templates = _templates(source, self.context, dialect)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values from files whose names say that they are secret."""
        variables = self.context.variables.env_map
        return tuple(v.value for name, v in variables.items() if self.source.hides(name))

    def render_again(self, text: str, path: KeyPath) -> str:
        """
        Render a value of the rendered ``services.yaml`` once more, and trim it.

        Templates that arrive through `versions`, say, work because of that. What comes from
        outside is no template though: a branch must not be able to print secrets by its name.

        Args:
            text: The value.
            path: Where it stands.
        """
        if "{" not in text:
            return text.strip()
        place = self.document.location(path)
        if is_sealed(str(self.document.at(path))):
            context = self.context
            names = [
                name
                for name, found in context.variables.env_map.items()
                if is_dangerous(found.value)
                and (name in context.asked or name in context.variables.vars)
            ]
            raise ConfigurationError(
                place,
                f"{self.path(path)} holds a value from outside that looks like a template",
                f"such are not rendered, give another value to {' or '.join(names) or 'it'}",
            )
        try:
            return self.templates.render(text, place.file, dialect=self._dialect).text.strip()
        except ConfigurationError as error:
            line = error.location.line if error.location else None
            where = self.document.text_location(path, line or 1)
            raise ConfigurationError(
                where, f"{self.path(path)}: {error.what}", error.fix
            ) from error

    def image_name(self, name: str) -> str:
        """Return where an image of `images` is; empty: the entry does not say."""
        image, path = self.stack.images[name], ("images", name)
        if image.type != "build":
            key = "local" if image.local.strip() else "from"
            return self._whole(image.local.strip() or image.source.strip(), (*path, key))
        key = "tag" if image.tag else "tagTemplate"
        tag = self._whole_again(image.tag or image.tag_template, (*path, key))
        return f"{self._whole(image.repository.strip(), (*path, 'repository'))}:{tag}"

    def wants(self, item: Item, path: KeyPath) -> bool:
        """Tell whether `when` lets an item take part; a blank one does."""
        return self.render_again(item.when, (*path, "when")).lower() not in _LEAVES_OUT

    def image(self, item: Item, path: KeyPath) -> str:
        """Return the image reference of a service; empty: that of its manifest stays."""
        if not isinstance(item, Service) or not (repository := item.image.repository.strip()):
            return ""
        tag = self.render_again(item.image.tag_template, (*path, "image", "tagTemplate"))
        return f"{repository}:{tag}" if tag else repository

    def proxy_image(self) -> str:
        """Return the image reference of `codex.proxy`; empty: there is no proxy."""
        return self._whole_again(self.stack.codex.proxy.image, ("codex", "proxy", "image"))

    def _whole_again(self, text: str, path: KeyPath) -> str:
        return self._whole(self.render_again(text, path), path)

    def _whole(self, text: str, path: KeyPath) -> str:
        if holds_template(text):
            raise self.held_template(path)
        return text

    def held_template(self, path: KeyPath) -> ConfigurationError:
        """Return the error for an image reference that no node could pull."""
        place, name = self.find(path)
        what = f"{name}: holds a template still, when the image is needed"
        fix = "give a plain value: versions that are templates themselves are for tags"
        return ConfigurationError(place, what, fix)

    def overlay(self, item: Item) -> Overlay:
        """Return what is different in this environment."""
        overlays = item.overlays if isinstance(item, Service) else {}
        return overlays.get(self.source.env, Overlay())

    def find(self, path: KeyPath) -> tuple[Location, str]:
        """Return the place of a path in the file, and the path as a person writes it."""
        return self.document.location(path), self.path(path)

    def path(self, path: KeyPath) -> str:
        """Write a path in the file as a person would."""
        return named_path(self.document.value, path)


class ImageNames(StringMap):
    """
    Where each image of a stack is, for templates.

    A tag is rendered when it is asked for: stacks may have images whose tags need variables that
    only the job that builds them has.
    """

    def __init__(self, loaded: LoadedStack) -> None:
        super().__init__(dict.fromkeys(loaded.stack.images, ""))
        self._loaded = loaded

    def __getitem__(self, name: str) -> str:
        return self._loaded.image_name(name) if name in self else super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the reference of an image, or *default*."""
        if name not in self:
            return default
        return self[name]


def holds_template(image: str) -> bool:
    """Tell whether an image reference holds a template that nobody renders any more."""
    return "{{" in image


def load_stack(source: Source) -> LoadedStack:
    """
    Read and render ``services.yaml``, not the files it names.

    Raises:
        ConfigurationError, CombinedError: What is wrong, with file and line.
    """
    file, text = display(source.config), _read(source)
    dialect = _dialect_of(source, text)
    header = read_header(text, file, statements=dialect is Dialect.JINJA)
    context = _context(source, header, dialect)
    rendered = _templates(source, context, dialect).render(text, file, dialect=dialect)
    documents = list(
        read_documents(rendered.text, file, keep_spelling=True, source_place=rendered.place)
    )
    are_mappings = [isinstance(document.value, dict) for document in documents]
    if problem := not_one_mapping(file, are_mappings, [each.location() for each in documents]):
        raise problem
    stack = parse_stack(documents[0], project=context.project)
    loaded = LoadedStack(source, header, documents[0], context, dialect=dialect, stack=stack)
    if source.strict and (unknown := unknown_key_problems(stack, documents[0])):
        raise CombinedError(unknown)
    return loaded


def load_environments(source: Source) -> list[LoadedStack]:
    """
    Load ``services.yaml`` for every environment that it names, and for that of *source*.

    Raises:
        ConfigurationError, CombinedError: What is wrong in any of them, with file and line.
    """
    file, text = display(source.config), _read(source)
    is_jinja = _dialect_of(source, text) is Dialect.JINJA
    names = read_header(text, file, statements=is_jinja).environments
    loaded: list[LoadedStack] = []
    problems: dict[str, CodexctlError] = {}
    for name in dict.fromkeys((*names, source.env) if source.env or not names else names):
        try:
            loaded.append(load_stack(replace(source, env=name)))
        except CodexctlError as error:
            problems.update({str(problem): problem for problem in error.problems})
    if problems:
        raise CombinedError(list(problems.values()))
    return loaded


def _read(source: Source) -> str:
    file = display(source.config)
    return read_text(source.config, file, _MISSING_CONFIG).removeprefix("\ufeff")


def _dialect_of(source: Source, text: str) -> Dialect:
    """Tell the dialect of ``services.yaml``; Jinja2 if it gives no sign."""
    return (
        Templates(source.config.resolve().parent, {}, functions({}, _now(source))).recognise(text)
        or Dialect.JINJA
    )


def _context(source: Source, header: Header, dialect: Dialect) -> Context:
    """Find out project and namespace, each from a raw text that is rendered by itself."""
    root = source.config.resolve().parent
    context = Context(
        env=source.env,
        project="",
        namespace=source.namespace,
        project_root=str(root),
        slot=source.slot,
        now=_now(source),
        variables=read_variables(
            environ=source.environ,
            env_files=[(_env_file(root, name, place), place) for name, place in header.env_files],
            var_file=source.var_file,
            given=source.variables,
        ),
        versions=header.versions,
        base_domain=header.base_domain,
    )

    def alone(text: str, *path: str) -> str:
        place = header.location(*path)
        try:
            templates = _templates(source, context, dialect)
            rendered = templates.render(text, place.file, dialect=dialect).text
            return str(unsealed(rendered.strip()))
        except ConfigurationError as error:
            what = f"{'.'.join(path)}: {error.what}"
            raise ConfigurationError(place, what, error.fix) from error

    if "{" in header.project:
        context = replace(context, project=alone(header.project, "project"))
    else:
        context = replace(context, project=header.project)
    if not source.namespace:
        pattern = header.patterns.get(source.env, "")
        pattern = alone(pattern, "namespace", "patterns", source.env) if pattern else ""
        context = replace(context, namespace=pattern or _usual_namespace(context))
    return context


def _usual_namespace(context: Context) -> str:
    project = context.project
    if not project:
        return ""
    if context.env == "ai":
        return f"{project}-dev-{context.slot}" if context.slot > 0 else ""
    return f"{project}-ai-staging" if context.env == "ai-repair" else f"{project}-{context.env}"


def _env_file(root: Path, name: str, place: Location) -> Path:
    file = inside(root, name)
    if file is None:
        raise leaves_project(place, f"env file {name!r}")
    return file


def leaves_project(place: Location, what: str) -> ConfigurationError:
    """Return the error for a path that leads out of the project folder."""
    return ConfigurationError(
        place, f"{what} is outside of the project", "keep it below the folder of services.yaml"
    )


def _now(source: Source) -> Time:
    return Time.of(source.now)


def _templates(source: Source, context: Context, dialect: Dialect) -> Templates:
    names = context.names()
    return Templates(
        source.config.resolve().parent,
        names,
        functions(names["EnvMap"], context.now),
        default=dialect,
    )
