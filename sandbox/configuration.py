"""
What the node runs and with which settings: the plan and the configuration files.

Inside the node the state folder is always ``/run/sandbox/state`` and the
binaries are in ``/run/sandbox/bin`` (see `node`), so nothing here depends on
the machine, and Unix sockets have short paths.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sandbox.addresses import API_PORT, REGISTRY_PORT
from sandbox.keys import NODE_NAME
from sandbox.places import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.addresses import Addresses

STATE = "/run/sandbox/state"
BIN = "/run/sandbox/bin"
_PKI = f"{STATE}/pki"
_CONFIG = f"{STATE}/config"
_ETCD = "http://127.0.0.1:2379"
PAUSE = "pause:1"
REGISTRIES = "certs.d"  # one folder per registry, named as in references, with a file HOSTS
HOSTS = "hosts.toml"
FORWARDER = "registry-forwarder"  # part of process 1, see `node`: no command line
# The code that runs in the node: when it changes, a running node is not what would be started.
_NODE_CODE = ("node.py", "namespaces.py", "forwarder.py")
# Controllers for clouds and for networks that are not ours.
_NO_CONTROLLERS = (
    "node-ipam-controller",
    "cloud-node-lifecycle-controller",
    "node-route-controller",
    "service-lb-controller",
)


@dataclass(frozen=True)
class Program:
    """One long-running program of the node: its name and its command line."""

    name: str
    argv: list[str]


@dataclass(frozen=True)
class Plan:
    """
    Everything process 1 of the node needs to know.

    Attributes:
        number: number of the sandbox: its addresses.
        programs: what runs, in the order it is started.
        digest: changes whenever a full node would run something else.

    """

    number: int
    programs: list[Program]
    digest: str

    def save(self, file: Path) -> None:
        """Write the plan where process 1 reads it."""
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(file)


def load_plan(file: Path) -> Plan | None:
    """Read a plan; None when there is none that can be read."""
    try:
        read = json.loads(file.read_text())
        programs = [Program(**program) for program in read["programs"]]
        return Plan(read["number"], programs, read["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_plan(addresses: Addresses, made_of: list[str], *, control_plane: bool) -> Plan:
    """
    Plan a full node or its control plane only.

    Args:
        addresses: its addresses.
        made_of: names of what else makes the node what it is: binaries, keys.
        control_plane: leave out what runs pods.

    """
    control = plan_control_plane(addresses)
    node = plan_node(addresses)
    programs = [asdict(program) for program in control + node]
    code = [(SOURCE / name).read_text() for name in _NODE_CODE]
    content = json.dumps([made_of, programs, render_files(addresses), code], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Plan(addresses.number, control if control_plane else control + node, digest)


def plan_control_plane(addresses: Addresses) -> list[Program]:
    """Return etcd, API server, controller manager and scheduler."""
    return [
        _program(
            "etcd",
            data_dir=f"{STATE}/etcd",
            listen_client_urls=_ETCD,
            advertise_client_urls=_ETCD,
            listen_peer_urls="http://127.0.0.1:2380",
            log_level="warn",
            unsafe_no_fsync="true",  # a sandbox may lose data when the machine crashes
        ),
        _plan_api_server(addresses),
        _program(
            "kube-controller-manager",
            kubeconfig=f"{_PKI}/kube-controller-manager.conf",
            service_account_private_key_file=f"{_PKI}/sa.key",
            root_ca_file=f"{_PKI}/ca.crt",
            controllers=",".join(["*", *(f"-{name}" for name in _NO_CONTROLLERS)]),
            enable_hostpath_provisioner="true",
            flex_volume_plugin_dir="/var/lib/kubelet/volume-plugins",  # else made on the machine
            bind_address=addresses.node,
            kube_api_qps="200",
            kube_api_burst="400",
            leader_elect="false",
        ),
        _program(
            "kube-scheduler",
            bind_address=addresses.node,
            kubeconfig=f"{_PKI}/kube-scheduler.conf",
            kube_api_qps="200",
            kube_api_burst="400",
            leader_elect="false",
        ),
    ]


def _plan_api_server(addresses: Addresses) -> Program:
    return _program(
        "kube-apiserver",
        etcd_servers=_ETCD,
        bind_address=addresses.node,
        advertise_address=addresses.node,
        secure_port=str(API_PORT),
        service_cluster_ip_range=addresses.services,
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        client_ca_file=f"{_PKI}/ca.crt",
        tls_cert_file=f"{_PKI}/apiserver.crt",
        tls_private_key_file=f"{_PKI}/apiserver.key",
        service_account_key_file=f"{_PKI}/sa.pub",
        service_account_signing_key_file=f"{_PKI}/sa.key",
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        allow_privileged="true",
        kubelet_client_certificate=f"{_PKI}/admin.crt",
        kubelet_client_key=f"{_PKI}/admin.key",
        kubelet_preferred_address_types="InternalIP",
    )


def plan_node(addresses: Addresses) -> list[Program]:
    """Return what turns a control plane into a node that runs pods."""
    registry = ["docker-registry", "serve", f"{_CONFIG}/registry.yml"]
    coredns = [f"{BIN}/coredns", "-conf", f"{_CONFIG}/Corefile"]
    return [
        Program("containerd", ["containerd", "--config", f"{_CONFIG}/containerd.toml"]),
        Program("registry", registry),
        Program(FORWARDER, []),
        Program("coredns", coredns),
        _program(
            "kubelet",
            config=f"{_CONFIG}/kubelet.yaml",
            kubeconfig=f"{_PKI}/kubelet.conf",
            hostname_override=NODE_NAME,
            node_ip=addresses.node,
        ),
        _program(
            "kube-proxy",
            kubeconfig=f"{_PKI}/kube-proxy.conf",
            hostname_override=NODE_NAME,
            proxy_mode="iptables",
            cluster_cidr=addresses.pods,
            conntrack_max_per_core="0",  # would be a setting of the whole machine
        ),
    ]


def _program(name: str, **flags: str) -> Program:
    options = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
    return Program(name, [f"{BIN}/{name}", *options])


def write_files(folder: Path, addresses: Addresses) -> None:
    """Write the configuration files of the programs."""
    for name, content in render_files(addresses).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def render_files(addresses: Addresses) -> dict[str, str]:
    """Return the configuration files by their path below ``config/``."""
    registry = f"http://{addresses.node}:{REGISTRY_PORT}"
    return {
        "cni/10-pods.conflist": json.dumps(_render_pod_network(addresses), indent=1),
        f"{REGISTRIES}/{addresses.registry}/{HOSTS}": render_hosts(registry),
        "containerd.toml": _render_containerd(addresses),
        "kubelet.yaml": json.dumps(_render_kubelet(addresses), indent=1),
        "resolv.conf": f"nameserver {addresses.node}\n",
        "Corefile": _render_dns(addresses),
        "registry.yml": json.dumps(_render_registry(addresses), indent=1),
    }


def render_hosts(url: str) -> str:
    """
    Return the file that leads containerd to a registry; it is read again at every pull.

    Without the `server` line a missing tag would read "connection refused".
    """
    return f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def _render_pod_network(addresses: Addresses) -> dict[str, object]:
    """
    Give every pod a cable of its own and a route.

    With a bridge, answers between pods would pass by the service rules unless
    the machine had br_netfilter loaded, which changes all its other bridges.
    """
    addressing = {
        "type": "host-local",
        "ranges": [[{"subnet": addresses.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    cable = {"type": "ptp", "ipMasq": False, "ipam": addressing}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [cable, ports]}


def _render_containerd(addresses: Addresses) -> str:
    # restrict_oom_score_adj: machines in clouds often lack CAP_SYS_RESOURCE.
    # disable_apparmor: a profile would be loaded into the machine's kernel and stay there.
    return f"""version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_unprivileged_ports = true
  sandbox_image = "{addresses.registry}/{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{_CONFIG}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    discard_unpacked_layers = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{_CONFIG}/{REGISTRIES}"
"""


def _render_kubelet(addresses: Addresses) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
            "webhook": {"enabled": False},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        # A kubelet kills what it does not know below its root: it needs one of its own.
        "cgroupRoot": f"/{addresses.cgroup}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [addresses.node],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{_CONFIG}/resolv.conf",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # The disk is the developer's: a full one is reported by what fails, not by evictions.
        "evictionHard": {
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
            "memory.available": "100Mi",
        },
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 250,
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
    }


def _render_dns(addresses: Addresses) -> str:
    return f""".:53 {{
  bind {addresses.node}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {_PKI}/coredns.conf sandbox
    ttl 1
  }}
}}
"""


def _render_registry(addresses: Addresses) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": f"{STATE}/registry"},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{addresses.node}:{REGISTRY_PORT}"},
    }
