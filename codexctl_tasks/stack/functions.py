"""
The functions that templates of both dialects can call, besides those of the engine itself.

The annotations are more than documentation: the Go dialect refuses any other type, as Go does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import pass_environment
from jinja2.filters import make_attrgetter
from jinja2.runtime import Undefined

from codexctl_tasks.stack.gotemplate.values import StringMap
from codexctl_tasks.stack.limits import LONGEST_TEXT, LimitError, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment

    from codexctl_tasks.stack.gotemplate.times import Time

_SHORT_SHA = 12
_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go trims; Python would trim separators of fields as well."""


def functions(env_map: Mapping[str, str], now: Time) -> dict[str, Callable[..., Any]]:
    """
    Return the functions by the names that templates use.

    Args:
        env_map: What `envOr` looks up.
        now: What `now` returns: one moment for everything that is rendered in a run.
    """

    def env_or(name: str, fallback: str) -> str:
        """Return the variable unless it is missing or empty; blanks count as a value."""
        return env_map.get(name) or fallback

    def the_time() -> Any:
        return now

    return {
        "envOr": env_or,
        "default": default,
        "ternary": ternary,
        "toLower": to_lower,
        "trimPrefix": trim_prefix,
        "slug": slug,
        "truncSHA": trunc_sha,
        "join": join,
        "indent": indent,
        "now": the_time,
    }


def default(value: str, fallback: str) -> str:
    """Return *value* unless it is blank; the value comes first, unlike in other tools."""
    return value if value.strip(_SPACE) else fallback


def ternary(cond: bool, yes: Any, no: Any) -> Any:
    """Return *yes* if the condition holds, otherwise *no*; both have been evaluated by then."""
    return yes if cond else no


def to_lower(text: str) -> str:
    """Return the text in lower case, each character by itself, as Go does it."""
    return "".join(character.lower()[:1] for character in text)


def trim_prefix(text: str, prefix: str) -> str:
    """Return the text without *prefix*, if it begins with it."""
    return text.removeprefix(prefix)


def slug(text: str) -> str:
    """Trim, lower-case, and turn each blank and underscore into a dash; runs are kept."""
    return to_lower(text.strip(_SPACE)).replace(" ", "-").replace("_", "-")


def trunc_sha(text: str) -> str:
    """Return the first 12 bytes, which name a commit well enough."""
    # As everywhere in Go templates: half a character is kept, and refused if it gets printed.
    cut = text.encode("utf-8", "surrogateescape")[:_SHORT_SHA]
    return cut.decode("utf-8", "surrogateescape")


def join(values: list[str], separator: str) -> str:
    """Join texts."""
    return separator.join(values)


def indent(width: int, text: str) -> str:
    """Put blanks before every line, empty ones too; line breaks at the end are dropped."""
    if width < 0:
        raise ValueError("the width is less than 0")
    text = text.rstrip("\n")
    if width * (text.count("\n") + 1) > LONGEST_TEXT:
        raise LimitError("indents a text more than anything real")
    margin = " " * width
    return "\n".join(margin + line for line in text.split("\n")) if text else ""


def jinja_functions(own: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """
    Return the functions as Jinja2 templates call them: less strict, with usual defaults.

    Args:
        own: From `functions`; may be empty.
    """
    if not own:
        return {}
    env_or = own["envOr"]
    return {
        **own,
        "envOr": lambda name, fallback="": env_or(str(name), fallback),
        "default": _default_of_anything,
        "toLower": lambda text: to_lower(str(text)),
        "trimPrefix": lambda text, prefix: trim_prefix(str(text), str(prefix)),
        "slug": lambda text: slug(str(text)),
        "truncSHA": lambda text: trunc_sha(str(text)).encode(errors="ignore").decode(),
        "join": _join_anything,
        "indent": lambda width, text, first=True: _indent_text(str(text), width, first=first),
        "printf": _printf,
        "index": index,
    }


def jinja_filters(own: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """
    Return the functions as filters: ``value | f(x)`` is ``f(value, x)``.

    `indent` alone takes the text first, as its namesake in Jinja2 does; like the function, and
    unlike the namesake, it moves the first line too unless ``first=false`` is given.

    Args:
        own: From `functions`; may be empty.
    """
    found = jinja_functions(own)
    if found:
        del found["now"]
        found["indent"] = lambda text, width=4, first=True: _indent_text(
            str(text), width, first=first
        )
        found["join"] = _join_filter
    return found


def index(value: Any, *keys: Any) -> Any:
    """
    Return what is at the keys, one inside the other.

    A missing key of a map of texts, such as `Versions`, gives the empty text, as in Go.
    """
    for key in keys:
        value = value.get(key, "") if isinstance(value, StringMap) else value[key]
    return value


def _printf(layout: str, *values: Any) -> str:
    from codexctl_tasks.stack.gotemplate.formatting import sprintf

    return sprintf(layout, *values)


def _default_of_anything(value: Any, fallback: Any = "") -> Any:
    if value is None or isinstance(value, Undefined):
        return fallback
    return default(value, fallback) if isinstance(value, str) else value


def _join_anything(values: Any, separator: str = "") -> str:
    pieces = (piece for value in values for piece in (separator, str(value)))
    return checked(pieces)[len(separator) :]


@pass_environment
def _join_filter(
    environment: Environment, values: Any, separator: str = "", attribute: Any = None
) -> str:
    """Join the values, or an attribute of each, as Jinja2's own filter does."""
    if attribute is not None:
        values = map(make_attrgetter(environment, attribute), values)
    return _join_anything(values, separator)


def _indent_text(text: str, width: int, *, first: bool) -> str:
    indented = indent(width, text)
    return indented if first else indented[width:]
