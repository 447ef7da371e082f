"""`codexctl doctor` as a process: Ctrl-C, and `invoke`."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

from tests.support.api_server import write_kubeconfig
from tests.support.shell import BIN, QUICK_S, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_ctrl_c_while_nobody_answers(tmp_path: Path) -> None:
    """It ends at once, whatever the checks are waiting for."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(QUICK_S)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", address)
        process = subprocess.Popen(
            [BIN / "codexctl", "doctor"],
            cwd=tmp_path,
            env=clean_environment(KUBECONFIG=str(kubeconfig)),
            stderr=subprocess.PIPE,
            text=True,
        )
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=QUICK_S)

    assert process.returncode == 130
    assert told == "interrupted\n"
