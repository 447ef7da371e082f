"""Templates of one project: Jinja2 renders them, sandboxed, whatever dialect they are in."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateSyntaxError
from jinja2.exceptions import TemplateNotFound, UndefinedError
from jinja2.utils import missing, object_type_repr

from codexctl_tasks.errors import CodexctlError, ConfigurationError, Location, did_you_mean
from codexctl_tasks.stack import gotemplate
from codexctl_tasks.stack.dialect import Dialect, recognise
from codexctl_tasks.stack.files import display, inside, read_text
from codexctl_tasks.stack.functions import jinja_filters, jinja_functions
from codexctl_tasks.stack.gotemplate.values import Struct
from codexctl_tasks.stack.jinja_mistakes import explained, unclosed
from codexctl_tasks.stack.limits import (
    LONGEST_TEXT,
    BoundedEnvironment,
    Budget,
    LimitError,
    budget_names,
    checked,
    count_turns,
)
from codexctl_tasks.stack.lines import Rendered, lines_of_file, mark_lines, marked_lines, unmarked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jinja2 import nodes

_CAPTURES = re.compile(
    r"\{%[-+]?\s*(?:macro|call|filter|endset|include|import|from|extends|block)\b"
)
"""Statements that make a value of text, or may bring others that do."""
_DEFINE = "define it, or use default(...)"


class Templates:
    """Renders the files of one project with one set of names."""

    def __init__(
        self,
        root: Path,
        names: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]] | None = None,
        *,
        default: Dialect = Dialect.JINJA,
        data: Any = None,
    ) -> None:
        """
        Prepare an environment.

        Args:
            root: Project folder; includes cannot leave it.
            names: What templates can refer to: `Env`, `Namespace`, `Vars`, ...
            functions: What they can call; see `functions.functions`.
            default: The dialect of files that could be either.
            data: What Go templates call `.` instead of the names, with Go's ``<no value>`` for
                what is missing in it; None: the names, and what is missing is an error.
        """
        self._root = root.resolve()
        self._names, self._functions, self._default = names, functions or {}, default
        self._data: Any = Struct(names) if data is None else data
        self._strict = data is None
        self._environments: dict[bool, Environment] = {}

    def render(self, text: str, file: str, *, dialect: Dialect | None = None) -> Rendered:
        """
        Render a text.

        Args:
            text: The template.
            file: Its name in messages.
            dialect: Its language; None: recognised.

        Raises:
            ConfigurationError: What is wrong, with file, line and, for a name, the nearest one.
        """
        dialect = dialect or self.recognise(text)
        if dialect is None:
            return Rendered(text, lines_of_file(file))
        if dialect is Dialect.GO or ("{%" in text and not _CAPTURES.search(text)):
            # Its text cannot get into values, so one rendering tells text and lines.
            marked = self._render(text, file, dialect, marks=True)
            return Rendered(unmarked(marked), marked_lines(marked, file))
        rendered = self._render(text, file, dialect, marks=False)
        if "{%" not in text and text.count("\n") == rendered.count("\n"):
            return Rendered(rendered, lines_of_file(file))
        marked = self._render(text, file, dialect, marks=True)
        if unmarked(marked) != rendered:  # it looks at its own text, so the marks changed it
            return Rendered(rendered, lines_of_file(file))
        return Rendered(rendered, marked_lines(marked, file))

    def recognise(self, text: str) -> Dialect | None:
        """Tell the dialect of a text; None if it is no template."""
        return recognise(text, self._default, lambda dialect: self._is_valid(text, dialect))

    def _is_valid(self, text: str, dialect: Dialect) -> bool:
        try:
            self._parse(self._environment(marks=False), text, "", dialect)
        except (CodexctlError, TemplateSyntaxError):
            return False
        return True

    def _environment(self, *, marks: bool) -> Environment:
        """Return one of two environments: what templates include is marked, or not, as they are."""
        if marks in self._environments:
            return self._environments[marks]
        environment = BoundedEnvironment(
            loader=_ProjectLoader(self, marks=marks),
            undefined=_missing_type(self._names, jinja_functions(self._functions)),
            keep_trailing_newline=True,
            autoescape=False,  # the output is YAML, not HTML
            optimized=False,  # each template is rendered once
            finalize=_printable,
            extensions=["jinja2.ext.loopcontrols"],
        )
        environment.globals.update({**jinja_functions(self._functions), **self._names})
        environment.filters.update(jinja_filters(self._functions))
        self._environments[marks] = environment
        return environment

    def _parse(
        self, environment: Environment, text: str, file: str, dialect: Dialect
    ) -> nodes.Template:
        if dialect is Dialect.GO:
            if "go_data" not in environment.globals:
                gotemplate.install(environment, self._data, self._functions, strict=self._strict)
            try:
                return gotemplate.translate(gotemplate.parse(text, file, self._functions))
            except ConfigurationError as error:
                # What follows the gap is blamed otherwise.
                line = error.location.line if error.location else None
                if opened := unclosed(text, line or 0):
                    what = "template syntax: an action is opened here and never closed"
                    raise ConfigurationError(Location(file, opened), what, "close it") from error
                raise
        return environment.parse(text, file, file)

    def compile(self, text: str, file: str, dialect: Dialect, *, marks: bool) -> Template:
        """Return a text as a template that counts its turns and, if asked, marks its lines."""
        environment = self._environment(marks=marks)
        tree = self._parse(environment, text, file, dialect)
        count_turns(tree, joins=dialect is Dialect.JINJA and "~" in text)
        if marks:
            mark_lines(tree, file)
        # Jinja2 gives the frames of a template the name it was compiled with; that is how the
        # line of an error is found again.
        code = environment.compile(tree, name=file, filename=file)
        return Template.from_code(environment, code, environment.make_globals(None))

    def _render(self, text: str, file: str, dialect: Dialect, *, marks: bool) -> str:
        try:
            template = self.compile(text, file, dialect, marks=marks)
            return _bounded(template.generate(budget_names(Budget())), marks=marks)
        except CodexctlError:
            raise
        except TemplateSyntaxError as error:
            name = file if error.filename in (None, file) else display(Path(error.filename))
            line, what, fix = explained(error, self._environment(marks=marks))
            raise ConfigurationError(
                Location(name, line), f"template syntax: {what}", fix
            ) from error
        except TemplateNotFound as error:
            raise ConfigurationError(
                self._place(error, file),
                f"includes {error.name!r}, which is no file of this project",
                "paths are relative to the folder of services.yaml and stay inside it",
            ) from error
        except SyntaxError as error:  # of the Python that Jinja2 makes; only jumps can be wrong
            raise ConfigurationError(
                Location(file), f"template syntax: {error.msg}", "put it into a loop"
            ) from error
        except UndefinedError as error:
            what = error.message or "a name is undefined"
            raise ConfigurationError(self._place(error, file), what) from error
        except (LimitError, RecursionError) as error:
            what = str(error) if isinstance(error, LimitError) else "calls itself without end"
            fix = "let it come to an end" if "itself" in what else "make it smaller"
            raise ConfigurationError(self._place(error, file), f"template: {what}", fix) from error
        except Exception as error:  # an expression can raise anything
            what = str(error) or type(error).__name__
            fix = "" if what.endswith("?") else "correct the expression"  # it has a proposal
            raise ConfigurationError(self._place(error, file), f"template: {what}", fix) from error

    def _place(self, error: BaseException, file: str) -> Location:
        """Find the innermost template among the frames of *error*; it may be an included one."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename == file:
                return Location(file, frame.lineno)
            path = Path(frame.filename)
            if path.suffix != ".py" and path.parent.is_relative_to(self._root):
                return Location(display(path), frame.lineno)
        return Location(file)


def _bounded(pieces: Iterable[str], *, marks: bool) -> str:
    """Join the pieces of a rendering; marks, longer than many a line, are no part of its length."""
    if not marks:
        return checked(pieces)
    marked = checked(pieces, longest=10 * LONGEST_TEXT)
    if len(marked) > LONGEST_TEXT:
        checked([unmarked(marked)])
    return marked


class _ProjectLoader(BaseLoader):
    """Finds included templates below the project folder, never through a link that leaves it."""

    def __init__(self, templates: Templates, *, marks: bool) -> None:
        self._templates, self._marks = templates, marks

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:  # noqa: A002, ARG002 - Jinja2's signature
        """Return the template in a file of the project."""
        root = self._templates._root  # noqa: SLF001 - one class in two, because Jinja2 wants so
        path = inside(root, name)
        if path is None or not path.is_file():
            raise TemplateNotFound(name)
        text = read_text(path, display(path))
        dialect = self._templates.recognise(text) or Dialect.JINJA
        return self._templates.compile(text, str(path), dialect, marks=self._marks)


def _printable(value: Any) -> Any:
    """Refuse to print a function; that is a call without its parentheses."""
    if callable(value) and not isinstance(value, StrictUndefined):
        name = getattr(value, "__name__", "it").strip("_<>")
        raise TypeError(f"prints a function instead of calling it: {{{{ {name}(...) }}}}")
    return value


def _missing_type(names: Mapping[str, Any], functions: Mapping[str, Any]) -> type[StrictUndefined]:
    """Return what Jinja2 shall make of a missing name: an error that proposes the nearest one."""

    class Missing(StrictUndefined):
        __slots__ = ()

        @property
        def _undefined_message(self) -> str:  # Jinja2's own hook
            if self._undefined_hint:
                return self._undefined_hint
            name, holder = self._undefined_name, self._undefined_obj
            if holder is missing:
                hint = did_you_mean(str(name), [*names, *functions], _DEFINE)
                return f"{name!r} is undefined: {hint}"
            if holder is None:
                return (
                    f"there is no {name!r} in what has no value itself: test that with 'if' first"
                )
            known = [str(key) for key in holder] if isinstance(holder, Mapping) else []
            known_as = next((f"{n}" for n, value in names.items() if value is holder), "it")
            kind = known_as if isinstance(holder, Mapping) else object_type_repr(holder)
            return f"there is no {name!r} in {kind}: {did_you_mean(str(name), known, _DEFINE)}"

    return Missing
