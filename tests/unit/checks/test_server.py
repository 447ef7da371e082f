"""Access to the cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.checks.server import check_cluster
from codexctl_tasks.errors import ClusterError
from tests.support.checks import lines, subject
from tests.support.fakes import FakeCluster

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _found(folder: Path, cluster: FakeCluster) -> list[str]:
    return lines(check_cluster(subject(folder, cluster=cluster, now=lambda: NOW)))


def test_who_we_are_and_where(tmp_path: Path) -> None:
    """The account and the context: half of all trouble is the wrong one of them."""
    cluster = FakeCluster()

    assert _found(tmp_path, cluster) == [
        (
            "ok https://fake:6443: Kubernetes v1.34.0, context fake, "
            "as system:serviceaccount:shop:deployer"
        )
    ]
    cluster.context = ""
    assert "the pod's own account" in _found(tmp_path, cluster)[0]


@pytest.mark.parametrize(("behind_s", "side"), [(95, "ahead of"), (-95, "behind")])
def test_clocks_that_differ(tmp_path: Path, behind_s: float, side: str) -> None:
    """Tokens are refused by a clock that is behind, and nothing else says why."""
    cluster = FakeCluster()
    cluster.time = NOW - timedelta(seconds=behind_s)

    [_, warning] = _found(tmp_path, cluster)

    assert warning == (
        f"warning https://fake:6443: this machine's clock is 95 s {side} the server's: "
        "set the clock (NTP): tokens and certificates are judged by it"
    )


def test_clocks_that_agree_well_enough(tmp_path: Path) -> None:
    """A header has whole seconds, and a network takes its time."""
    cluster = FakeCluster()
    cluster.time = NOW - timedelta(seconds=29)

    assert len(_found(tmp_path, cluster)) == 1


def test_a_server_that_knows_no_reviews(tmp_path: Path) -> None:
    """Then the name of the account is not told, that is all."""
    cluster = FakeCluster()
    for status in (403, 404, 405):
        cluster.review_refusal = ClusterError("POST", "no", status=status)
        assert _found(tmp_path, cluster) == [
            "ok https://fake:6443: Kubernetes v1.34.0, context fake"
        ]


def test_an_anonymous_request(tmp_path: Path) -> None:
    """Without credentials many servers answer all the same, and refuse everything later."""
    named, refused = FakeCluster(), FakeCluster()
    named.user = "system:anonymous"
    what = 'User "system:anonymous" cannot create resource'
    refused.review_refusal = ClusterError("POST", what, status=403)

    for cluster in (named, refused):
        assert _found(tmp_path, cluster) == [
            (
                "failed https://fake:6443: takes this for an anonymous request: "
                "the credentials say nothing to it: log in again"
            )
        ]


def test_credentials_that_are_not_accepted(tmp_path: Path) -> None:
    """The server's own words."""
    cluster = FakeCluster()
    cluster.review_refusal = ClusterError("POST", "Unauthorized", "log in again", status=401)

    with pytest.raises(ClusterError, match="Unauthorized: log in again"):
        _found(tmp_path, cluster)
