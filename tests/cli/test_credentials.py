"""Credentials that a program prints, as the kubeconfigs of cloud providers have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.kubernetes import connect
from tests.support.api_server import Answer, ApiServer, api_server, status, write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.support.fakes import FakeClock

NO_KINDS = Answer({"items": []})


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


def _connect(folder: Path, address: str, clock: FakeClock, *script: str) -> KubernetesCluster:
    """Connect with a program for credentials that runs a shell script."""
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": "sh", "args": ["-c", *script]}}
    file = write_kubeconfig(folder / "kubeconfig", address, user=user)
    return connect(ClusterSettings(kubeconfig=str(file), context=""), clock, lambda _: None)


def test_a_program_for_credentials_is_asked_again_after_a_refusal(
    server: ApiServer, tmp_path: Path, clock: FakeClock
) -> None:
    """Its token runs out in the middle of a run: it runs once more, and only then."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        # Nearly over, as programs that keep their token hand it out: asked only when refused.
        "status": {"token": "TOKEN", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
    template, calls = tmp_path / "credential", tmp_path / "calls"
    template.write_text(json.dumps(credential))
    script = f'echo call >>{calls}; sed "s/TOKEN/token-$(wc -l <{calls})/" {template}'
    cluster = _connect(tmp_path, server.address, clock, script)
    server.will(NO_KINDS, NO_KINDS, status(401), NO_KINDS, NO_KINDS)

    cluster.resources()
    cluster.resources(refresh=True)

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer token-1"] * 3 + ["Bearer token-2"] * 2
    assert calls.read_text().count("call") == 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo log in first >&2; exit 3", "exec: process returned 3. log in first"),
        ("echo '<html>'", "exec: failed to decode process output: "),
    ],
    ids=["fails", "prints something else"],
)
def test_a_program_for_credentials_that_fails_is_one_line(
    tmp_path: Path,
    clock: FakeClock,
    capfd: pytest.CaptureFixture[str],
    script: str,
    reason: str,
) -> None:
    """What the program said is told at once, instead of a refused request without credentials."""
    with pytest.raises(ClusterError) as caught:
        _connect(tmp_path, "http://c.example", clock, script)

    assert str(caught.value).startswith(
        f"{tmp_path / 'kubeconfig'}: no usable cluster access: {reason}"
    )
    assert "".join(capfd.readouterr()) == ""
