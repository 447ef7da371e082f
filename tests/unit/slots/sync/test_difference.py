"""What a sync would do, and whose work it would destroy."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.slots.sync.difference import Difference, Sides, compare, in_question
from codexctl_tasks.slots.sync.history import Nature, is_carried, nature_of
from codexctl_tasks.slots.sync.manifest import Entry, Kind, Manifest

FOLDER = Entry(Kind.FOLDER)


def file(content: str, mode: int = 0o644) -> Entry:
    """Return a file; its content is its digest."""
    return Entry(Kind.FILE, mode, len(content), content)


def tree(**entries: str | Entry) -> Manifest:
    """Return a tree; ``__`` stands for a slash, and each folder on the way is there."""
    found: Manifest = {}
    for name, entry in entries.items():
        path = name.replace("__", "/").encode()
        for end in range(len(path)):
            if path[end : end + 1] == b"/":
                found[path[:end]] = FOLDER
        found[path] = file(entry) if isinstance(entry, str) else entry
    return found


def look(
    local: Manifest,
    remote: Manifest,
    base: Manifest | None = None,
    *,
    overwrite: bool = False,
    **more: Any,
) -> Difference:
    """Compare; *base*: what the last sync left, None: there was none."""
    bases = more.pop("bases", [] if base is None else [base])
    staged = more.pop("staged", {})
    sides = Sides(local=local, remote=remote, staged=staged, bases=bases, **more)
    return compare(sides, overwrite=overwrite)


def test_a_new_folder_is_moved_as_one() -> None:
    """The first sync moves what stands at the top, however much is below."""
    found = look(tree(a__b__c="1", a__d="2", e="3"), {})

    assert found.send == (b"a", b"a/b", b"a/b/c", b"a/d", b"e")
    assert found.place == (b"a", b"e")


def test_only_what_differs_is_sent() -> None:
    """An equal file stays, a changed one is sent, one of another mode gets that."""
    base = tree(same="1", changed="1", mode="1")
    local = tree(same="1", changed="2", mode=file("1", 0o755))

    found = look(local, base, base)

    assert (found.send, found.place, found.chmod, found.same) == (
        (b"changed",),
        (b"changed",),
        (b"mode",),
        1,
    )


def test_what_has_arrived_before_is_not_sent_again() -> None:
    """Whole files in the staging folder are used, half ones sent again, others thrown away."""
    staged = tree(whole="1", half="2", old="3")

    found = look(tree(whole="1", half="22"), {}, staged=staged)

    assert (found.send, found.place, found.unstage) == ((b"half",), (b"half", b"whole"), (b"old",))


def test_what_is_staged_below_a_known_folder_is_kept() -> None:
    """The folder on the way to it is not thrown away, though it is none that is sent."""
    base = tree(a__x="1")

    found = look(tree(a__x="1", a__y="2"), base, base, staged=tree(a__y="2", a__z="3"))

    assert (found.send, found.place, found.unstage) == ((), (b"a/y",), (b"a/z",))


def test_what_a_cut_sync_has_removed_is_no_work() -> None:
    """It was about to put something else there."""
    before, after = tree(a__x="1", b="1"), tree(a="2", b=Entry(Kind.LINK, digest="x"))

    found = look(after, {}, bases=[before, after])

    assert (found.work, found.place) == ((), (b"a", b"b"))


def test_work_is_named_and_nothing_is_done() -> None:
    """Changed, made and deleted there, with news from here: nothing is to be done."""
    base = tree(changed="1", deleted="1", ours="1")

    found = look(
        tree(changed="1", deleted="1", ours="2"), tree(changed="2", made="1", ours="1"), base
    )

    assert found == Difference(work=(b"changed", b"deleted", b"made"), is_news=True)
    assert found.is_nothing


def test_work_stays_when_nothing_is_new() -> None:
    """The same sources as last time are no reason to touch a session's work."""
    base = tree(a="1")

    assert look(base, tree(a="2"), base) == Difference(work=(b"a",), is_news=False)


def test_overwriting_makes_both_the_same() -> None:
    """Asked for, everything is as it is here; whose work it was is still told."""
    base = tree(changed="1", deleted="1")

    found = look(base, tree(changed="2", made="1"), base, overwrite=True)

    assert found.work == (b"changed", b"deleted", b"made")
    assert (found.place, found.remove) == ((b"changed", b"deleted"), (b"made",))


def test_the_same_change_on_both_sides_is_no_work() -> None:
    """What a session has pushed and comes back with the checkout is there already."""
    found = look(tree(a="2", b="1"), tree(a="2", b="1"), tree(a="1", b="1"))

    assert (found.work, found.send, found.same) == ((), (), 2)


@pytest.mark.parametrize("state", ["1", "2"])
def test_a_sync_that_was_cut_is_not_taken_for_work(state: str) -> None:
    """What it had found and what it wanted are both ours, whichever is there."""
    before, after = tree(a="1", b="1"), tree(a="2", c="2")

    found = look(tree(a="3", c="2"), tree(a=state, b="1"), bases=[before, after])

    assert (found.work, found.place, found.remove) == ((), (b"a", b"c"), (b"b",))


def test_what_git_ignores_there_stays() -> None:
    """Caches and installed packages of a session are neither work nor removed."""
    base = tree(package__a="1")
    remote = tree(package__a="1", package__cache="x")

    found = look({}, remote, base, ignored={b"package/cache"})

    assert (found.work, found.remove, found.remove_folders) == (
        (),
        (b"package/a",),
        (b"package",),
    )


def test_what_stands_in_the_way_is_removed_first() -> None:
    """A file where a folder is to be, a folder where a file is to be, a link of another kind."""
    link = Entry(Kind.LINK, digest="x")
    base = tree(to_folder="1", to_file__x="1", link=link)

    found = look(tree(to_folder__x="1", to_file="1", link="1"), base, base)

    assert found.remove == (b"link", b"to_file/x", b"to_folder")
    assert found.remove_folders == (b"to_file",)
    assert found.place == (b"link", b"to_file", b"to_folder")


def test_ignored_files_below_what_becomes_a_file_are_work() -> None:
    """They would have to be removed: that is asked for first."""
    base = tree(a__x="1")
    remote = tree(a__x="1", a__cache="1")

    assert look(tree(a="1"), remote, base, ignored={b"a/cache"}).work == (b"a/cache",)
    forced = look(tree(a="1"), remote, base, ignored={b"a/cache"}, overwrite=True)
    assert forced.remove == (b"a/cache", b"a/x")


def test_an_index_and_objects_of_git_are_no_work() -> None:
    """Git writes them by itself; ours replace theirs only when ours have changed."""
    names = {"index": b".git/index", "theirs": b".git/objects/aa/1", "log": b".git/logs/HEAD"}
    base = {names["index"]: file("1"), b".git/objects/bb/1": file("2")}
    remote = {names["index"]: file("2"), names["theirs"]: file("x"), names["log"]: file("y")}

    unchanged = look(base, remote, base)
    changed = look({**base, names["index"]: file("3")}, remote, base)

    assert (unchanged.work, unchanged.send, unchanged.remove) == ((), (b".git/objects/bb/1",), ())
    assert changed.send == (b".git/index", b".git/objects/bb/1")


@pytest.mark.parametrize("name", ["HEAD", "refs/heads/main"])
def test_a_commit_of_a_session_is_work(name: str) -> None:
    """A branch that has moved there holds commits that nobody has pushed yet."""
    path = f".git/{name}".encode()

    found = look({path: file("3")}, {path: file("2")}, {path: file("1")})

    assert found.work == (path,)


def test_only_files_of_the_same_size_need_a_digest() -> None:
    """Reading everything for nothing would take longer than sending it."""
    unknown = Entry(Kind.FILE, 0o644, 3, "")
    ours = {b"new": unknown, b"longer": unknown, b"same": unknown, b"known": file("abc")}

    assert in_question(ours, [tree(longer="1", same="abc", known="abc")]) == [b"same"]


@pytest.mark.parametrize(
    ("path", "nature"),
    [
        (b"src/a.py", Nature.SOURCE),
        (b".gitignore", Nature.SOURCE),
        (b".git/config", Nature.REPLACED),
        (b".git/refs/remotes/origin/main", Nature.REPLACED),
        (b".git/refs/heads/objects/aa/x", Nature.HISTORY),
        (b".git/objects/pack/pack-1.idx", Nature.ADDED),
        (b".git/modules/lib/objects/aa/1", Nature.ADDED),
        (b"lib/.git/HEAD", Nature.HISTORY),
        (b".git/hooks/pre-commit", Nature.FOREIGN),
        (b".git/index.lock", Nature.FOREIGN),
    ],
)
def test_what_belongs_to_git_is_known_by_its_path(path: bytes, nature: Nature) -> None:
    """Each part of a .git is treated by what it is."""
    assert nature_of(path) is nature


@pytest.mark.parametrize(
    "path",
    [
        b".git/hooks/x",
        b".git/refs/heads/a.lock",
        b".git/objects/pack/tmp_pack_1",
        b".git/FETCH_HEAD",
    ],
)
def test_what_is_of_this_machine_is_not_carried(path: bytes) -> None:
    """Hooks, locks and what git is just writing stay here."""
    assert not is_carried(path)
