"""What a builder writes, in a file of its own."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.logs import TAIL_LINES, BuildLog

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The folder for temporary files is everybody's."""
    folder = tmp_path / "logs"

    with BuildLog(folder, "web", lambda text: text.replace("hunter22", "***")) as log:
        for number in range(TAIL_LINES + 1):
            log.write(f"{number} hunter22")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert log.path.read_text().splitlines()[0] == "0 ***"
    assert (log.tail[0], len(log.tail)) == ("1 ***", TAIL_LINES)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Whoever knows the name of the file cannot choose what is overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "web.log").symlink_to(victim)

    with pytest.raises(BuildError, match="cannot be written"), BuildLog(tmp_path, "web", str):
        pass

    assert victim.read_text() == "precious"


def test_the_name_of_an_image_leads_nowhere_else(tmp_path: Path) -> None:
    """A key of services.yaml may hold what a path would understand."""
    with BuildLog(tmp_path, "../../x", str) as log:
        pass

    assert log.path.parent == tmp_path
