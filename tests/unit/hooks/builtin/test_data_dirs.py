"""`codex.ensure-data-dirs`: directories below the data root, and nothing outside of it."""

from __future__ import annotations

import ctypes
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import CodexctlError, ConfigurationError, DeadlineError
from codexctl_tasks.hooks.builtin.data_dirs import ensure_data_dirs
from codexctl_tasks.hooks.contract import HookError
from tests.support.hooks import HookBench
from tests.unit.hooks.conftest import SOMEBODY, as_somebody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRS = ["postgres", "redis"]
SWAPS = 2000
DEEP = 3000
"""Levels of a tree that needs more than one path, or one file descriptor each."""


def _bench(root: Path | str, **more: Any) -> HookBench:
    stack = {"dataPaths": {"root": str(root), "dirs": DIRS}}
    return HookBench(ensure_data_dirs, **{"stack": stack, **more})


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _tree(folder: Path) -> list[str]:
    """Return everything below, as paths relative to *folder*; links are not followed."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.usefixtures("user")
def test_it_creates_what_the_stack_names(ground: Path) -> None:
    """A slot has a folder of its own; the mode does not depend on the umask of the caller."""
    said = _bench(ground / "data").run()

    slot = ground / "data" / "slots" / "3"
    assert _tree(slot) == DIRS
    assert {_mode(slot / name) for name in DIRS} == {0o777}
    assert f"created {slot}/postgres" in said


def test_folders_on_the_way_are_made_as_mkdir_makes_them(ground: Path) -> None:
    """Only the directories themselves are for everybody."""
    before = os.umask(0o027)
    try:
        _bench(ground / "data").run(mode="0770")
    finally:
        os.umask(before)

    assert _mode(ground / "data") == _mode(ground / "data" / "slots") == 0o750
    assert _mode(ground / "data" / "slots" / "3" / "redis") == 0o770


@pytest.mark.parametrize(
    ("bench", "folder"),
    [
        ({"slot": 3, "env": "ai"}, "slots/3"),
        ({"slot": 0, "env": "staging"}, "staging"),
    ],
)
def test_the_folder_of_the_environment(ground: Path, bench: dict[str, Any], folder: str) -> None:
    """Slots do not share data with each other, nor with staging."""
    _bench(ground, **bench).run()

    assert _tree(ground / folder) == DIRS


@pytest.mark.parametrize("env_dir", ["own/place", "{root}/own/place", "{root}//own/./place/"])
def test_the_folder_may_be_given_as_a_whole_path(ground: Path, env_dir: str) -> None:
    """Stacks write it either way."""
    paths = {"root": f"{ground}/", "envDir": env_dir.format(root=ground), "dirs": ["redis"]}

    HookBench(ensure_data_dirs, stack={"dataPaths": paths}).run()

    assert _tree(ground) == ["own", "own/place", "own/place/redis"]


def test_parameters_win_over_the_stack(ground: Path) -> None:
    """One step may care for other directories than the stack names."""
    bench = _bench("/does/not/matter")

    bench.run(root=str(ground), envDir="x", dirs=["cache/pip"], mode="0750")

    assert _tree(ground) == ["x", "x/cache", "x/cache/pip"]
    assert _mode(ground / "x" / "cache" / "pip") == 0o750


def test_the_root_may_come_from_a_variable(ground: Path) -> None:
    """`DATA_ROOT` is what the shell took."""
    stack = {"dataPaths": {"dirs": ["redis"]}}
    HookBench(ensure_data_dirs, stack=stack, variables={"DATA_ROOT": str(ground)}).run()

    assert (ground / "slots" / "3" / "redis").is_dir()


def test_a_relative_root_is_relative_to_the_project(ground: Path) -> None:
    """It does not matter where codexctl is called."""
    _bench("data", folder=ground).run()

    assert _tree(ground / "data" / "slots" / "3") == DIRS


def test_whole_paths_of_the_stack(ground: Path) -> None:
    """`dataPaths.paths` names directories that are not in the folder of the environment."""
    paths = {"root": str(ground), "paths": [f"{ground}/shared/cache", "logs"]}
    HookBench(ensure_data_dirs, stack={"dataPaths": paths}, env="", slot=0).run()

    assert _tree(ground) == ["logs", "shared", "shared/cache"]


def test_the_root_may_be_reached_through_a_link(ground: Path) -> None:
    """An administrator may have moved the data to another disk."""
    (ground / "disk").mkdir()
    (ground / "data").symlink_to("disk")
    paths = {"root": f"{ground}/data", "envDir": f"{ground}/data/x", "dirs": ["redis"]}

    HookBench(ensure_data_dirs, stack={"dataPaths": paths}).run()

    assert _tree(ground / "disk") == ["x", "x/redis"]


@pytest.mark.usefixtures("user")
def test_data_is_left_as_it_is(ground: Path) -> None:
    """The second run finds everything there; the mode that a pod needs is set all the same."""
    bench = _bench(ground)
    bench.run()
    table = ground / "slots" / "3" / "postgres" / "table"
    table.write_text("rows")
    table.chmod(0o600)
    table.parent.chmod(0o700)

    said = bench.run()

    assert table.read_text() == "rows"
    assert (_mode(table), _mode(table.parent)) == (0o600, 0o777)
    assert "created" not in said
    assert "warning" not in said


def test_modes_of_folders_on_the_way_are_kept(ground: Path) -> None:
    """What an administrator has closed stays closed."""
    (ground / "slots").mkdir(mode=0o711)

    _bench(ground).run()

    assert _mode(ground / "slots") == 0o711


def test_a_mode_that_cannot_be_set_is_a_warning(ground: Path) -> None:
    """The directory is there; whether its mode does is for the pod to find out."""
    if os.geteuid():
        pytest.skip("needs a directory of somebody else, which only root can make")
    _bench(ground).run(mode="0755")

    with as_somebody():
        said = _bench(ground).run(owner="0:12")

    warnings = [line for line in said.splitlines() if line.startswith("warning")]
    postgres = ground / "slots" / "3" / "postgres"
    refused = "Operation not permitted"
    assert warnings[:2] == [
        f"warning: codex.ensure-data-dirs: cannot change the owner of {postgres}: {refused}",
        f"warning: codex.ensure-data-dirs: cannot change the mode of {postgres} to 0777: {refused}",
    ]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("1234", (1234, 0)), ("1234:2345", (1234, 2345)), ("root:1", (0, 1)), ("root:root", (0, 0))],
)
def test_the_owner(ground: Path, owner: str, expected: tuple[int, int]) -> None:
    """A program that does not run as root finds a directory of its own."""
    if os.geteuid():
        pytest.skip("only root can give a directory away")

    _bench(ground).run(owner=owner, mode="2750")

    found = (ground / "slots" / "3" / "redis").stat()
    assert (found.st_uid, found.st_gid) == expected
    assert stat.S_IMODE(found.st_mode) == 0o2750
    assert (ground / "slots" / "3").stat().st_uid == 0


MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"dirs": ["ok", "../up"]}, "dirs: '../up' leads upwards: name a directory below it"),
    ({}, {"dirs": ["a/../../b"]}, "dirs: 'a/../../b' leads upwards"),
    ({}, {"dirs": ["ok", "/etc"]}, "dirs: '/etc' is an absolute path"),
    ({}, {"dirs": ["ok", "a\0b"]}, r"dirs: 'a\x00b' contains a NUL"),
    ({}, {"dirs": ["ok", "."]}, "dirs: '.' names no directory: give it a name"),
    ({}, {"dirs": ["ok", ""]}, "dirs: '' names no directory"),
    ({}, {"dirs": ["ok", "x" * 256]}, "has a name of more than 255 bytes: shorten it"),
    ({}, {"dirs": ["ok"], "envDir": "../x"}, "envDir: '../x' leads upwards"),
    ({}, {"dirs": ["ok"], "envDir": "/etc"}, "envDir: '/etc' is not inside of the data root"),
    ({"envDir": "/srv"}, {"dirs": ["ok"]}, "dataPaths.envDir: '/srv' is not inside of the data"),
    ({"dirs": ["ok", "../b"]}, {}, "dataPaths.dirs: '../b' leads upwards"),
    ({"paths": ["ok", "/etc/x"]}, {}, "dataPaths.paths: '/etc/x' is not inside of the data root"),
    ({"paths": ["ok", "{root}"]}, {}, "names no directory below the data root: name one"),
    ({"paths": ["ok", "{root}/../x"]}, {}, "leads upwards"),
    ({}, {}, "no directory is named: neither dirs nor dataPaths.dirs is set"),
    ({}, {"dirs": ["ok"], "root": "/"}, "the data root / is the root of the whole machine"),
    ({}, {"dirs": ["ok"], "root": "/usr/.."}, "the data root /usr/.. is the root of the whole"),
    ({}, {"dirs": ["ok"], "root": "/a\0b"}, "the data root contains a NUL"),
    ({}, {"dirs": ["ok"], "owner": "no-such-user"}, "this machine has no user no-such-user"),
    ({}, {"dirs": ["ok"], "owner": "1:no-such"}, "this machine has no group no-such: give its"),
    ({}, {"dirs": ["ok"], "owner": "4294967295"}, "4294967295 is no number of a user"),
]


@pytest.mark.parametrize(("paths", "given", "expected"), MISTAKES)
def test_names_that_lead_elsewhere_are_refused(
    ground: Path, paths: dict[str, Any], given: dict[str, Any], expected: str
) -> None:
    """One clear line, and not one directory of the others has been created."""
    written: dict[str, Any] = {"root": str(ground), **paths}
    if "paths" in written:
        written["paths"] = [text.format(root=ground) for text in written["paths"]]

    with pytest.raises(ConfigurationError) as caught:
        HookBench(ensure_data_dirs, stack={"dataPaths": written}).run(**given)

    assert str(caught.value).startswith("codex.ensure-data-dirs: ")
    assert expected in str(caught.value)
    assert _tree(ground) == []


def test_all_mistakes_are_told_at_once(ground: Path) -> None:
    """Nobody mends one line only to be told of the next one."""
    with pytest.raises(CodexctlError) as caught:
        _bench(ground).run(dirs=["../a", "b", "/c"])

    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 3


def test_without_a_root() -> None:
    """The line names all three places that could have named it."""
    with pytest.raises(ConfigurationError, match=r"root, dataPaths.root and DATA_ROOT are not set"):
        HookBench(ensure_data_dirs).run(dirs=["redis"])


def test_without_an_environment(ground: Path) -> None:
    """A hook that is run alone may know neither environment nor slot."""
    with pytest.raises(ConfigurationError, match="neither envDir nor --env"):
        _bench(ground, env="", slot=0).run()


@pytest.mark.parametrize("mode", ["9", "", "0888", "rwx", "-1", "077777"])
def test_modes_are_octal_digits(mode: str) -> None:
    """What is no mode is refused before anything happens."""
    with pytest.raises(ValidationError, match="no mode in octal digits"):
        _bench("/").run(mode=mode)


@pytest.mark.parametrize("owner", ["a b", ":1", "1:", "a:b:c", "$(id)"])
def test_owners_are_users_and_groups(owner: str) -> None:
    """What is no owner is refused before anything happens."""
    with pytest.raises(ValidationError, match="no owner such as"):
        _bench("/").run(owner=owner)


@pytest.mark.usefixtures("user")
def test_a_root_that_is_not_there(ground: Path) -> None:
    """A path of which more than the end is missing looks like a disk that is not mounted."""
    with pytest.raises(HookError) as caught:
        _bench(ground / "disk" / "data").run()

    assert str(caught.value).startswith(f"{ground}/disk: does not exist: create it, mount the disk")
    assert caught.value.exit_code == 5
    assert _tree(ground) == []


def test_a_root_that_is_a_link_to_nowhere(ground: Path) -> None:
    """The disk behind it is missing: its data must not go to the disk of the system."""
    (ground / "data").symlink_to(ground / "disk")

    with pytest.raises(HookError, match=r"is a link to .*/disk, which does not exist: mend"):
        _bench(ground / "data").run()

    assert _tree(ground) == ["data"]


@pytest.mark.parametrize("place", ["data", "data/slots", "data/slots/3", "data/slots/3/redis"])
@pytest.mark.usefixtures("user")
def test_a_file_in_the_place_of_a_directory(ground: Path, place: str) -> None:
    """It stays, and nothing has been created, not even what comes before it."""
    (ground / place).parent.mkdir(parents=True, exist_ok=True)
    (ground / place).write_text("mine")
    before = _tree(ground)

    with pytest.raises(HookError, match=f"{place}: is no directory: move it away"):
        _bench(ground / "data").run(clean=True)

    assert (ground / place).read_text() == "mine"
    assert _tree(ground) == before


@pytest.mark.parametrize("place", [".", "data", "data/slots", "data/slots/3"])
def test_a_folder_that_is_not_writable(ground: Path, place: str) -> None:
    """The folder is named, and the user who may not write to it; nothing is half done."""
    (ground / place).mkdir(parents=True, exist_ok=True)
    (ground / place).chmod(0o555)
    before = _tree(ground)
    user = SOMEBODY if os.geteuid() == 0 else os.geteuid()

    with as_somebody(), pytest.raises(HookError) as caught:
        _bench(ground / "data").run(dirs=["one", "two"])

    assert f"{ground / place}: is not writable for user {user}: change its" in str(caught.value)
    assert len(caught.value.problems) == 1
    assert _tree(ground) == before


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("target", ["outside", "."])
@pytest.mark.parametrize("place", ["data/slots", "data/slots/3", "data/slots/3/redis"])
def test_a_planted_link_is_not_followed(ground: Path, place: str, target: str) -> None:
    """Neither one that leads outside nor one that leads to another place of the data root."""
    (ground / "outside" / "3" / "redis").mkdir(parents=True)
    (ground / "outside" / "3" / "redis" / "dump").write_text("mine")
    (ground / place).parent.mkdir(parents=True, exist_ok=True)
    (ground / place).symlink_to(ground / "outside" if target == "outside" else ".")
    before = _tree(ground)

    with pytest.raises(HookError, match=f"{place}: is a symbolic link: put a directory") as caught:
        _bench(ground / "data").run(clean=True)

    assert caught.value.exit_code == 5
    assert _tree(ground) == before


@pytest.mark.usefixtures("user")
def test_clean_empties_the_directories_and_nothing_else(ground: Path) -> None:
    """A link inside goes, what it points to stays; so do the neighbours."""
    outside = ground / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    bench = _bench(ground / "data")
    bench.run()
    slot = ground / "data" / "slots" / "3"
    (slot / "neighbour").write_text("mine")
    (slot / "redis" / "a" / "b").mkdir(parents=True)
    (slot / "redis" / "a" / "b" / "file").write_text("gone")
    (slot / "redis" / "-rf").write_text("gone")
    (slot / "redis" / "link").symlink_to(outside)
    (slot / "redis" / "a" / "up").symlink_to("../../..")
    (slot / "redis" / "dangling").symlink_to("nowhere")
    os.mkfifo(slot / "redis" / "pipe")
    (slot / "redis" / os.fsdecode(b"\xff\n")).mkdir()

    said = bench.run(clean=True)

    assert _tree(slot) == ["neighbour", "postgres", "redis"]
    assert (outside / "precious").read_text() == "mine"
    assert f"emptied {slot}/redis" in said


def test_clean_knows_no_depth(ground: Path) -> None:
    """A tree deeper than paths are long and than there are file descriptors is removed as well."""
    bench = _bench(ground)
    bench.run()
    here = os.open(ground / "slots" / "3" / "redis", os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    bench.run(clean=True)

    assert _tree(ground / "slots" / "3") == DIRS


def test_an_outer_directory_is_emptied_before_an_inner_one_is_made(ground: Path) -> None:
    """In whatever order they are named, all of them are there afterwards."""
    bench = _bench(ground)
    for _ in range(2):
        bench.run(dirs=["cache/pip", "cache", "cache/npm"], clean=True)
        assert _tree(ground / "slots" / "3") == ["cache", "cache/npm", "cache/pip"]
        (ground / "slots" / "3" / "cache" / "old").mkdir()


def test_what_cannot_be_removed_is_named(ground: Path) -> None:
    """The line says which file it is; what may be removed by nobody else stays."""
    kept = ground / "slots" / "3" / "redis" / "locked" / "file"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    for folder in (ground / "slots", ground / "slots" / "3", ground / "slots" / "3" / "redis"):
        folder.chmod(0o777)
    kept.parent.chmod(0o555)

    with as_somebody(), pytest.raises(HookError, match=f"{kept}: cannot be removed: Permission"):
        _bench(ground).run(clean=True)

    assert kept.read_text() == "mine"


def test_a_directory_that_cannot_be_read_is_not_emptied(ground: Path) -> None:
    """The line names it; what it holds stays."""
    bench = _bench(ground)
    bench.run()
    closed = ground / "slots" / "3" / "redis"
    (closed / "file").write_text("mine")
    closed.chmod(0o311)

    with as_somebody(), pytest.raises(HookError, match=f"{closed}: cannot be emptied: Permission"):
        bench.run(mode="0311", clean=True)

    assert (closed / "file").read_text() == "mine"


@pytest.fixture
def mounted(ground: Path) -> Iterator[Path]:
    """Mount a folder a second time, inside of a data directory."""
    libc = ctypes.CDLL(None, use_errno=True)
    source, target = ground / "other", ground / "slots" / "3" / "redis" / "deep" / "mounted"
    source.mkdir()
    (source / "precious").write_text("mine")
    target.mkdir(parents=True)
    bind = 4096
    if libc.mount(os.fsencode(source), os.fsencode(target), None, bind, None):
        pytest.skip(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    yield target
    assert libc.umount2(os.fsencode(target), 0) == 0


def test_clean_stays_on_its_file_system(ground: Path, mounted: Path) -> None:
    """Not even a folder of the same disk that is mounted inside is emptied; it is told of."""
    (mounted.parent / "file").write_text("gone")

    said = _bench(ground).run(clean=True)

    assert (ground / "other" / "precious").read_text() == "mine"
    assert not (mounted.parent / "file").exists()
    assert f"{mounted} is a file system of its own: it was not emptied" in said


def test_a_step_whose_time_is_over_stops(ground: Path) -> None:
    """Emptying a large directory does not go on behind the back of the next step."""
    data = ground / "slots" / "3" / "redis"
    data.mkdir(parents=True)
    (data / "file").write_text("late")

    with pytest.raises(DeadlineError, match=r"the time ran out while .*/redis was emptied"):
        _bench(ground, timeout_s=0).run(clean=True)


@pytest.mark.parametrize("clean", [False, True])
def test_two_runs_at_once(ground: Path, *, clean: bool) -> None:
    """Neither fails because the other one was faster."""
    dirs = ["a/b/c", "a/b", "a", "d"]
    for round_ in range(20):
        together = threading.Barrier(4)

        def ensure(root: Path, barrier: threading.Barrier = together) -> None:
            barrier.wait()
            _bench(root).run(dirs=dirs, clean=clean)

        root = ground / str(round_)
        (root / "slots" / "3" / "a" / "old" / "older").mkdir(parents=True)
        with ThreadPoolExecutor(4) as runs:
            list(runs.map(ensure, [root] * 4))
        left = [] if clean else ["a/old", "a/old/older"]
        assert _tree(root / "slots" / "3") == ["a", "a/b", "a/b/c", *left, "d"]


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("place", ["slots", "slots/3", "slots/3/redis", "slots/3/redis/old"])
def test_a_link_that_is_planted_meanwhile(ground: Path, place: str) -> None:
    """Whenever the link appears, nothing outside is created, changed or removed."""
    outside = ground / "outside"
    (outside / "3" / "redis" / "old").mkdir(parents=True)
    (outside / "precious").write_text("mine")
    outside.chmod(0o700)
    before = _tree(outside)
    root = ground / "data"
    victim = root / place
    stop = threading.Event()

    def swap() -> None:
        away = ground / "away"
        for _ in range(SWAPS):
            with suppress(OSError):
                victim.rename(away)
                victim.symlink_to(outside)
            with suppress(OSError):
                victim.unlink()
            with suppress(OSError):
                away.rename(victim)
        stop.set()

    swapper = threading.Thread(target=swap)
    swapper.start()
    while not stop.is_set():
        with suppress(CodexctlError):
            _bench(root).run(dirs=["redis", "redis/old/x"], clean=True)
    swapper.join()

    assert _tree(outside) == before
    assert _mode(outside) == 0o700
