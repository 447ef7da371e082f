"""Jinja2, sandboxed: an undefined name is an error with file, line and the nearest name."""

from __future__ import annotations

import difflib
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateSyntaxError
from jinja2.exceptions import TemplateNotFound, UndefinedError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MARK = re.compile("\ue000([^\ue001]*)\ue002([0-9]+)\ue001")
"""Private-use characters around file and line; only in renderings that nobody sees."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template and the way back to what was written."""

    text: str
    place: Callable[[int], Location]
    """Tells which line of which file a line of *text* came from; both count from 1."""


class Templates:
    """Renders the files of one project with one set of names."""

    def __init__(self, root: Path, names: Mapping[str, Any]) -> None:
        """
        Prepare an environment.

        Args:
            root: Project folder; includes cannot leave it.
            names: What templates can refer to: `Env`, `Namespace`, `Vars`, ...
        """
        self._root = root
        self._names = names
        self._environment = self._make_environment()

    def render(self, text: str, file: str) -> Rendered:
        """Render *text*; *file* is its name in messages. Raises `ConfigurationError`."""
        rendered = self._render(self._environment, text, file)
        if "{%" not in text and text.count("\n") == rendered.count("\n"):
            return Rendered(rendered, lambda line: Location(file, line))
        marked = self._render(self._make_environment(_Marks), text, file)
        return Rendered(rendered, _places(marked, rendered, file))

    def _make_environment(self, *extensions: type[Extension]) -> Environment:
        environment = ImmutableSandboxedEnvironment(
            loader=_ProjectLoader(self._root),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # the output is YAML, not HTML
            extensions=extensions,
        )
        environment.globals = {**environment.globals, **self._names}
        return environment

    def _render(self, environment: Environment, text: str, file: str) -> str:
        # Jinja2 gives the frames of a template the name it was compiled with; that is how the
        # line of an error is found again.
        try:
            code = environment.compile(text, name=file, filename=file)
            template = Template.from_code(environment, code, environment.make_globals(None))
            return template.render()
        except TemplateSyntaxError as error:
            name = file if error.filename in (None, file) else display(Path(error.filename))
            raise ConfigurationError(
                Location(name, error.lineno),
                f"template syntax: {error.message}",
                "see https://jinja.palletsprojects.com/templates/",
            ) from error
        except UndefinedError as error:
            raise self._undefined(error, file) from error
        except TemplateNotFound as error:
            raise ConfigurationError(
                self._place(error, file),
                f"includes {error.name!r}, which is no file of this project",
                "paths are relative to the folder of services.yaml and stay inside it",
            ) from error
        except Exception as error:  # an expression can raise anything, a macro without end too
            reason = str(error) or type(error).__name__
            raise ConfigurationError(
                self._place(error, file), f"template: {reason}", "correct the expression"
            ) from error

    def _undefined(self, error: UndefinedError, file: str) -> ConfigurationError:
        message = error.message or "a name is undefined"
        name = message.partition("'")[2].partition("'")[0]
        nearest = difflib.get_close_matches(name, list(self._names), n=1)
        fix = f"did you mean {nearest[0]!r}?" if nearest else "define it, or use default(...)"
        return ConfigurationError(self._place(error, file), message, fix)

    def _place(self, error: BaseException, file: str) -> Location:
        """Find the innermost template among the frames of *error*; it may be an included one."""
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == file or Path(frame.filename).parent.is_relative_to(self._root)
        ]
        frames = [frame for frame in frames if not frame.filename.endswith(".py")]
        if not frames:
            return Location(file)
        inner = frames[-1]
        name = file if inner.filename == file else display(Path(inner.filename))
        return Location(name, inner.lineno)


class _ProjectLoader(BaseLoader):
    """Finds included templates below the project folder, never through a link that leaves it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def get_source(self, _: Environment, template: str) -> tuple[str, str, None]:
        """Return text and path of a template."""
        path = (self._root / template).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            raise TemplateNotFound(template)
        return path.read_text(encoding="utf-8"), str(path), None


class _Marks(Extension):
    """Writes file and line before every piece of plain text, and after each of its line breaks."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Mark the pieces of one template."""
        file = stream.filename or stream.name or ""
        for token in stream:
            if token.type != "data":
                yield token
                continue
            pieces = token.value.split("\n")
            lines = enumerate(pieces, start=token.lineno)
            marked = "\n".join(f"\ue000{file}\ue002{line}\ue001{text}" for line, text in lines)
            yield Token(token.lineno, "data", marked)


def _places(marked: str, rendered: str, file: str) -> Callable[[int], Location]:
    """
    Read the marks: a line came from the first mark in it, else from the last one before it.

    Where the marks themselves changed what a template does, such as comparing a piece of its own
    text, the lines are taken to be those of the file.
    """
    if _MARK.sub("", marked) != rendered:
        return lambda line: Location(file, line)
    places: list[Location] = []
    last = Location(file, 1)
    for line in marked.split("\n"):
        marks = [Location(_name(m[1], file), int(m[2])) for m in _MARK.finditer(line)]
        places.append(marks[0] if marks else last)
        last = marks[-1] if marks else last
    return lambda line: places[min(line, len(places)) - 1]


def _name(marked_file: str, file: str) -> str:
    return file if marked_file == file else display(Path(marked_file))


def display(path: Path) -> str:
    """Return *path* as a person in the current folder would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return str(path)
