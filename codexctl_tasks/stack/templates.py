"""Jinja2, sandboxed: an undefined name is an error with file, line and the nearest name."""

from __future__ import annotations

import difflib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError, TemplateNotFound, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(root),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # the output is YAML, not HTML
        )
        self._environment.globals = {**self._environment.globals, **names}
        self._names = tuple(names)

    def render(self, text: str, file: str) -> str:
        """Render *text*; *file* is its name in messages. Raises `ConfigurationError`."""
        # Jinja2 gives the frames of a template the name it was compiled with; that is how the
        # line of an error is found again.
        try:
            code = self._environment.compile(text, filename=file)
            template = self._environment.template_class.from_code(
                self._environment, code, self._environment.make_globals(None)
            )
            return template.render()
        except TemplateSyntaxError as error:
            raise ConfigurationError(
                Location(error.filename or file, error.lineno),
                f"template syntax: {error.message}",
                "see https://jinja.palletsprojects.com/templates/",
            ) from error
        except UndefinedError as error:
            raise self._undefined(error, file) from error
        except TemplateNotFound as error:
            raise ConfigurationError(
                self._place(error, file),
                f"includes {error.name!r}, which does not exist in {self._root}",
                "paths are relative to the folder of services.yaml",
            ) from error
        except SecurityError as error:
            raise ConfigurationError(
                self._place(error, file), f"not allowed in a template: {error}"
            ) from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ConfigurationError(
                self._place(error, file), f"template: {error}", "correct the expression"
            ) from error

    def _undefined(self, error: UndefinedError, file: str) -> ConfigurationError:
        message = error.message or "a name is undefined"
        name = message.partition("'")[2].partition("'")[0]
        nearest = difflib.get_close_matches(name, self._names, n=1)
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


def line_map(source: str, rendered: str) -> Callable[[int], int]:
    """
    Return a function from a line of *rendered* to the line of *source* it came from.

    Templates that only fill in values keep their lines. Where blocks add or drop lines, the
    nearest line above that survived word for word is the anchor.
    """
    before, after = source.splitlines(), rendered.splitlines()
    if len(before) == len(after):
        return lambda line: line
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()

    def source_line(line: int) -> int:
        anchor = max((b for b in blocks if b.b < line and b.size), key=lambda b: b.b, default=None)
        if anchor is None:
            return min(line, len(before))
        return min(anchor.a + line - anchor.b, len(before))

    return source_line


def display(path: Path) -> str:
    """Return *path* as a person in the current folder would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
