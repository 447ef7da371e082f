"""What is to be done so that the other side is as ours, and whose work that destroys (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.slots.sync.history import Nature, nature_of
from codexctl_tasks.slots.sync.manifest import Kind, parents_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from codexctl_tasks.slots.sync.manifest import Entry

    Tree = Mapping[bytes, Entry]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """All that is known about both sides."""

    local: Tree
    remote: Tree
    staged: Tree
    """What has arrived before and was not moved into place."""
    bases: Sequence[Tree]
    """What the last sync left; of one that was broken off what it found and what it wanted; none:
    there was no sync."""
    read: Collection[bytes] = frozenset()
    """Files of the other side that had to be read."""
    ignored: Collection[bytes] = frozenset()
    """Paths of the other side alone that git ignores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What is to be done, in this order; paths are sorted."""

    work: tuple[bytes, ...] = ()
    """What somebody has changed on the other side since the last sync."""
    is_news: bool = True
    """There is something on our side that the last sync did not bring."""
    send: tuple[bytes, ...] = ()
    """Files, links and folders that are not staged yet."""
    place: tuple[bytes, ...] = ()
    """What is moved from the staging folder into place: whole folders where there is none yet."""
    remove: tuple[bytes, ...] = ()
    """Files and links."""
    remove_folders: tuple[bytes, ...] = ()
    """Inner ones first; one that is not empty stays."""
    chmod: tuple[bytes, ...] = ()
    """Files that differ in nothing but the mode."""
    unstage: tuple[bytes, ...] = ()
    """What was staged and is not wanted any more."""
    same: int = 0
    """Files and links that are as they should be."""

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.place or self.remove or self.remove_folders or self.chmod or self.unstage)


def compare(sides: Sides, *, overwrite: bool) -> Difference:
    """
    Return what is to be done; with foreign work and without *overwrite* only what that is.

    Work stays as it is when our side has nothing new: then nothing is to be done.
    """
    work = tuple(sorted(_work(sides)))
    is_news = len(sides.bases) != 1 or any(_news(sides))
    if work and not overwrite:
        return Difference(work=work, is_news=is_news)
    wanted = [path for path in sides.local if _is_wanted(path, sides)]
    modes = {path for path in wanted if _differs_in_mode(path, sides)}
    sent = sorted(path for path in wanted if path not in modes)
    needed = {each for path in sent for each in (path, *parents_of(path))}
    gone = _gone(sides, overwrite=overwrite) | {p for p in sent if _is_in_the_way(p, sides)}
    present = sum(1 for e in sides.local.values() if e.kind is not Kind.FOLDER)
    changed = sum(1 for path in wanted if sides.local[path].kind is not Kind.FOLDER)
    return Difference(
        work=work,
        is_news=is_news,
        send=tuple(p for p in sent if not sides.local[p].is_same(sides.staged.get(p))),
        place=tuple(_placed(sent)),
        remove=tuple(sorted(p for p in gone if sides.remote[p].kind is not Kind.FOLDER)),
        remove_folders=tuple(sorted(_gone_folders(sides, overwrite=overwrite), reverse=True)),
        chmod=tuple(sorted(modes)),
        unstage=tuple(sorted(path for path in sides.staged if path not in needed)),
        same=present - changed,
    )


def in_question(tree: Tree, others: Iterable[Tree]) -> list[bytes]:
    """Return the files of a tree whose digest decides whether they are as in one of the others."""
    counterparts = [each for each in others if each]
    return [
        path
        for path, entry in tree.items()
        if entry.kind is Kind.FILE
        and not entry.digest
        and _has_same_size(path, entry, counterparts)
        and nature_of(path) is not Nature.ADDED
    ]


def _has_same_size(path: bytes, entry: Entry, counterparts: Iterable[Tree]) -> bool:
    for each in counterparts:
        other = each.get(path)
        if other is not None and other.size == entry.size and other.kind is Kind.FILE:
            return True
    return False


def _work(sides: Sides) -> Iterable[bytes]:
    """Yield what somebody has made, changed or deleted on the other side."""
    for path, found in sides.remote.items():
        if found.digest and found.is_same(sides.local.get(path)):
            continue
        if found.kind in (Kind.FOLDER, Kind.OTHER) or path in sides.ignored:
            if _blocks(path, sides):
                yield path
        elif nature_of(path) in (Nature.SOURCE, Nature.HISTORY) and not any(
            found.is_same(base.get(path)) for base in sides.bases
        ):
            yield path
    for path in _deleted(sides):
        yield path


def _deleted(sides: Sides) -> Iterable[bytes]:
    """Yield what is missing there and should not be; a sync that was cut may have removed it."""
    for path, known in sides.bases[0].items() if sides.bases else ():
        ours = sides.local.get(path)
        if (
            path not in sides.remote
            and ours is not None
            and Kind.FOLDER not in (ours.kind, known.kind)
            and nature_of(path) is Nature.SOURCE
            and all(known == base.get(path) for base in sides.bases)
        ):
            yield path


def _blocks(path: bytes, sides: Sides) -> bool:
    """Tell whether something that is to stay stands where ours needs another kind of thing."""
    if sides.remote[path].kind is Kind.FOLDER:
        return False
    ours = (sides.local.get(each) for each in (*parents_of(path), path))
    return any(each is not None and each.kind is not Kind.FOLDER for each in ours)


def _news(sides: Sides) -> Iterable[bool]:
    """Yield for each path whether our side has changed since the last sync."""
    [base] = sides.bases
    for path, ours in sides.local.items():
        if not ours.is_same(known := base.get(path)):
            nature = nature_of(path)
            # An index changes whenever git looks at files.
            yield known is None if nature is Nature.ADDED else nature is not Nature.REPLACED
    yield from (path not in sides.local and nature_of(path) is Nature.SOURCE for path in base)


def _is_wanted(path: bytes, sides: Sides) -> bool:
    """Tell whether the other side is to get what we have at a path."""
    ours, theirs = sides.local[path], sides.remote.get(path)
    if theirs is None or ours.is_same(theirs):
        return theirs is None
    match nature_of(path):
        case Nature.ADDED if ours.kind is Kind.FILE:
            return theirs.size != ours.size
        case Nature.REPLACED if len(sides.bases) == 1:
            return not ours.is_same(sides.bases[0].get(path))
    return True


def _differs_in_mode(path: bytes, sides: Sides) -> bool:
    ours, theirs = sides.local[path], sides.remote.get(path)
    if theirs is None or ours.kind is not Kind.FILE or theirs.kind is not Kind.FILE:
        return False
    return bool(ours.digest) and (ours.digest, ours.size) == (theirs.digest, theirs.size)


def _is_in_the_way(path: bytes, sides: Sides) -> bool:
    """Tell whether something must be removed first: a file alone is replaced in one step."""
    ours, theirs = sides.local[path], sides.remote.get(path)
    if theirs is None or theirs.kind is Kind.FOLDER:
        return False
    return not ours.kind is theirs.kind is Kind.FILE


def _gone(sides: Sides, *, overwrite: bool) -> set[bytes]:
    """Return files and links of the other side that ours does not have."""
    found = set()
    for path, theirs in sides.remote.items():
        if path in sides.local or theirs.kind is Kind.FOLDER:
            continue
        nature = nature_of(path)
        stays = path in sides.ignored or nature in (Nature.ADDED, Nature.FOREIGN)
        is_known = any(path in base for base in sides.bases)
        if _blocks(path, sides) or (not stays and (is_known or overwrite)):
            found.add(path)
    return found


def _gone_folders(sides: Sides, *, overwrite: bool) -> Iterable[bytes]:
    for path, theirs in sides.remote.items():
        ours = sides.local.get(path)
        if theirs.kind is Kind.FOLDER and (ours is None or ours.kind is not Kind.FOLDER):
            is_known = any(path in base for base in sides.bases)
            if ours is not None or is_known or overwrite:
                yield path


def _placed(sent: Sequence[bytes]) -> Iterable[bytes]:
    """Yield the outermost paths that the other side has not got as a folder."""
    moved: set[bytes] = set()
    for path in sent:
        if not any(parent in moved for parent in parents_of(path)):
            moved.add(path)
            yield path
