"""What the other side tells: any name is read as it is, and what is not told is not believed."""

from __future__ import annotations

import gzip

import pytest

from codexctl_tasks.slots.sync.listing import (
    Survey,
    digest_of,
    entries_of,
    read_digests,
    read_odd_digests,
    read_survey,
    trusted_digests,
)
from codexctl_tasks.slots.sync.manifest import (
    Entry,
    Kind,
    read_manifest,
    write_changes,
    write_manifest,
)

TOKEN = "5f3c"
FILE = Entry(Kind.FILE, 0o644, 5, "d", 100)
STATS = b"81a4 5 7 100 100"
OLDER = b"81a4 5 7 99 99"
LOOKS = b"90\n" + STATS + b" ./a b\xff\n" + OLDER + b" ./again\n95\n" + STATS + b" ./again\n"


def _told(*parts: bytes) -> bytes:
    return gzip.compress(f"\n{TOKEN}\n".encode().join(parts))


def test_a_survey_is_read_with_any_name() -> None:
    """Line feeds, blanks and bytes that are no text do not change where a name ends."""
    listing = b"41ed 0 1 1 1 .\n" + STATS + b" ./a b\xff\na1ff 3 9 1 1 ./link\n"
    odd = STATS + b"\n./line\n81a4 9 9 9 9 ./forged\0\0"
    links = b"./link\0to\nthere\0"

    survey = read_survey(
        _told(b"99\n", listing, odd + links, b"", b"", LOOKS, b"S", b"", b"", b"done"), TOKEN
    )

    assert survey.stats == {
        b"a b\xff": STATS,
        b"link": b"a1ff 3 9 1 1",
        b"line\n81a4 9 9 9 9 ./forged": STATS,
    }
    assert (survey.now_s, survey.look_records, survey.manifests) == (99, 5, (b"S", b"", b""))
    assert survey.looks == {b"a b\xff": (STATS, 90), b"again": (STATS, 95)}
    entries = entries_of(survey.stats, survey.links, {b"a b\xff": "d"})
    assert entries[b"a b\xff"] == FILE
    assert entries[b"link"] == Entry(Kind.LINK, digest=digest_of(b"to\nthere"))


def test_half_a_survey_is_no_survey() -> None:
    """Without its end nothing of it counts: missing files would be taken for deleted."""
    whole = _told(b"99", *[b""] * 8, b"done")
    assert read_survey(whole, TOKEN).now_s == 99

    with pytest.raises(ValueError, match="don"):
        read_survey(_told(b"99", *[b""] * 8, b"don"), TOKEN)
    for part in (whole[:-1], whole[:-9], b"", b"sh: not found", whole[:12] + bytes(9)):
        with pytest.raises(ValueError, match=r"\S"):
            read_survey(part, TOKEN)


def test_a_survey_without_end_is_refused() -> None:
    """A pod could send a small file that would fill the memory of whoever unpacks it."""
    bomb = gzip.compress(bytes(2**20))
    assert len(bomb) < 2000

    with pytest.raises(ValueError, match="no end"):
        read_survey(bomb, TOKEN, longest=2**19)


@pytest.mark.parametrize(
    ("now", "then", "known", "is_trusted"),
    [
        (STATS, STATS, FILE, True),
        (b"81a4 5 7 100 999", STATS, FILE, False),  # ctime
        (STATS, STATS, Entry(Kind.FILE, 0o644, 5, "d", 99), False),  # changed during the sync
        (STATS, b"", FILE, False),
        (b"81a4 5 7 199 199", b"81a4 5 7 199 199", Entry(Kind.FILE, 0o644, 5, "d", 199), False),
    ],
)
def test_only_untouched_files_are_not_hashed(
    now: bytes, then: bytes, known: Entry, *, is_trusted: bool
) -> None:
    """A file that may have changed since is read again, also one of the last second."""
    survey = Survey(300, {b"a": now}, {}, {}, {}, looks={b"a": (then, 200)})

    assert trusted_digests(survey, {b"a": known}) == ({b"a": "d"} if is_trusted else {})


def test_digests_are_read_with_any_name() -> None:
    """Names that sha256sum would escape come in a way of their own."""
    assert read_digests(b"aa  ./x  ./y\nbb  ./z\n") == {b"x  ./y": "aa", b"z": "bb"}
    assert read_odd_digests(b"aa ./x\n\\ ./y\0") == {b"x\n\\ ./y": "aa"}


def test_a_manifest_is_read_as_it_was_written() -> None:
    """Every field and every name survives."""
    manifest = {
        b"a b\n\xff": FILE,
        b"folder": Entry(Kind.FOLDER),
        b"link": Entry(Kind.LINK, digest="d"),
        b"unknown": Entry(Kind.FILE, 0o755, 10**12, "", -5),
    }

    found = read_manifest(write_manifest(manifest))

    assert found == manifest
    assert [each.mtime_s for each in found.values()] == [100, 0, 0, -5]


def test_changes_are_added_to_a_manifest() -> None:
    """What is appended makes it the new one, whatever it was: also what is gone and comes back."""
    old = {b"same": FILE, b"gone": FILE, b"touched": FILE, b"other": Entry(Kind.LINK, digest="d")}
    touched = Entry(FILE.kind, FILE.mode, FILE.size, FILE.digest, FILE.mtime_s + 1)
    new = {b"same": FILE, b"touched": touched, b"other": FILE, b"new\n": Entry(Kind.FOLDER)}

    changes = write_changes(old, new)

    assert changes.count(b"\0") == 4
    there = write_manifest(old) + changes
    assert read_manifest(there) == new
    assert read_manifest(there)[b"touched"].mtime_s == touched.mtime_s
    assert read_manifest(there + write_changes(new, old)) == old
    assert write_changes(new, new) == b""


def test_an_edited_manifest_is_refused() -> None:
    """Nonsense is no basis for a decision."""
    with pytest.raises(ValueError, match="not enough values"):
        read_manifest(b"nonsense\0")
