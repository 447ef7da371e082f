"""
An agent's container without a cluster: scripts run in a PID namespace of their own.

``python -m tests.support.pid_room SHELL PATH FOLDER TRIAL`` plays one trial and prints what came of
it as JSON; it must be process 2 of a new namespace, for what a run leaves behind is killed there.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent import events
from codexctl_tasks.agent.pod import Shell, Site
from codexctl_tasks.agent.result import Usage
from codexctl_tasks.agent.running import Order, Run, cancel
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.execution import Executed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SAYS_HI = """echo '{"type":"item.completed","item":{"type":"agent_message","text":"hi"}}';"""
HIDES = (
    "setsid sleep 301 & (setsid env -i sleep 302 &);"
    """env -i setsid sh -c 'trap "" TERM; sleep 303; sleep 304' >/dev/null 2>&1 & sleep 0.5;"""
)
_SOON_S = 20.0
STRANGER = "sleep 999"
"""Of somebody else, from before."""


class Room:
    """A cluster with one container: this machine, as far as it is seen from here."""

    def __init__(self, shell: str, path: str) -> None:
        self._shell, self._path = shell.split(), path

    def execute(
        self,
        *where: str | Sequence[str],
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """Run a script as the container's runtime does."""
        script = list(where[3])
        done = subprocess.run(
            [*self._shell, *script[1:]],
            input=b"".join(stdin),
            capture_output=True,
            env={"PATH": self._path},
            start_new_session=True,
            check=False,
            timeout=None if math.isinf(limit_s) else min(limit_s, _SOON_S),
        )
        take(done.stdout)
        return Executed(done.returncode, done.stderr.decode(errors="replace"))

    def get(self, *_: Any) -> dict[str, Any]:
        """Return the pod, which is always there."""
        return {"metadata": {"uid": "u"}, "status": {}}


class Trials:
    """What can happen to a run."""

    def __init__(self, room: Room, folder: Path) -> None:
        (folder / "shop").mkdir()
        names = {"namespace": "n", "pod": os.uname().nodename, "uid": "u", "container": "c"}
        self._site = Site(
            **names, container_id="", folder=f"{folder}/shop", state=f"{folder}/.codexctl"
        )
        self._clock = SystemClock()
        self._open = lambda: Run(Shell(self._site, room, self._clock), self._clock)  # type: ignore[arg-type]
        self._shell = Shell(self._site, room, self._clock)  # type: ignore[arg-type]

    def _start(self, script: str, limit_s: float = 60.0) -> Run:
        run = self._open()
        run.start(order(script, limit_s))
        return run

    def _told(self, run: Run) -> dict[str, Any]:
        heard: list[str] = []
        ended = run.follow(
            events.Account(),
            deadline_s=self._clock.now() + 60,
            hear=heard.append,
            keep=lambda _: None,
            check=lambda: None,
        )
        facts = {"message": ended.last_message, "stderr": ended.stderr, "heard": heard}
        return {"code": ended.exit_code, "how": ended.how, **facts}

    def plain(self) -> dict[str, Any]:
        """It gets its prompt, its environment and its files, and ends by itself."""
        script = f'{SAYS_HI} cat >&2; printf %s "$TOKEN" > "$CODEXCTL_LAST_MESSAGE"; exit 3'
        return self._told(self._start(script))

    def hiding(self) -> dict[str, Any]:
        """It leaves programs behind, in every way there is."""
        return self._told(self._start(f"{HIDES} exit 0"))

    def deadline(self) -> dict[str, Any]:
        """It does not want to end."""
        return self._told(self._start("trap '' TERM; sleep 305; sleep 306", limit_s=2))

    def cancelled(self) -> dict[str, Any]:
        """It is cancelled at once, before it can do anything, and another one later."""
        runs = [self._start(f"{HIDES} sleep 307")]
        at_once = runs[0].cancel(30)
        runs.append(self._start(f"{HIDES} sleep 308"))
        time.sleep(1)
        later = cancel(self._shell, runs[1].number, 30)
        return {"told": [self._told(run)["how"] for run in runs], "ended": [at_once, later]}

    def interrupted(self) -> dict[str, Any]:
        """Its client is interrupted while it starts: it has begun already, or begins after that."""
        unaware = self._start("sleep 313")
        unaware.number = ""
        found = unaware.cancel(30)
        early = self._open()
        early.cancel(1)
        early.start(order("sleep 314"))
        return {"found": found, "how": self._told(early)["how"]}

    def killed(self) -> dict[str, Any]:
        """Somebody kills its launcher."""
        run = self._start(f"{HIDES} sleep 309")
        time.sleep(1)
        os.kill(int(Path(self._site.runs, run.number, "pid").read_text().split()[0]), 9)
        return self._told(run)

    def forged(self) -> dict[str, Any]:
        """It kills its launcher and writes for it that all has gone well, and lives on."""
        script = """
            cd "$CODEXCTL_RUN_FOLDER"
            setsid sleep 4444 &
            read -r launcher rest < pid
            kill -9 "$launcher"
            echo '0 ended' > rc
            rm -f token child born
            env -i sleep 4445
        """
        return self._told(self._start(script))

    def stopped(self) -> dict[str, Any]:
        """It stops its launcher, which then keeps no deadline; somebody else cancels it."""
        script = 'read -r launcher rest < "$CODEXCTL_RUN_FOLDER/pid"; kill -STOP "$launcher"'
        run = self._start(f"{script}; {HIDES} sleep 4446")
        time.sleep(1)
        return {"ended": cancel(self._shell, run.number, 2), **self._told(run)}

    def hidden(self) -> dict[str, Any]:
        """It hides which process its launcher is, or removes all that is known of it."""
        pipe = 'cd "$CODEXCTL_RUN_FOLDER"; rm -f pid; mkfifo pid;'
        runs = [self._start(f"{pipe} {HIDES} sleep 4447")]
        told = [self._told(runs[0])["stderr"]]
        kills = 'read -r launcher rest < "$CODEXCTL_RUN_FOLDER/pid"; kill -9 "$launcher";'
        removes = 'rm -rf "$CODEXCTL_RUN_FOLDER";'
        runs.append(self._start(f"{kills} {removes} {HIDES} sleep 4448"))
        return {"told": [*told, self._told(runs[1])["stderr"]]}

    def removed(self) -> dict[str, Any]:
        """It removes the folder of its run, and goes on."""
        run = self._start('rm -rf "$CODEXCTL_RUN_FOLDER"; sleep 310')
        return self._told(run)

    def traps(self) -> dict[str, Any]:
        """Whatever is read or written of it is a pipe that nobody fills, or has no end."""
        script = """
            cd "$CODEXCTL_RUN_FOLDER"
            rm -f events.jsonl stderr.log
            mkfifo events.jsonl last.md rc.new
            ln -s /dev/zero stderr.log
            mkdir "$CODEX_HOME/usage"
            ln -s /dev/zero "$CODEX_HOME/usage/t"
            mkfifo "$CODEX_HOME/last-thread" "$CODEX_HOME/last-thread.new"
            exit 5
        """
        run = self._start(script)
        told = self._told(run)
        found = [run.survey("t", ""), run.survey("last", "")]
        run.remember("t", Usage(7))
        found.append(run.survey("last", ""))
        return {**told, "threads": [[each.thread, each.used.input] for each in found]}

    def closed(self) -> dict[str, Any]:
        """It says itself that it is over, with a pipe."""
        return self._told(self._start('mkfifo "$CODEXCTL_RUN_FOLDER/rc"; sleep 1'))

    def planted(self) -> dict[str, Any]:
        """An earlier run, or a stranger's branch, has left what would tell the agent what to do."""
        place, home = Path(self._site.folder), Path(self._site.home)
        for folder in (
            place / ".agents/skills/one",
            place / ".codex/skills/two",
            home / "skills/x",
        ):
            folder.mkdir(parents=True)
            (folder / "SKILL.md").write_text("---\nname: planted\n---\n")
        (home / "AGENTS.md").write_text("planted")
        script = 'cat "$CODEX_HOME/config.toml" > "$CODEXCTL_LAST_MESSAGE"; ls "$CODEX_HOME" >&2'
        told = self._told(self._start(script))
        (place / ".agents/skills/o'ne").mkdir()
        (place / ".agents/skills/o'ne/SKILL.md").touch()
        try:
            self._start(script)
        except CodexctlError as error:
            told["refused"] = str(error)
        return {**told, "place": str(place)}

    def twice(self) -> dict[str, Any]:
        """Two want to start; the first one's launcher dies, and a third one comes."""
        first = self._start("sleep 311")
        try:
            self._start("sleep 312")
        except CodexctlError as error:
            refused = str(error)
        going_on = self._open().survey("", "").going_on
        os.kill(int(Path(self._site.runs, first.number, "pid").read_text().split()[0]), 9)
        third = self._start("exit 0")
        told = self._told(third)
        return {"refused": refused, "going_on": going_on, "number": third.number, **told}


def order(script: str, limit_s: float = 60.0) -> Order:
    """Return what is to be run."""
    return Order(
        prompt="hello $(x) ü\n".encode(),
        command=["sh", "-c", script],
        configuration="a = 1\n",
        variables={"CODEXCTL_LAST_MESSAGE": "$CODEXCTL_RUN_FOLDER/last.md"},
        secrets={"TOKEN": "s 'e\"$x"},
        limit_s=limit_s,
    )


def left() -> list[str]:
    """Return what runs in this namespace, but for process 1, us, and the dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = folder.joinpath("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        line = b" ".join(words).decode(errors="replace").strip()
        if line and int(folder.name) not in (1, os.getpid(), os.getppid()):
            found.append(line)
    return found


def main(words: Sequence[str]) -> None:
    """Play one trial."""
    shell, path, folder, trial = words
    stranger = subprocess.Popen(STRANGER.split(), start_new_session=True)
    told = getattr(Trials(Room(shell, path), Path(folder)), trial)()
    ends_s = time.monotonic() + _SOON_S
    while left() != [STRANGER] and time.monotonic() < ends_s:  # a launcher needs a moment to end
        time.sleep(0.1)
    sys.stdout.write(json.dumps({**told, "left": left()}))
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
