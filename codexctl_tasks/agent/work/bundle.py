"""
Take the work of an agent out of its pod, as a git bundle against the commit that it began with.

In the pod the agent owns everything, git's settings and perhaps git itself: what comes from there
is a file of unknown content and limited size, which `verification` looks at. It is made in a
repository beside the workspace that borrows its objects, so that neither hooks nor the index nor
locks of the workspace count, and nothing in it is changed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from codexctl_tasks.agent.work.branches import is_name
from codexctl_tasks.agent.work.verification import MOST_BUNDLE_BYTES, sha_format
from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.world.scripting import Container, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.world.cluster import Cluster

FILE = "work.bundle"
"""In the folder that jobs pass on."""
AUTHOR, ADDRESS = "codexctl agent", "codexctl-agent@users.noreply.github.com"
_NO_WORK, _TOO_LARGE = 10, 11
_SLACK_BYTES = 1000
"""Of what comes with the bundle."""

SCRIPT = """\\
set -eu
folder=$1 state=$2 base=$3 branch=$4 most=$5 format=$6 message=$7
export LC_ALL=C HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
export GIT_AUTHOR_NAME=$8 GIT_AUTHOR_EMAIL=$9 GIT_COMMITTER_NAME=$8 GIT_COMMITTER_EMAIL=$9
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_EXTERNAL_DIFF GIT_TRACE
fail() { echo "$1" >&2; exit 1; }
command -v git >/dev/null || fail 'git is missing in the image'
harmless() {
  git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.sshCommand=false \\
    -c core.untrackedCache=false -c credential.helper= -c protocol.allow=never \\
    -c core.attributesFile=/dev/null -c core.logAllRefUpdates=false -c gc.auto=0 \\
    -c 'safe.directory=*' "$@"
}
cd -- "$folder"
git_dir=$(harmless rev-parse --absolute-git-dir) || fail "$folder is no checkout any more"
head=$(harmless rev-parse --verify --quiet 'HEAD^{commit}') || fail 'it is on no commit'
if [ -n "$(harmless ls-files --unmerged | head -n 1)" ]; then
  fail 'the agent left a merge with conflicts behind'
fi
work=$state.work
rm -rf -- "$work"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 129' HUP INT TERM
mkdir -p -- "${work%/*}"
harmless init --bare --quiet --template= --object-format="$format" --initial-branch=none "$work"
mkdir -p "$work/info"
printf '/.codexctl/\\n' > "$work/info/exclude"
printf '%s\\n' "$git_dir/objects" > "$work/objects/info/alternates"
if [ -f "$git_dir/shallow" ]; then cp "$git_dir/shallow" "$work/shallow"; fi
ours() { GIT_DIR=$work GIT_WORK_TREE=$folder harmless "$@"; }
ours cat-file -e "$base^{commit}" || fail "the commit $base is gone, where the agent began"
ours read-tree "$head"
ours add --all . >/dev/null
tree=$(ours write-tree)
if [ "$tree" != "$(ours rev-parse "$head^{tree}")" ]; then
  head=$(printf '%s\\n' "$message" | ours commit-tree "$tree" -p "$head")
fi
if [ "$head" = "$base" ]; then exit 10; fi
ours update-ref "refs/heads/$branch" "$head"
ours bundle create --quiet "$work/bundle" "^$base" "refs/heads/$branch"
if [ "$(wc -c < "$work/bundle")" -gt "$most" ]; then exit 11; fi
cat "$work/bundle"
"""
"""Arguments: the folder, where our own repository may be, the base, the branch, bytes, the kind of
hashes, and message, name and address for what was not committed."""


class Place(Protocol):
    """A container that sees a workspace."""

    @property
    def namespace(self) -> str:
        """Of the pod."""
        ...

    @property
    def pod(self) -> str:
        """Its name."""
        ...

    @property
    def container(self) -> str:
        """Empty: the pod's default one."""
        ...

    @property
    def folder(self) -> str:
        """Of the workspace, in the container."""
        ...

    @property
    def state(self) -> str:
        """A path beside it on the same volume, where there is room."""
        ...


class WorkError(CodexctlError):
    """The work of an agent cannot be taken out of its pod as it is."""


class _Limit:
    """Takes a stream of limited size."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large()


def fetch(
    place: Place,
    cluster: Cluster,
    base: str,
    branch: str,
    message: str,
    *,
    file: Path,
    author: tuple[str, str] = (AUTHOR, ADDRESS),
    most_bytes: int = MOST_BUNDLE_BYTES,
    limit_s: float = math.inf,
) -> Path | None:
    """
    Write the work of an agent into a file; None: there is none.

    What the agent has not committed becomes one more commit, in the bundle alone.

    Args:
        place: The workspace.
        cluster: It leads there.
        base: Commit that the agent began with, as it was recorded outside of the pod.
        branch: Name of the one branch in the bundle.
        message: Of the commit of what the agent has not committed.
        file: What is written; whatever it held is gone.
        author: Name and address, of the same commit.
        most_bytes: Of the bundle.
        limit_s: What takes longer is a `ClusterError`.

    Raises:
        WorkError: It is too large, or git in the pod cannot make a bundle of it.
        BrokenStreamError: The stream was cut; the same call may be repeated.
        ClusterError: The pod cannot be reached.
    """
    if not is_name(branch):
        raise ConfigurationError("branch", f"{branch!r} is no plain name", "choose another")
    arguments = (place.folder, place.state, base, branch, str(most_bytes), sha_format(base))
    where = Container(place.namespace, place.pod, place.container)
    words, limit = (*arguments, message, *author), _Limit(most_bytes + _SLACK_BYTES)
    file.unlink(missing_ok=True)
    printed, ended = run_script(cluster, where, SCRIPT, *words, take=limit.take, limit_s=limit_s)
    if ended.exit_code == _NO_WORK:
        return None
    if ended.exit_code == _TOO_LARGE:
        raise _too_large()
    if ended.exit_code:
        said = " ".join(ended.stderr.split())[-300:] or f"exit code {ended.exit_code}"
        what = f"no bundle could be made of it: {said}"
        raise WorkError("the agent's work", what, "look into the workspace")
    partial = file.with_name(f".{file.name}")
    try:
        partial.write_bytes(printed)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file


def _too_large() -> WorkError:
    what = "is too large to be published"
    return WorkError("the agent's work", what, "ask for less at once; see .gitignore")
