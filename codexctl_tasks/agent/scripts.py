"""
What is run inside of the pod: POSIX sh, busybox included, with tar, stat and setsid.

A run has a folder on the volume, numbered; whoever makes the folder has the run. Its launcher
outlives the client that started it: it keeps the deadline, looks for the file ``cancel``, and ends
all that the agent has started before it writes ``rc``.

The agent owns that folder, too: what it could have written is read as long as it is a plain file,
and no further than an honest one goes.
"""

from __future__ import annotations

RUNS, HOME = "runs", "agent"
"""Folders beside what source sync remembers: of the runs, and of the agent itself."""
STARTED, BUSY = "started", "busy"
LAST = "last"
"""Stands for the thread of the last run."""
OVER, RUNS_ON, DEAD, GONE = "over", "runs", "dead", "gone"
"""What a look at a run tells; DEAD: its launcher was killed; GONE: it has no folder."""
CUT = 75
"""Exit code: the stream ended too early."""
MOST_BYTES = 4 * 2**20
"""Of events in one look."""
MOST_STDERR_BYTES = 16_384
"""Of what the agent wrote there: the last ones."""

_FILES = """\
export LC_ALL=C
plain() { [ -f "$1" ] && [ ! -L "$1" ]; }
# the beginning of a file of which the agent could have made a pipe, a link, or an endless one
begin() { plain "$1" && head -c "${2:-200}" "$1"; } 2>/dev/null
is_number() {
  case $1 in ''|*[!0-9]*) return 1 ;; esac
  [ "${#1}" -le 18 ]
}
put() {
  rm -rf -- "$1.new"
  plain "$1" || rm -rf -- "$1"
  printf '%s\\n' "$2" > "$1.new" && mv -f -- "$1.new" "$1"
}
"""

_PROCESSES = (
    _FILES
    + """\
# pid, parent, session, start and state of a process, whatever its name is
about() {
  line=
  { while IFS= read -r part; do line="$line $part"; done < "/proc/$1/stat"; } 2>/dev/null
  case $line in *') '*) ;; *) return 1 ;; esac
  set -- "$1" ${line##*) }
  pid=$1 state=$2 parent=$3 session=$5; shift 20; since=$1
}
group() { cat "/proc/$1/cgroup" 2>/dev/null; }
is_marked() {
  tr '\\0' '\\n' 2>/dev/null < "/proc/$1/environ" | grep -qxF "CODEXCTL_RUN=$token"
}
# What belongs to the agent: $agent and its session, what has its mark, what was left to process 1
# since the run began, and what descends from those. Others' sessions have no parent in here.
remains() {
  about 1; first=$session
  about "$$"; own=$session ours=$(group "$$")
  rows= found=' '
  for each in /proc/[0-9]*; do
    about "${each#/proc/}" || continue
    case $state in Z|X) continue ;; esac
    if [ "$pid" = 1 ] || [ "$session" = "$own" ]; then continue; fi
    kill -0 "$pid" 2>/dev/null || continue # of another user
    rows="$rows $pid:$parent"
    if [ "$pid" = "$agent" ] || [ "$session" = "$agent" ] || is_marked "$pid" || {
      [ "$parent" = 1 ] && [ "$session" != "$first" ] && [ "$since" -ge "$begun" ] &&
        [ "$(group "$pid")" = "$ours" ]
    }; then found="$found$pid "; fi
  done
  grew=1
  while [ "$grew" = 1 ]; do
    grew=0
    for row in $rows; do
      case $found in *" ${row%:*} "*) continue ;; esac
      case $found in *" ${row#*:} "*) found="$found${row%:*} " grew=1 ;; esac
    done
  done
  echo $found
}
pause() { sleep "$1" 2>/dev/null || sleep 1; }
# $agent, $token and $begun say whose processes; some seconds to end, then no mercy
sweep() {
  round=0
  while left=$(remains) && [ -n "$left" ] && [ "$round" -lt 60 ]; do
    if [ "$round" -lt 10 ]; then [ "$round" -gt 0 ] || kill -TERM $left; else kill -KILL $left; fi
    round=$((round + 1))
    pause 0.3
  done 2>/dev/null
  [ -z "$left" ]
}
# Whether the launcher of the run in this folder lives; 2: in another pod
lives() {
  read -r launcher launched host <<END
$(begin "$1/pid")
END
  is_number "$launcher" && is_number "$launched" || return 1
  case $host in ''|*[!A-Za-z0-9.-]*) return 1 ;; esac
  [ "$host" = "$(uname -n)" ] || return 2
  about "$launcher" && [ "$since" = "$launched" ] && [ "$state" != Z ]
}
# Ends what is left of a run, whatever became of its launcher: its folder, token, and when it was
# born. It cannot end what the agent made run as another user, or had somebody else run for it. It
# ends later runs, too: whoever asks has the lease of the slot, or the run has no end yet.
end_all() {
  agent=$(begin "$1/child") token=$2 begun=$3
  is_number "$agent" || agent=none
  about 1 # a container that was started again since holds nothing of that run
  [ "$since" -gt "$begun" ] || sweep
}
# After the death of a launcher: what it would have done
bury() {
  born=$(begin "$1/born")
  if is_number "$born"; then end_all "$1" "$(begin "$1/token")" "$born" || return 1; fi
  put "$1/rc" "137 $2"
}
"""
)

LAUNCH = (
    _PROCESSES
    + """\
set -u
run=$1 home=$2 folder=$3 limit=$4
cd -- "$run" || exit 1
token=$(cat token) agent=none
about "$$"; begun=$since
unset OPENAI_API_KEY CODEX_API_KEY CODEX_ACCESS_TOKEN
export CODEXCTL_RUN="$token" CODEXCTL_RUN_FOLDER="$run" CODEX_HOME="$home"
. ./environment
rm -f environment
why=ended
trap 'why=timeout' USR1
trap 'why=cancelled' TERM
echo "$$ $begun $(uname -n)" > pid.new && mv pid.new pid
(
  read -r own rest < /proc/self/stat
  echo "$own" > child
  umask 022
  cd -- "$folder" && exec setsid sh "$run/command"
) < prompt.md > events.jsonl 2> stderr.log &
agent=$!
end=$(($(date +%s) + limit))
(
  while [ ! -e cancel ] && [ -e token ] && [ "$(date +%s)" -lt "$end" ]; do
    sleep 1 # a signal at its birth would have been lost: it looks whether the launcher lives
    about "$$" && [ "$since" = "$begun" ] && [ "$state" != Z ] || exit 0
  done
  signal=USR1
  if [ -e cancel ] || [ ! -e token ]; then signal=TERM; fi
  while kill -"$signal" "$$"; do sleep 1; done # the first one may come before the wait below
) 2>/dev/null &
watch=$!
wait "$agent"
code=$?
trap '' USR1 TERM
kill "$watch" 2>/dev/null
sweep
put rc "$code $why"
"""
)
"""Arguments: the run's folder, the agent's home, where it works, and for how many seconds."""

START = (
    _PROCESSES
    + """\
set -u
runs=$1 home=$2 folder=$3 limit=$4 ours=$5 launched=0
about "$$"; born=$since
for each in tar stat setsid tr grep find readlink; do
  command -v "$each" >/dev/null || { echo "$each is missing" >&2; cat >/dev/null; exit 127; }
done
for each in "${runs%/*}" "$runs" "$home"; do
  if [ -L "$each" ]; then echo "$each is a symbolic link" >&2; cat >/dev/null; exit 3; fi
done
new=$runs/.new-$ours-$$
mkdir -p -- "$runs" || { cat >/dev/null; exit 3; }
umask 077
mkdir -p -- "$new" "$home" && cd -- "$new" || { cat >/dev/null; exit 3; }
trap 'rm -rf -- "$new"' EXIT
tar -xof - || { code=$?; cat >/dev/null; exit "$code"; }
if [ ! -f complete ]; then echo 'the stream ended too early' >&2; exit 75; fi
echo "$born" > born
last=0
for each in "$runs"/[0-9]*; do
  number=${each##*/}
  is_number "$number" || continue
  if [ "$number" -gt "$last" ]; then last=$number; fi
done
busy() { echo "busy $1"; exit 0; }
is_ours() { [ "$(begin "$runs/$1/token")" = "$ours" ]; }
started() { echo "started $1 $(begin "$runs/$1/born")"; exit 0; }
if [ "$last" -gt 0 ]; then
  before=$runs/$last
  if is_ours "$last"; then started "$last"; fi
  if [ ! -e "$before/rc" ]; then
    lives "$before"
    case $? in 0|2) busy "$last" ;; esac
    if [ ! -e "$before/pid" ] && [ $(($(date +%s) - $(stat -c %Y "$before"))) -lt 30 ]; then
      busy "$last"
    fi
    bury "$before" ended || busy "$last"
  fi
fi
skills() { find -L "$folder/.agents" "$folder/.codex" -name SKILL.md "$@" 2>/dev/null; }
if [ -n "$(skills -path '*[!A-Za-z0-9/._@+ -]*')" ]; then
  echo "the path of a skill in $folder has a character that it must not have" >&2
  exit 3
fi
skills | while IFS= read -r each; do # Codex takes them from heads that it does not trust, too
  printf "\n[[skills.config]]\npath = '%s'\nenabled = false\n" "$(readlink -f -- "$each")"
done >> config.toml
next=$((last + 1)) run=$runs/$((last + 1))
if ! mkdir -- "$run" 2>/dev/null; then
  sleep 1
  if is_ours "$next"; then started "$next"; fi
  busy "$next"
fi
for each in config.toml AGENTS.md AGENTS.override.md skills prompts rules hooks.json; do
  rm -rf -- "$home/$each" # an earlier run must not tell this one what to do
done
mv -f config.toml "$home/config.toml"
mv -f -- * "$run"
cd -- "$run"
: > events.jsonl
if [ -e "$runs/.cancelled-$ours" ]; then
  rm -f environment
  echo '130 cancelled' > rc
  started "$next"
fi
rm -f -- "$runs"/.cancelled-*
setsid sh ./launch.sh "$run" "$home" "$folder" "$limit" </dev/null >/dev/null 2>launch.log &
tries=0
while [ -d "$run" ] && [ ! -e pid ] && [ "$tries" -lt 50 ]; do pause 0.1; tries=$((tries + 1)); done
if [ -d "$run" ] && [ ! -e pid ]; then cat launch.log >&2; echo 'it did not start' >&2; exit 4; fi
echo "started $next $born"
old=$((next - 20))
while [ "$old" -gt 0 ] && [ -e "$runs/$old" ]; do rm -rf -- "$runs/$old"; old=$((old - 1)); done
"""
)
"""Arguments: where runs are, the agent's home, where it works, for how many seconds, and what only
this client knows. Stdin: a tar archive. Prints STARTED or BUSY with the number of a run, and when
it was born: nothing of it is older, in ticks of the machine."""

LOOK = (
    _PROCESSES
    + """\
run=$1/$2 offset=$3 until=$(($(date +%s) + $4))
cd -- "$run" 2>/dev/null || { echo gone 0; exit 0; }
while :; do
  if [ -e rc ]; then
    read -r code why <<END
$(begin rc)
END
    told="over ${code:-1} ${why:-ended}"
  elif lives .; then told=runs
  else
    pause 0.3
    if [ -e rc ]; then continue; fi
    told=dead
  fi
  size=0
  if plain events.jsonl; then size=$(stat -c %s events.jsonl); fi
  if [ "$told" != runs ] || [ "$size" -gt "$offset" ]; then break; fi
  if [ "$(date +%s)" -ge "$until" ]; then break; fi
  pause 0.5
done
echo "$told $size"
if plain events.jsonl; then tail -c "+$((offset + 1))" events.jsonl | head -c "$5"; fi 2>/dev/null
"""
)
"""Arguments: where runs are, the number, how much of the events is known, for how many seconds to
wait for news, and how much of it to print. Prints a line with state and size, then the news."""

CANCEL = (
    _PROCESSES
    + """\
runs=$1 run=$1/$2 until=$(($(date +%s) + $3)) launched=0
if [ -n "$4" ]; then # its start was interrupted: it may come yet, or be there already
  mkdir -p -- "$runs"
  : > "$runs/.cancelled-$4"
  for each in "$runs"/[0-9]*; do
    if [ "$(begin "$each/token")" = "$4" ]; then run=$each; fi
  done
fi
cd -- "$run" 2>/dev/null && [ -e token ] || { echo gone; exit 0; }
[ -e cancel ] || : > cancel
while [ ! -e rc ] && [ "$(date +%s)" -lt "$until" ]; do
  lives .
  if [ $? = 1 ] && [ ! -e rc ]; then bury . cancelled; fi
  pause 0.2
done
if [ ! -e rc ]; then # the agent can stop its launcher
  lives .
  if [ $? != 2 ]; then bury . cancelled; fi
fi
if [ -e rc ]; then echo over; else echo runs; fi
"""
)
"""Arguments: where runs are, the number, for how many seconds to wait for the end, and, of a run
without a number, what only its client knows. Prints OVER if nothing is left of it."""

CLOSE = (
    _FILES
    + """\
[ -e "$1/$2/rc" ] || put "$1/$2/rc" '137 ended'
"""
)
"""Arguments: where runs are, and the number of one whose pod is gone."""

LEFT = (
    _PROCESSES
    + f"most={MOST_STDERR_BYTES}\n"
    + """\
run=$1/$2
if end_all "$run" "$5" "$6"; then told=; else told=' left'; fi
begin "$run/last.md" "$4"
printf '\\n%s%s\\n' "$3" "$told"
if plain "$run/stderr.log"; then tail -c "$most" "$run/stderr.log"; fi 2>/dev/null
"""
)
"""Arguments: where runs are, the number, a token that separates the parts, how many bytes of
the last message are wanted, and token and birth of the run. Ends what is left of it; if something
cannot be ended, that is said behind the token that separates."""

_GIT = """\
quiet_git() {
  git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false -C "$folder" "$@"
}
"""

_LIVING = """\
for each in "$runs"/[0-9]*; do
  if [ -d "$each" ] && [ ! -e "$each/rc" ]; then
    lives "$each"
    case $? in 0|2) echo "run ${each##*/} $host" ;; esac
  fi
done
"""

LIVING = _PROCESSES + "runs=$1\n" + _LIVING
"""Argument: where runs are. Prints ``run``, number and pod of each that has not ended."""

SURVEY = (
    _PROCESSES
    + _GIT
    + """\
runs=$1 home=$2 folder=$3 thread=$4 base=$5
echo "version $(codex --version 2>/dev/null | head -n 1)"
echo "head $(quiet_git rev-parse --verify -q HEAD 2>/dev/null)"
if [ -n "$base" ] && quiet_git merge-base --is-ancestor "$base" HEAD 2>/dev/null; then
  echo 'base yes'
fi
[ -z "${OPENAI_API_KEY:-}${CODEX_API_KEY:-}" ] || echo 'key yes'
if env | grep -qE '^(GH_TOKEN|GITHUB_TOKEN|([A-Za-z0-9_]+_)?GH_PAT)=.'; then echo 'token yes'; fi
if [ "$thread" = last ]; then thread=$(begin "$home/last-thread" 100); fi
case $thread in [!A-Za-z0-9]*|*[!A-Za-z0-9._-]*) thread= ;; esac
if [ -n "$thread" ]; then
  echo "thread $thread"
  echo "usage $(begin "$home/usage/$thread" | tr -d '\\n')"
fi
"""
    + _LIVING
    + """\
if [ -d "$folder" ]; then echo 'folder yes'; fi
"""
)
"""Arguments: where runs are, the agent's home, where it works, a thread, LAST or nothing, a
commit or nothing. Prints a word and what is known about it in each line."""

REMEMBER = (
    _FILES
    + """\
put "$1/last-thread" "$2"
mkdir -p -- "$1/usage" && put "$1/usage/$2" "$3"
"""
)
"""Arguments: the agent's home, a thread, and what it has used by now."""
