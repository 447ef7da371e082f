"""What the API server's answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.errors import ClusterError, ExpiredError, TransientClusterError
from codexctl_tasks.world.answers import parse_discovery, parse_status, plain_message, refusal
from codexctl_tasks.world.cluster import Resource


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "bad", ClusterError),
        (401, "Unauthorized", ClusterError),
        (403, "forbidden", ClusterError),
        (404, "not found", ClusterError),
        (408, "slow", TransientClusterError),
        (409, "conflict", ClusterError),
        (410, "too old resource version", ExpiredError),
        (422, "Invalid value", ClusterError),
        (429, "too many requests", TransientClusterError),
        (500, "etcdserver: leader changed", TransientClusterError),
        (502, "bad gateway", TransientClusterError),
        (503, "unavailable", TransientClusterError),
        (504, "timeout", TransientClusterError),
        (500, 'admission webhook "x" denied the request: no', ClusterError),
        (500, ".spec.foo: field not declared in schema", ClusterError),
        (302, "moved", ClusterError),
    ],
)
def test_which_answers_pass_by_themselves(
    code: int, message: str, kind: type[ClusterError]
) -> None:
    """Only what another try can mend is repeated; a refusal is told at once."""
    error = refusal("PATCH", "/api/v1/x", code, {"message": message, "reason": "R"})

    assert type(error) is kind
    assert str(error).startswith(f"PATCH /api/v1/x: the API server answered {code}: {message}")
    assert (error.status, error.reason, error.exit_code) == (code, "R", 4)


@pytest.mark.parametrize(
    ("details", "header", "seconds"),
    [
        ({}, None, 0.0),
        ({}, "7", 7.0),
        ({"retryAfterSeconds": 3}, "7", 3.0),
        ({}, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ({}, "-1", 0.0),
    ],
)
def test_retry_after(details: dict[str, Any], header: str | None, seconds: float) -> None:
    """The server says how long to wait in the body or in a header."""
    error = refusal("GET", "/", 429, {"details": details}, header)

    assert isinstance(error, TransientClusterError)
    assert error.retry_after_s == seconds


def test_blamed_fields_are_kept() -> None:
    """A validation error names the fields, so that their lines can be found."""
    causes = [{"field": "spec.replicas"}, {"message": "no field"}]

    assert refusal("PATCH", "/", 422, {"details": {"causes": causes}}).fields == (
        "spec.replicas",
        "",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"message": "m"}', "m"),
        (b"<html>proxy</html>", "<html>proxy</html>"),
        (b"", ""),
        (b"[1]", "[1]"),
        (b"\xff" + b"x" * 1000, "\ufffd" + "x" * 299),
    ],
    ids=["status", "proxy", "empty", "list", "binary"],
)
def test_any_body_makes_a_status(data: bytes, message: str) -> None:
    """A proxy's error page is shown, shortened, instead of breaking the report."""
    assert parse_status(data).get("message") == message


def test_discovery() -> None:
    """Kinds of the core and of named groups, namespaced or not; broken groups have none."""
    answer = {
        "items": [
            {
                "metadata": {},
                "versions": [
                    {
                        "version": "v1",
                        "resources": [
                            {
                                "resource": "pods",
                                "scope": "Namespaced",
                                "responseKind": {"kind": "Pod"},
                                "subresources": [{"subresource": "log"}],
                            }
                        ],
                    }
                ],
            },
            {
                "metadata": {"name": "g.io"},
                "versions": [
                    {
                        "version": "v2",
                        "resources": [
                            {
                                "resource": "things",
                                "scope": "Cluster",
                                "responseKind": {"kind": "Thing"},
                            }
                        ],
                    },
                    {"version": "v3", "freshness": "Stale"},
                ],
            },
        ]
    }

    assert list(parse_discovery(answer)) == [
        Resource("v1", "Pod", "pods", namespaced=True),
        Resource("g.io/v2", "Thing", "things", namespaced=False),
    ]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (Resource("v1", "Pod", "pods", namespaced=True), "/api/v1/namespaces/n/pods/x"),
        (Resource("v1", "Namespace", "namespaces", namespaced=False), "/api/v1/namespaces/x"),
        (Resource("g.io/v1", "T", "ts", namespaced=True), "/apis/g.io/v1/namespaces/n/ts/x"),
    ],
)
def test_paths(resource: Resource, path: str) -> None:
    """Core and groups, namespaced and cluster-wide objects each have their address."""
    assert resource.path("n", "x") == path


def test_library_noise_is_removed_from_messages() -> None:
    """Users read the reason, not the address of a Python object."""
    noisy = "<urllib3.connection.HTTPSConnection object at 0x7f3>: Failed to establish: refused"

    assert plain_message(noisy) == "Failed to establish: refused"
    assert (
        plain_message("HTTPSConnectionPool(host='c', port=1): Read timed out") == "Read timed out"
    )
    assert plain_message(ConnectionResetError()) == "ConnectionResetError()"
