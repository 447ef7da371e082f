"""Files of the user's repository: read as text, named as a person would type them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from codexctl_tasks.errors import ConfigurationError, Location

LARGEST_FILE = 10 * 1024 * 1024
"""Bytes; etcd takes no object above 1.5 MiB, and no person writes thousands of them."""

_NOWHERE = "\0"
"""No file has this name."""


def display(path: Path) -> str:
    """Return *path* as a person in the current folder would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):  # elsewhere, the folder is gone, links in a circle
        return str(path)


def read_text(path: Path, name: str, fix_missing: str = "check the path") -> str:
    """
    Return the text of a file, line ends and byte-order mark as they are.

    Args:
        path: The file.
        name: What messages call it.
        fix_missing: What to do if it does not exist.

    Raises:
        ConfigurationError: It is missing, unreadable, larger than `LARGEST_FILE` or no UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigurationError(name, "does not exist", fix_missing) from None
    except IsADirectoryError:
        raise ConfigurationError(name, "is a folder", "name a file") from None
    except OSError as error:
        what, fix = f"cannot be read: {error.strerror}", "check the path and its permissions"
        raise ConfigurationError(name, what, fix) from None
    if len(content) > LARGEST_FILE:
        limit = LARGEST_FILE // 1024 // 1024
        raise ConfigurationError(name, f"is larger than {limit} MiB", "split it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = Location(name, content.count(b"\n", 0, error.start) + 1)
        raise ConfigurationError(place, "is not UTF-8 text", "save it as UTF-8") from None


def inside(root: Path, path: str) -> Path | None:
    """
    Return the file that *path* names below *root*; None if it leads out, also through a link.

    Args:
        root: The project folder.
        path: Relative to it.
    """
    whole = root.resolve()
    # Too long a name, a null character, links in a circle: no file can be there.
    with suppress(OSError, RuntimeError, ValueError):
        file = (whole / path).resolve()
        file.exists()
        return file if file.is_relative_to(whole) else None
    return whole / _NOWHERE
