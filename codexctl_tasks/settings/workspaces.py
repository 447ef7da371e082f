"""Requests about the workspace of a slot: flags into objects."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.slots import SyncRequest
from codexctl_tasks.settings.environment import step_files, switch, value
from codexctl_tasks.settings.sources import chosen_flags, cluster_settings, source
from codexctl_tasks.settings.values import output_of

DEFAULT_CLAIM = "workspace"


def sync_request(
    *,
    claim: str = "",
    path: str = "",
    folder: str = "",
    image: str = "",
    overwrite: bool = False,
    kubeconfig: str = "",
    context: str = "",
    output: str = "",
    **given: Any,
) -> SyncRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    found = source(**given)
    _, outputs = step_files()
    return SyncRequest(
        source=found,
        cluster=cluster_settings(kubeconfig, context),
        chosen=chosen_flags(kubeconfig=kubeconfig, context=context),
        claim=value("claim", claim, DEFAULT_CLAIM),
        path=_inner_path(value("path", path)),
        folder=folder_of(folder, found.config),
        image=value("image", image),
        overwrite=overwrite or switch("CODEXCTL_OVERWRITE"),
        output=output_of(output),
        files=ReportFiles(step_outputs=outputs),
    )


def _inner_path(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text:
        raise UsageError("--path", f"{text!r} leads out of the volume", "name a folder on it")
    return text


def folder_of(given: str, config: Path) -> Path:
    """Return the folder of this machine that a workspace is to be like: that of *config*."""
    text = value("folder", given)
    folder = Path(text).absolute() if text else config.absolute().parent
    if not folder.is_dir():
        raise UsageError("--folder", f"{folder} is no folder", "name one that exists")
    return folder
