"""What runs in place of docker, buildctl, buildkitd and rootlesskit."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

from tests.support.image_files import push_files


def act(folder: str) -> int:
    """Note the call; do as much of what the program would do as somebody can see."""
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    note = json.dumps({"argv": [program, *arguments], "environ": dict(os.environ)})
    with Path(folder, "calls.jsonl").open("a") as notes:
        notes.write(f"{note}\n")
    answers = json.loads(Path(folder, "answers.json").read_text())
    if program == "rootlesskit":
        command = [word for word in arguments if not word.startswith("--")]
        start = arguments.index(command[0])
        os.execvp(command[0], arguments[start:])  # noqa: S606 - as rootlesskit does
    if program == "buildkitd":
        return _serve(arguments)
    if program == "buildctl" and "build" not in arguments:
        return 0 if _is_served(arguments) else 1
    if "build" in arguments:
        return _build(arguments, answers)
    return _answer(arguments, answers)


def _serve(arguments: list[str]) -> int:
    socket = Path(_value("--addr", arguments).removeprefix("unix://"))
    socket.touch()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    socket.unlink()
    return 0


def _is_served(arguments: list[str]) -> bool:
    address = _value("--addr", arguments)
    return not address.startswith("unix://") or Path(address.removeprefix("unix://")).exists()


def _build(arguments: list[str], answers: dict[str, str]) -> int:
    sys.stderr.write("building\n")
    sys.stderr.flush()
    time.sleep(float(answers.get("sleeps", 0)))
    if "fails" in answers:
        sys.stderr.write(f"{answers['fails']}\n")
        return 1
    output = _value("--output", arguments)
    target = re.search(r"name=([^/,]+)/([^:,]+):([^,]+)", output)
    if target and "push=true" in output:
        digest = push_files(*target.groups(), {"etc/built": b"by a stand-in"})
        metadata = {} if "mute" in answers else {"containerimage.digest": digest}
        Path(_value("--metadata-file", arguments)).write_text(json.dumps(metadata))
    return 0


def _answer(arguments: list[str], answers: dict[str, str]) -> int:
    """Answer with what was prepared for the last word that is a command."""
    known = {"inspect": "Driver: remote\nStatus: running", "version": "28.2.2", "info": "[]"}
    words = [word for word in arguments if word in known]
    sys.stdout.write(answers.get(words[-1], known[words[-1]]) if words else "")
    return 0


def _value(flag: str, arguments: list[str]) -> str:
    return arguments[arguments.index(flag) + 1] if flag in arguments else ""
