"""Certificates and kubeconfigs: one authority per sandbox, one identity per component."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.addresses import Addresses

_DAYS = 3650
_RENEW_BEFORE_S = 30 * 24 * 3600
_MADE_FOR = "made-for.json"


@dataclass(frozen=True)
class Identity:
    """
    Who a component is to the API server.

    Attributes:
        name: name of the key files and of the kubeconfig.
        user: common name: the Kubernetes user.
        group: organisation: the Kubernetes group; empty for none.

    """

    name: str
    user: str
    group: str = ""

    @property
    def subject(self) -> str:
        """The certificate's subject as openssl writes it."""
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"


NODE_NAME = "node1"
IDENTITIES = [
    Identity("admin", "admin", "system:masters"),
    # Kubernetes has no ready-made roles for these two, so they administrate as well.
    Identity("kube-controller-manager", "system:kube-controller-manager", "system:masters"),
    Identity("coredns", "coredns", "system:masters"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("kubelet", f"system:node:{NODE_NAME}", "system:nodes"),
]


def make(folder: Path, addresses: Addresses) -> None:
    """Make keys and certificates; keep those there when they fit and last long enough."""
    names = _server_names(addresses)
    wanted = [names, *(identity.subject for identity in IDENTITIES)]
    made_for = folder / _MADE_FOR
    if _fits(made_for, wanted):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    _sign_authority(folder)
    _sign(folder, "apiserver", "/CN=kube-apiserver", names)
    for identity in IDENTITIES:
        _sign(folder, identity.name, identity.subject, "")
    _run(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    _run(folder, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    expires = time.time() + _DAYS * 24 * 3600
    made_for.write_text(json.dumps({"wanted": wanted, "expires": expires}))


def read_fingerprint(folder: Path) -> str:
    """Return what differs whenever the keys were made anew."""
    return hashlib.sha256((folder / "ca.crt").read_bytes()).hexdigest()


def _fits(made_for: Path, wanted: list[str]) -> bool:
    try:
        made = json.loads(made_for.read_text())
    except (OSError, ValueError):
        return False
    return bool(made["wanted"] == wanted and made["expires"] > time.time() + _RENEW_BEFORE_S)


def _server_names(addresses: Addresses) -> str:
    ips = ["127.0.0.1", addresses.node, addresses.first_service]
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names.append("kubernetes.default.svc.cluster.local")
    return ",".join([f"IP:{ip}" for ip in ips] + [f"DNS:{name}" for name in names])


def _sign_authority(folder: Path) -> None:
    _run(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=codexctl-sandbox"),
        *("-days", str(_DAYS), "-addext", "keyUsage=critical,keyCertSign,digitalSignature"),
    )


def _sign(folder: Path, name: str, subject: str, names: str) -> None:
    extensions = folder / f"{name}.ext"
    usage = "serverAuth,clientAuth" if names else "clientAuth"
    san = f"subjectAltName={names}\n" if names else ""
    extensions.write_text(f"extendedKeyUsage={usage}\n{san}")
    _run(
        folder,
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject),
    )
    _run(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-out", f"{name}.crt", "-days", str(_DAYS)),
        *("-extfile", extensions.name),
    )


def _run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["failed"])[-1]
        raise SandboxError("openssl", reason, "python3 -m sandbox up --fresh")


def write_kubeconfigs(folder: Path, addresses: Addresses, admin_conf: Path) -> None:
    """Write one self-contained kubeconfig per identity, readable by its owner only."""
    for identity in IDENTITIES:
        target = admin_conf if identity.name == "admin" else folder / f"{identity.name}.conf"
        content = json.dumps(_render(folder, identity, addresses), indent=1)
        if target.exists() and target.read_text() == content:
            continue
        partial = target.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(content)
        partial.replace(target)


def _render(folder: Path, identity: Identity, addresses: Addresses) -> dict[str, object]:
    def inline(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    cluster = {"server": addresses.server, "certificate-authority-data": inline("ca.crt")}
    user = {
        "client-certificate-data": inline(f"{identity.name}.crt"),
        "client-key-data": inline(f"{identity.name}.key"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": identity.name, "user": user}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": identity.name}}],
        "current-context": "sandbox",
    }
