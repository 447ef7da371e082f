"""Access to a cluster, as the kubeconfig describes it."""

from __future__ import annotations

import base64
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, TransientClusterError
from tests.support.api_server import Answer, api_server, write_kubeconfig
from tests.unit.world.conftest import ENCRYPTED_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api_server import ApiServer
    from tests.support.fakes import FakeClock
    from tests.unit.world.conftest import Connect


def test_the_namespace_of_the_context_is_the_default(tmp_path: Path, connected: Connect) -> None:
    """As with kubectl: the chosen context decides, else `default`."""
    file = write_kubeconfig(tmp_path / "kubeconfig", "https://c.example:6443")

    chosen = {context: connected(file, context) for context in ("", "main", "bare")}

    namespaces = [cluster.default_namespace for cluster in chosen.values()]
    assert namespaces == ["mine", "mine", "default"]
    assert chosen["main"].address == "https://c.example:6443"
    assert [cluster.context for cluster in chosen.values()] == ["main", "main", "bare"]


@pytest.mark.parametrize(
    ("content", "context"),
    [
        (None, ""),
        ("", ""),
        ("just text", ""),
        ("a: [", ""),
        ("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\n", ""),
        ("apiVersion: v1\nkind: Config\ncontexts: 5\nclusters: 5\ncurrent-context: x\n", ""),
        ("VALID", "nope"),
    ],
    ids=["missing", "empty", "text", "broken YAML", "no context", "wrong shape", "unknown context"],
)
def test_an_unusable_kubeconfig_is_one_line(
    content: str | None, context: str, tmp_path: Path, connected: Connect
) -> None:
    """Whatever is wrong with the access: one line that names the file, exit code 4."""
    file = tmp_path / "kubeconfig"
    if content == "VALID":
        write_kubeconfig(file, "https://c.example:6443")
    elif content is not None:
        file.write_text(content)

    with pytest.raises(ClusterError) as caught:
        connected(file, context)

    assert str(caught.value).startswith(f"{file}: no usable cluster access: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_certificate_of_another_authority_is_named(
    tls_server: ApiServer, tmp_path: Path, connected: Connect, told: list[str], clock: FakeClock
) -> None:
    """A rebuilt cluster with an old kubeconfig: said at once, not repeated."""
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", tls_server.address))

    with pytest.raises(ClusterError, match="its certificate is not signed") as caught:
        cluster.resources()

    assert not isinstance(caught.value, TransientClusterError)
    assert (told, clock.sleeps, tls_server.requests) == ([], [], [])


def test_a_certificate_of_another_name_is_named(
    tls_server: ApiServer, certificate: Path, tmp_path: Path, connected: Connect
) -> None:
    """The reason why a certificate is refused is not guessed but told."""
    trusted: dict[str, Any] = {"certificate-authority": str(certificate)}
    wrong_name = trusted | {"tls-server-name": "other.example"}
    tls_server.will(Answer({"items": []}), Answer({"items": []}))

    right = connected(write_kubeconfig(tmp_path / "right", tls_server.address, **trusted))
    wrong = connected(write_kubeconfig(tmp_path / "wrong", tls_server.address, **wrong_name))

    assert right.resources() == {}
    with pytest.raises(ClusterError, match=r"is not valid for 'other\.example'"):
        wrong.resources()


def test_no_file_holds_a_key_while_a_task_runs(
    certificate: Path, tmp_path: Path, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed leaves no key behind; a second task of the process reads it again."""
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    data = base64.b64encode(certificate.read_bytes()).decode()
    user = {"client-certificate-data": data, "client-key-data": data}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.load_verify_locations(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED

    with api_server(tls) as server:
        server.will(*[Answer({"items": []})] * 4)
        trusted: dict[str, Any] = {"certificate-authority-data": data}
        file = write_kubeconfig(tmp_path / "kubeconfig", server.address, user=user, **trusted)
        clusters = connected(file), connected(file)
        left = list(scratch.iterdir())
        found = [cluster.resources() for cluster in clusters]

    assert (left, found) == ([], [{}, {}])


def test_a_proxy_is_trusted_as_the_cluster_is(
    tls_server: ApiServer, certificate: Path, tmp_path: Path, connected: Connect
) -> None:
    """Who is behind a proxy with TLS need not install its authority on each runner."""
    data = base64.b64encode(certificate.read_bytes()).decode()
    proxy: dict[str, Any] = {"proxy-url": tls_server.address, "certificate-authority-data": data}

    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", "https://c.example", **proxy))

    with pytest.raises(ClusterError, match="Tunnel connection failed: 501"):  # it is no such proxy
        cluster.resources()


def test_a_key_behind_a_password_is_refused_and_not_asked_for(
    certificate: Path, tmp_path: Path, connected: Connect
) -> None:
    """Nobody sits before a runner: OpenSSL must not wait for somebody who types."""
    key = base64.b64encode(ENCRYPTED_KEY.encode()).decode()
    user = {"client-certificate": str(certificate), "client-key-data": key}
    file = write_kubeconfig(tmp_path / "kubeconfig", "https://c.example", user=user)

    with pytest.raises(ClusterError, match="the client's certificate or its key cannot be read"):
        connected(file)


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "secret"}, "Bearer secret"),
        ({"token": "secret\n"}, "Bearer secret"),
        ({"username": "me", "password": "pw"}, "Basic bWU6cHc="),
        ({"as": "nobody"}, None),
    ],
    ids=["token", "line break", "password", "nothing"],
)
def test_how_the_kubeconfig_authenticates(
    user: dict[str, str], header: str | None, server: ApiServer, tmp_path: Path, connected: Connect
) -> None:
    """What the kubeconfig says of the user is what the server gets."""
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", server.address, user=user))
    server.will(Answer({"items": []}), Answer({"items": []}))

    cluster.resources()

    assert {r.headers.get("authorization") for r in server.requests} == {header}


def test_a_kubeconfig_that_does_not_exist(
    tmp_path: Path, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said that it is not there; of a list one file is enough."""
    missing, there = tmp_path / "missing", write_kubeconfig(tmp_path / "there", "http://c.example")
    with pytest.raises(ClusterError, match="no usable cluster access: the file does not exist: "):
        connected(missing)
    with pytest.raises(ClusterError, match=r"the files do not exist: name a file .*--kubeconfig"):
        connected(f"{missing}:{missing}-too")
    assert connected(f"{missing}:{there}").address == "http://c.example"
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ClusterError, match=r"neither KUBECONFIG nor ~/\.kube/config is there"):
        connected("")


def test_a_token_that_is_none_is_never_shown(tmp_path: Path, connected: Connect) -> None:
    """A file with two lines in place of a token: one line that names the kubeconfig, no secret."""
    file = write_kubeconfig(tmp_path / "kubeconfig", "http://c.example", user={"token": "s3\ncret"})

    with pytest.raises(ClusterError, match="the token holds characters") as caught:
        connected(file)

    assert str(caught.value).startswith(f"{file}: no usable cluster access: ")
    assert "s3" not in str(caught.value)
