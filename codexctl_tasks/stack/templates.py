"""Templates of one project: Jinja2 renders them, sandboxed, whatever dialect they are in."""

from __future__ import annotations

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
from codexctl_tasks.stack.limits import (
    BoundedEnvironment,
    Budget,
    CountTurns,
    LimitError,
    budget_names,
    checked,
)
from codexctl_tasks.stack.lines import MarkLines, Rendered, lines_of_file, marked_lines, unmarked

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import nodes

_SYNTAX = {
    Dialect.JINJA: "see https://jinja.palletsprojects.com/templates/",
    Dialect.GO: "see https://pkg.go.dev/text/template",
}


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
        self._environments = {marks: self._make_environment(marks=marks) for marks in (True, False)}

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
        if dialect is Dialect.GO:
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
            self._parse(self._environments[False], text, "", dialect)
        except (CodexctlError, TemplateSyntaxError):
            return False
        return True

    def _make_environment(self, *, marks: bool) -> Environment:
        environment = BoundedEnvironment(
            loader=_ProjectLoader(self, marks=marks),
            undefined=_missing_type(self._names),
            keep_trailing_newline=True,
            autoescape=False,  # the output is YAML, not HTML
            extensions=["jinja2.ext.loopcontrols"],
        )
        environment.globals.update(
            {
                **gotemplate.names(self._data, self._functions, strict=self._strict),
                **jinja_functions(self._functions),
                **self._names,
            }
        )
        environment.filters.update(jinja_filters(self._functions))
        return environment

    def _parse(
        self, environment: Environment, text: str, file: str, dialect: Dialect
    ) -> nodes.Template:
        if dialect is Dialect.GO:
            return gotemplate.translate(gotemplate.parse(text, file, self._functions))
        return environment.parse(text, file, file)

    def compile(self, text: str, file: str, dialect: Dialect, *, marks: bool) -> Template:
        """Return a text as a template that counts its turns and, if asked, marks its lines."""
        environment = self._environments[marks]
        tree = CountTurns().visit(self._parse(environment, text, file, dialect))
        if marks:
            tree = MarkLines(file).visit(tree)
        tree.set_environment(environment)
        # Jinja2 gives the frames of a template the name it was compiled with; that is how the
        # line of an error is found again.
        code = environment.compile(tree, name=file, filename=file)
        return Template.from_code(environment, code, environment.make_globals(None))

    def _render(self, text: str, file: str, dialect: Dialect, *, marks: bool) -> str:
        try:
            template = self.compile(text, file, dialect, marks=marks)
            return checked(template.generate(budget_names(Budget())))
        except CodexctlError:
            raise
        except TemplateSyntaxError as error:
            name = file if error.filename in (None, file) else display(Path(error.filename))
            raise ConfigurationError(
                Location(name, error.lineno), f"template syntax: {error.message}", _SYNTAX[dialect]
            ) from error
        except TemplateNotFound as error:
            raise ConfigurationError(
                self._place(error, file),
                f"includes {error.name!r}, which is no file of this project",
                "paths are relative to the folder of services.yaml and stay inside it",
            ) from error
        except UndefinedError as error:
            what = error.message or "a name is undefined"
            raise ConfigurationError(self._place(error, file), what) from error
        except (LimitError, RecursionError) as error:
            what = str(error) if isinstance(error, LimitError) else "calls itself without end"
            raise ConfigurationError(
                self._place(error, file), f"template: {what}", "let it come to an end"
            ) from error
        except Exception as error:  # an expression can raise anything
            raise ConfigurationError(
                self._place(error, file),
                f"template: {str(error) or type(error).__name__}",
                "correct the expression",
            ) from error

    def _place(self, error: BaseException, file: str) -> Location:
        """Find the innermost template among the frames of *error*; it may be an included one."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename == file:
                return Location(file, frame.lineno)
            path = Path(frame.filename)
            if path.suffix != ".py" and path.parent.is_relative_to(self._root):
                return Location(display(path), frame.lineno)
        return Location(file)


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


def _missing_type(names: Mapping[str, Any]) -> type[StrictUndefined]:
    """Return what Jinja2 shall make of a missing name: an error that proposes the nearest one."""

    class Missing(StrictUndefined):
        __slots__ = ()

        @property
        def _undefined_message(self) -> str:  # Jinja2's own hook
            if self._undefined_hint:
                return self._undefined_hint
            name, holder = self._undefined_name, self._undefined_obj
            if holder is missing:
                hint = did_you_mean(str(name), names, "define it, or use default(...)")
                return f"{name!r} is undefined: {hint}"
            known = [str(key) for key in holder] if isinstance(holder, Mapping) else []
            kind = "an empty value" if holder is None else object_type_repr(holder)
            hint = did_you_mean(str(name), known, "define it, or use default(...)")
            return f"there is no {name!r} in {'it' if known else kind}: {hint}"

    return Missing
