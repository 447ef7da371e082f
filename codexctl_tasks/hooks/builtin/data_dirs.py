"""``codex.ensure-data-dirs``: the directories of a node in which services keep their data."""

from __future__ import annotations

import grp
import pwd
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from codexctl_tasks.errors import ConfigurationError, DeadlineError
from codexctl_tasks.hooks.builtin.data_layout import collect, find_layout
from codexctl_tasks.hooks.builtin.directories import Access, check_way, grant, make_way
from codexctl_tasks.hooks.builtin.emptying import empty
from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Text, hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.hooks.builtin.directories import Descent

_LARGEST_ID = 2**32 - 2


def _check_mode(value: str) -> str:
    if re.fullmatch(r"(?:0o|0)?[0-7]{1,4}", value):
        return value
    raise ValueError("no mode in octal digits, such as 0750")


def _check_owner(value: str) -> str:
    if re.fullmatch(r"(?:[\w.-]+(?::[\w.-]+)?)?", value):
        return value
    raise ValueError("no owner such as 999, 999:999 or postgres:postgres")


class DataDirs(Parameters):
    """``with`` of ``codex.ensure-data-dirs``."""

    root: Text = ""
    """Folder that holds all data directories, relative to `services.yaml`. Without it:
    `dataPaths.root` of the stack, else the variable `DATA_ROOT`."""
    env_dir: Text = ""
    """Folder of the environment below `root`. Without it: `dataPaths.envDir` of the stack, else
    `slots/<slot>` for an environment with a slot and the name of the environment for others."""
    dirs: tuple[Text, ...] = ()
    """Directories in the folder of the environment. Without it: `dataPaths.dirs` of the stack, and
    `dataPaths.paths`."""
    mode: Annotated[Text, AfterValidator(_check_mode)] = "0777"
    """Mode of each directory, in octal digits."""
    owner: Annotated[Text, AfterValidator(_check_owner)] = ""
    """Owner of each directory: a user, or `user:group`, by number or by name. Without it: whoever
    owns it already."""
    clean: Flag = False
    """Whether the directories are emptied."""


@hook(
    "codex.ensure-data-dirs",
    DataDirs,
    example="""
        - name: data-directories
          use: codex.ensure-data-dirs
          with:
            root: /srv/market
            dirs: [postgres, redis, rabbitmq]
    """,
    replaces="""
        for name in postgres redis rabbitmq; do
          mkdir -p "{{ $dataDir }}/${name}"
          chmod 0777 "{{ $dataDir }}/${name}" || echo "cannot change the mode of ${name}"
        done
    """,
)
def ensure_data_dirs(given: DataDirs, context: HookContext) -> None:
    """
    Create the data directories of the environment on this machine.

    They are `<root>/<envDir>/<dir>`. What a directory holds is left as it is, but each gets `mode`
    and `owner` if it has others, also one that was there before. Folders on the way to it are
    created as `mkdir -p` does and are not changed when they exist. The data root is created, too,
    if the folder that it lies in exists: a whole path that is missing looks like a disk that is not
    mounted. A mode or owner that cannot be set is a warning.

    Nothing outside of the data root is ever touched: `..` is refused, and so is a symbolic link at
    any level below the root, whenever somebody puts it there. The root itself may be reached
    through links. All names and places are checked before the first directory is created.

    With `clean: true` the directories are emptied, as a slot needs it that somebody else takes
    over. They themselves stay, and so does everything else in the folder of the environment. A link
    inside is removed, not what it points to. A file system that is mounted inside is left alone,
    with a warning.
    """
    access = Access(int(given.mode, 8), *_owner_ids(given.owner, context.hook))
    layout = find_layout(context, given.root, given.env_dir, given.dirs)
    collect(lambda names: check_way(layout.start, names), layout.ways)
    for names in layout.ways:
        way, is_new = make_way(layout.start, names, access.mode)
        with way:
            for warning in grant(way, access):
                context.warn(warning)
            if given.clean and not is_new:
                _empty(way, context)
            state = "created" if is_new else "emptied" if given.clean else "is there already:"
            context.tell(f"{state} {way.path}")


def _empty(way: Descent, context: HookContext) -> None:
    def check_time() -> None:
        if not context.left_s:
            what = f"the time ran out while {way.path} was emptied"
            raise DeadlineError(context.hook, what, "give the step a longer timeout, and repeat it")

    for path in empty(way.fd, way.path, check_time):
        context.warn(f"{path} is a file system of its own: it was not emptied")


def _owner_ids(owner: str, hook: str) -> tuple[int, int]:
    """
    Return the numbers of user and group; -1: as it is.

    Raises:
        ConfigurationError: This machine does not know the name, or the number is too large.
    """
    user, _, group = owner.partition(":")
    uid = _number(user, hook, "user", lambda name: pwd.getpwnam(name).pw_uid)
    return uid, _number(group, hook, "group", lambda name: grp.getgrnam(name).gr_gid)


def _number(name: str, hook: str, kind: str, look_up: Callable[[str], int]) -> int:
    if not name:
        return -1
    if name.isdecimal():
        if int(name) > _LARGEST_ID:
            what = f"{name} is no number of a {kind}"
            raise ConfigurationError(hook, what, f"give at most {_LARGEST_ID}")
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        what = f"this machine has no {kind} {name}"
        raise ConfigurationError(hook, what, "give its number") from None
