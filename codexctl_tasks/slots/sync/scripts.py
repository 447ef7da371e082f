"""
What is run inside of the pod: POSIX sh with find, stat, xargs, sha256sum and tar, nothing else.

One way for every image that has a shell, busybox included; Python would be a second one, for some
images. All thinking is done on our side: the other one lists, hashes, unpacks, and moves what it is
told to. Names come quoted or with a NUL, never as lines.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.slots.sync.difference import Difference
    from codexctl_tasks.slots.sync.manifest import Entry

STATE = ".codexctl"
"""Folder at the top of the volume for what we remember and what has not been moved into place."""
STAGING, PLAN, BEFORE = "staging", "plan.sh", "before.new"
AFTER, CHANGES = "after.new", "changes.new"
ENDED_EARLY = 75
"""Exit code: the stream was cut between two files."""
_MOST_NAMES, _MOST_BYTES = 500, 60_000
"""In one command; Linux allows 128 KiB in one argument and some MiB in all."""

_START = """\
export LC_ALL=C
NL='
'
look() { stat -c '%f %s %i %Y %Z %n' "$@"; }
look_at_all() {
  find . -path ./.codexctl -prune -o ! -path "*$NL*" -exec stat -c '%f %s %i %Y %Z %n' {} +
}
"""

SURVEY = (
    _START
    + """\
token=$1 target=$2 state=$3
part() { printf '\\n%s\\n' "$token"; }
list() {
  cd -- "$1" 2>/dev/null || { part; part; return; }
  look_at_all
  part
  find . -path ./.codexctl -prune -o \\( -type l -o -path "*$NL*" \\) -exec sh -c '
    for f do
      case $f in *"$0"*) stat -c "%f %s %i %Y %Z" "$f"; esac
      printf "%s\\0" "$f"
      if [ -L "$f" ]; then t=$(readlink "$f"; echo x); printf %s "${t%?x}"; fi
      printf "\\0"
    done' "$NL" {} +
  part
}
for each in find stat xargs sha256sum tar gzip head; do
  command -v "$each" >/dev/null || { echo "$each is missing" >&2; exit 127; }
done
for each in "$target" "${state%/*}" "$state"; do
  if [ -L "$each" ]; then echo "$each is a symbolic link" >&2; exit 3; fi
done
{
  date +%s
  part
  (list "$target")
  (list "$state/staging")
  for each in stats synced before after; do
    if [ -f "$state/$each" ]; then cat -- "$state/$each"; fi
    part
  done
  printf done
} | gzip -1
"""
)
"""Arguments: a token that separates the parts, the folder, and where its state is. Prints a gzip
file, a quarter of what 20,000 files would be."""

HASH = 'cd -- "$1" && head -c "$2" | xargs -0 sha256sum --'
"""Arguments: the folder, the bytes on stdin. Stdin: ``./PATH`` with a NUL each."""
HASH_ODD = """\
cd -- "$1" && head -c "$2" | xargs -0 sh -c \\
  'for f do h=$(sha256sum < "$f") && printf "%s %s\\0" "${h%% *}" "$f"; done' sh
"""

PROBE = "echo begun; cat >/dev/null; echo arrived"
"""Stdin: anything, to see how long it takes; without an end of stdin it never ends."""

# Whoever ends without having read all of its stdin hangs in the API server: cat reads the rest. And
# containerd closes stdin once nobody holds stdout any more, with exit code 0: the shell keeps it.
# What a sync found and wanted counts when all has arrived: a full volume may have cut it. It is
# told by what differs from what the last sync left; without a word on what was found, it was that.
RECEIVE = (
    _START
    + """\
set -eu
target=$1 state=$2 how=$3 count=$4
mkdir -p -- "$target" "$state/staging" && cd -- "$state" && rm -f ./*.new plan.sh || {
  code=$?
  if [ "$count" -gt 0 ]; then head -c "$count"; else cat; fi >/dev/null
  exit "$code"
}
if [ "$how" = gzip ]; then
  { gzip -dc; cat >/dev/null; } | tar -xopf -
elif [ "$count" -gt 0 ]; then
  head -c "$count" | { tar -xopf - || { code=$?; cat >/dev/null; exit "$code"; }; }
else
  tar -xopf - || { code=$?; cat >/dev/null; exit "$code"; }
  cat >/dev/null
fi
if [ ! -f plan.sh ]; then echo 'the stream ended too early' >&2; exit 75; fi
if [ -f changes.new ]; then cat synced changes.new > after.new; fi
if [ ! -f before.new ]; then cp synced before.new; fi
mv -f before.new before
mv -f after.new after
. ./plan.sh
cd -- "$target"
looks > "$state/stats.new"
cd -- "$state"
mv -f stats.new stats
mv -f after synced
rm -rf before changes.new plan.sh staging
"""
)
"""Arguments: the folder and where its state is, absolute; ``gzip`` or ``plain``; of the latter the
number of bytes where stdin cannot be closed, as tar reads on behind the end of an archive, else 0.
Stdin: a tar archive with a plan."""


def plan(
    difference: Difference, local: Mapping[bytes, Entry], looks: Sequence[bytes] | None
) -> bytes:
    """
    Return the script that moves what has arrived into place; ``$target`` is where.

    *looks*: The files that it looks at afterwards, and notes that behind earlier looks; None: it
    looks at all that is there.
    """
    staged, target = b'"staging"/', b'"$target"/'
    lines = [
        *_commands(b"rm -rf --", staged, difference.unstage),
        *_commands(b"rm -f --", target, difference.remove),
        *_commands(b"rmdir --", target, difference.remove_folders, b"2>/dev/null || :"),
    ]
    for folder, paths in _by_folder(difference.place).items():
        into = target + _quoted(folder) + b"/" if folder else target
        lines += _commands(b"mv -f --", staged, paths, into)
    modes: dict[int, list[bytes]] = {}
    for path in difference.chmod:
        modes.setdefault(local[path].mode, []).append(path)
    for mode, paths in modes.items():
        lines += _commands(f"chmod {mode:o} --".encode(), target, paths)
    body = [b"date +%s", b"look_at_all"]
    if looks is not None:
        newly = _commands(b"look", b"./", looks, b"|| :")
        body = [b'cat -- "$state/stats"', b"date +%s", *newly]
    return b"\n".join([*lines, b"looks() {", *body, b"}", b""])


def _by_folder(paths: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for path in paths:
        found.setdefault(path.rpartition(b"/")[0], []).append(path)
    return found


def _commands(
    command: bytes, below: bytes, paths: Sequence[bytes], end: bytes = b""
) -> Iterator[bytes]:
    """Yield a command for as many paths at once as fit."""
    words: list[bytes] = []
    size = 0
    for path in paths:
        words.append(below + _quoted(path))
        size += len(words[-1])
        if len(words) == _MOST_NAMES or size > _MOST_BYTES:
            yield b" ".join([command, *words, end])
            words, size = [], 0
    if words:
        yield b" ".join([command, *words, end])


def _quoted(path: bytes) -> bytes:
    return shlex.quote(path.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
