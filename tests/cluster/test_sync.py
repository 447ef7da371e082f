"""Sources of a runner in the workspace of a slot: what arrives, what stays, what is never lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import output_schema
from tests.support.deploys import until
from tests.support.proxy import Proxy
from tests.support.shell import run_kubectl

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

MEGABYTE = 10**6
SECRET = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"


class Workspace:
    """A claim with a pod that mounts all of it, and a folder that is synced into it."""

    def __init__(self, playground: Playground, folder: Path) -> None:
        caches = {"XDG_CACHE_HOME": str(folder.parent / "caches")}
        environment = {**playground.environment, **caches}
        self.playground, self.folder = replace(playground, environment=environment), folder
        (playground.folder / "nothing.yaml").write_text(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: nothing}}"
        )

    def sync(self, *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Sync and return what it told."""
        return self.playground.codexctl("sync-sources", *self.flags, *flags, **env)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of each sync."""
        return "--folder", str(self.folder), "--path", "shop"

    def synced(self, *flags: str) -> dict[str, Any]:
        """Sync, which must not fail; return the report."""
        done = self.sync("--output", "json", *flags)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        output_schema.check(report, "sync-sources")
        return report

    def inside(self, script: str) -> str:
        """Run a script in the synced folder of the pod; return what it prints."""
        words = ("--namespace", self.playground.namespace, "exec", "agent", "--")
        inner = f"cd /volume/shop && {script}"
        return run_kubectl(self.playground.environment, *words, "sh", "-c", inner)

    def wait_for_arrived(self, count: int) -> None:
        """Wait until so many whole files of 1 MB are in the pod, and not moved into place yet."""
        find = f"find /*/.codexctl/shop/staging -type f -size {MEGABYTE}c"
        there = ("--namespace", self.playground.namespace, "exec")

        def has_arrived() -> bool:
            pods = self.playground.kubectl("get", "pods")["items"]
            command = (*there, pods[0]["metadata"]["name"], "--", "sh", "-c", find)
            found = run_kubectl(self.playground.environment, *command, check=False)
            return len(found.splitlines()) >= count

        until(has_arrived)

    def write(self, name: str | bytes, content: str | bytes = "") -> Path:
        """Write a file of the folder."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.folder), os.fsencode(name))))  # noqa: PTH118
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def git(self, *words: str) -> None:
        """Run git in the folder."""
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        subprocess.run(["git", *identity, *words], cwd=self.folder, check=True, capture_output=True)

    def checkout(self) -> None:
        """Make a checkout with one commit."""
        self.write("README", "shop\n")
        self.write(".gitignore", "build/\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "first")


def claim(name: str = "workspace") -> dict[str, Any]:
    """Return a volume claim."""
    size = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": size}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


def agent(playground: Playground, **pod: Any) -> dict[str, Any]:
    """Return a pod that mounts the whole claim."""
    mount = {"name": "volume", "mountPath": "/volume"}
    container = {
        "name": "agent",
        "image": playground.image,
        "command": ["sleep", "100000"],
        "volumeMounts": [mount],
    }
    volume = {"name": "volume", "persistentVolumeClaim": {"claimName": "workspace"}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [volume]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent"},
        "spec": {**spec, **pod},
    }


def create(playground: Playground, *objects: dict[str, Any]) -> None:
    """Create a namespace and objects in it; wait until the pods are ready."""
    env, namespace = playground.environment, playground.namespace
    run_kubectl(env, "create", "namespace", namespace)
    for each in objects:
        run_kubectl(env, "apply", "--namespace", namespace, "-f", "-", given=json.dumps(each))
    if any(each["kind"] == "Pod" for each in objects):
        ready = ("wait", "--namespace", namespace, "--for=condition=Ready", "pod/agent")
        run_kubectl(env, *ready, "--timeout=60s")


@pytest.fixture
def workspace(playground: Playground, tmp_path: Path) -> Workspace:
    """Give an empty folder, and a workspace whose pod runs."""
    folder = tmp_path / "sources"
    folder.mkdir()
    create(playground, claim(), agent(playground))
    return Workspace(playground, folder)


def test_a_folder_arrives_as_it_is(workspace: Workspace) -> None:
    """Contents, modes, empty folders and links arrive; links are never followed."""
    workspace.write("a.txt", "a\n")
    workspace.write("bin/run", "#!/bin/sh\n").chmod(0o755)
    workspace.write("secret", "x").chmod(0o600)
    (workspace.folder / "empty").mkdir()
    (workspace.folder / "out").symlink_to("/etc/passwd")
    (workspace.folder / "folders").symlink_to("/etc")
    (workspace.folder / "dangling").symlink_to("no\nwhere")

    report = workspace.synced()

    assert (report["sent"], report["kept"], report["deleted"]) == (6, 0, 0)
    assert workspace.inside("cat a.txt") == "a\n"
    modes = workspace.inside("stat -c '%a' bin/run secret a.txt; ls -d empty").split()
    assert modes == ["755", "600", format(stat.S_IMODE(0o644), "o"), "empty"]
    links = workspace.inside("readlink out; readlink folders; readlink dangling")
    assert links == "/etc/passwd\n/etc\nno\nwhere\n"


def test_only_what_differs_is_sent_again(workspace: Workspace) -> None:
    """Ten of two hundred files are changed: ten are sent, modes are mended, nothing else moves."""
    for number in range(200):
        workspace.write(f"package-{number % 7}/{number}.py", f"{number}\n" * 50)
    workspace.synced()
    before = workspace.inside("find . -type f -exec stat -c '%i %n' {} + | sort")
    for number in range(10):
        workspace.write(f"package-{number % 7}/{number}.py", "new\n")
    (workspace.folder / "package-3" / "199.py").chmod(0o755)

    report = workspace.synced()

    assert (report["sent"], report["changedModes"], report["kept"]) == (10, 1, 189)
    assert workspace.inside("cat package-2/9.py") == "new\n"
    assert workspace.inside("stat -c %a package-3/199.py") == "755\n"
    after = workspace.inside("find . -type f -exec stat -c '%i %n' {} + | sort")
    assert len(set(before.splitlines()) & set(after.splitlines())) == 190
    assert workspace.synced()["sent"] == 0


def test_what_is_gone_here_goes_there(workspace: Workspace) -> None:
    """Files, links and whole folders that were deleted are deleted; kinds may change."""
    workspace.write("old/deep/a", "a")
    workspace.write("old/b", "b")
    workspace.write("was-file", "x")
    workspace.write("was-folder/x", "x")
    (workspace.folder / "was-link").symlink_to("was-folder")
    workspace.synced()
    for name in ("old/deep/a", "old/b", "was-file", "was-folder/x", "was-link"):
        (workspace.folder / name).unlink()
    for name in ("old/deep", "old", "was-folder"):
        (workspace.folder / name).rmdir()
    workspace.write("was-file/inner", "inner")
    workspace.write("was-folder", "now a file")
    workspace.write("was-link/y", "y")

    report = workspace.synced()

    assert (report["sent"], report["deleted"]) == (3, 3)
    found = workspace.inside("find . | sort; cat was-folder was-file/inner was-link/y").split()
    names = [".", "./was-file", "./was-file/inner", "./was-folder", "./was-link", "./was-link/y"]
    assert found == [*names, "now", "a", "fileinnery"]


def test_hostile_names_are_only_names(workspace: Workspace) -> None:
    """Line feeds, blanks, quotes, dashes, patterns, bytes that are no text: all of it arrives."""
    names = [
        b"with blank",
        b"line\nfeed",
        b"line\nfolder/in\n\nside",
        b"-rf",
        b"--checkpoint-action=exec=sh",
        b"$(touch hacked)",
        b"`touch hacked`",
        b"'quote\"",
        b"back\\slash",
        b"star*?[a]",
        b"caf\xe9 \xff\xfe",
        b"\xff\nboth",
        b"tab\there",
        b" ",
        b"d" * 200 + b"/" + b"e" * 200,
    ]
    for name in names:
        workspace.write(name, b"1" + name)
    assert workspace.synced()["sent"] == len(names)
    for name in names:
        workspace.write(name, b"2" + name)

    report = workspace.synced()

    assert (report["sent"], report["deleted"], report["work"]) == (len(names), 0, [])
    digests = "find . -type f -exec sh -c 'for f do sha256sum < \"$f\"; done' sh {} + | sort"
    assert workspace.inside(digests) == subprocess.check_output(
        ["sh", "-c", digests], cwd=workspace.folder, text=True
    )
    assert workspace.inside("find . -name hacked") == ""
    for name in names:
        os.unlink(os.path.join(os.fsencode(workspace.folder), name))  # noqa: PTH108, PTH118
    assert workspace.synced()["deleted"] == len(names)
    assert workspace.inside("find . -type f") == ""


def test_git_decides_what_is_sent(workspace: Workspace) -> None:
    """What is ignored stays at home; what a session has made there and git ignores stays, too."""
    workspace.checkout()
    workspace.write("build/huge", "x" * 1000)
    workspace.write("new.py", "not added yet")
    workspace.synced()
    workspace.inside("mkdir build && echo made > build/there")
    workspace.write("new.py", "changed")

    report = workspace.synced()

    assert (report["sent"], report["work"]) == (1, [])
    assert workspace.inside("ls build; cat new.py") == "there\nchanged"


def test_the_history_comes_without_credentials(workspace: Workspace) -> None:
    """The .git works there; tokens, headers, included files and hooks of this machine stay here."""
    workspace.checkout()
    remote = f"https://x-access-token:{SECRET}@github.example.com/shop.git"
    workspace.git("remote", "add", "origin", remote)
    workspace.git("config", "http.https://github.example.com/.extraheader", f"basic {SECRET}")
    workspace.git("config", "credential.helper", f"!echo {SECRET}")
    workspace.git("config", f"url.{remote}.insteadOf", "shop:")
    workspace.git("config", "include.path", f"/run/{SECRET}")
    workspace.git("config", "core.sshCommand", f"ssh -i {SECRET}")
    workspace.write(".git/hooks/post-checkout", f"#!/bin/sh\n: {SECRET}\n").chmod(0o755)
    workspace.write(".git/FETCH_HEAD", SECRET)

    workspace.synced()

    assert workspace.inside(f"grep -r {SECRET} . || echo clean") == "clean\n"
    assert "hooks" not in workspace.inside("ls .git")
    back = workspace.folder.parent / "back.tar"
    there = ("--namespace", workspace.playground.namespace, "exec", "agent", "--")
    with back.open("wb") as file:
        command = [workspace.playground.kubectl_path, *there, "tar", "-cC", "/volume/shop", "."]
        env = {**os.environ, **workspace.playground.environment}
        subprocess.run(command, env=env, stdout=file, check=True)
    copy = workspace.folder.parent / "copy"
    copy.mkdir()
    subprocess.run(["tar", "-xf", back, "-C", copy], check=True)

    def ask(*words: str) -> str:
        return subprocess.check_output(["git", *words], cwd=copy, text=True)

    assert ask("status", "--short") == ""
    assert ask("log", "--format=%s") == "first\n"
    assert ask("remote", "get-url", "origin") == "https://github.example.com/shop.git\n"
    ask("fsck", "--full")


def test_work_of_a_session_is_never_lost(workspace: Workspace) -> None:
    """Changed, made, deleted, committed there: nothing is replaced, and the files are named."""
    workspace.checkout()
    workspace.write("a.py", "1")
    workspace.write("b.py", "1")
    workspace.synced()
    workspace.inside(
        "echo theirs > a.py; echo new > theirs.py; rm b.py; echo x > .git/refs/heads/x"
    )

    kept = workspace.synced()
    workspace.write("README", "news\n")
    refused = workspace.sync()

    assert (kept["sent"], kept["workKept"]) == (0, True)
    assert kept["work"] == [".git/refs/heads/x", "a.py", "b.py", "theirs.py"]
    assert refused.returncode == 4
    assert "4 in all: .git/refs/heads/x, a.py, b.py, theirs.py" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert workspace.inside("cat a.py theirs.py README; ls .git/refs/heads") == (
        "theirs\nnew\nshop\nmain\nx\n"
    )

    forced = workspace.synced("--overwrite")

    assert forced["work"] == kept["work"]
    assert not forced["workKept"]
    assert workspace.inside("cat a.py b.py README; ls; ls .git/refs/heads") == (
        "11news\nREADME\na.py\nb.py\nmain\n"
    )


def test_a_folder_that_nobody_synced_is_somebodys_work(workspace: Workspace) -> None:
    """A workspace with files of unknown origin is refused, and left as it is."""
    workspace.write("a", "ours")
    env, namespace = workspace.playground.environment, workspace.playground.namespace
    script = "mkdir /volume/shop; echo theirs > /volume/shop/a"
    run_kubectl(env, "--namespace", namespace, "exec", "agent", "--", "sh", "-c", script)

    refused = workspace.sync()

    assert refused.returncode == 4
    assert "1 in all: a" in refused.stderr
    assert workspace.inside("cat a") == "theirs\n"


@pytest.fixture
def large(workspace: Workspace) -> Workspace:
    """Give a workspace, and a folder with 40 files of 1 MB."""
    for number in range(40):
        workspace.write(f"{number:02}", os.urandom(MEGABYTE))
    return workspace


ARRIVED = 11
"""Files that have arrived when a stream ends: how many more are under way is the machine's luck."""


class Cutter(Proxy):
    """Cuts all connections each time so many bytes more have gone to the server."""

    def __init__(self, workspace: Workspace, megabytes: list[int]) -> None:
        super().__init__(workspace.playground.environment["KUBECONFIG"])
        self._workspace = workspace
        self._left = [each * MEGABYTE for each in megabytes]
        self.cuts = 0

    def passing(self, count: int) -> None:
        """Count what goes to the server; hold the rest until some of it has arrived."""
        if self._left:
            self._left[0] -= count
            if self._left[0] < 0:
                self._left.pop(0)
                self.cuts += 1
                self._workspace.wait_for_arrived(ARRIVED)
                self.cut()


def test_a_cut_stream_is_gone_on_with(large: Workspace, tmp_path: Path) -> None:
    """Twice the connection breaks in the middle: the run goes on with what is missing."""
    with Cutter(large, [15, 10]) as proxy:
        config = proxy.kubeconfig(tmp_path / "cut.conf")
        report = large.synced("--kubeconfig", str(config))

    assert proxy.cuts == 2
    assert report["sent"] + report["resumed"] == 40
    assert ARRIVED <= report["resumed"] < 38
    assert large.inside("cat * | sha256sum") == subprocess.check_output(
        ["sh", "-c", "cat * | sha256sum"], cwd=large.folder, text=True
    )


def test_ctrl_c_leaves_no_half_file(
    large: Workspace,
    started: list[subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """Interrupted in the middle, nothing stands under its name; the next run sends the rest."""
    playground = large.playground
    process: list[subprocess.Popen[str]] = []
    with Interrupter(large, process) as proxy:
        config = proxy.kubeconfig(tmp_path / "slow.conf")
        flags = (*large.flags, "--kubeconfig", str(config))
        process.append(playground.start("sync-sources", *flags))
        started.append(process[0])
        _, told = process[0].communicate()

    assert process[0].returncode == 130, told
    assert large.inside("ls") == ""

    report = large.synced()

    assert report["sent"] + report["resumed"] == 40
    assert report["resumed"] >= ARRIVED


class Interrupter(Proxy):
    """Sends a process a signal, Ctrl-C by default, when 20 MB have gone to the server."""

    def __init__(
        self,
        workspace: Workspace,
        process: list[subprocess.Popen[str]],
        sends: signal.Signals = signal.SIGINT,
    ) -> None:
        super().__init__(workspace.playground.environment["KUBECONFIG"])
        self._workspace, self._process = workspace, process
        self._left, self._sends = 20 * MEGABYTE, sends

    def passing(self, count: int) -> None:
        """Count what goes to the server; hold the rest until some of it has arrived."""
        before, self._left = self._left, self._left - count
        if before > 0 >= self._left:
            self._workspace.wait_for_arrived(ARRIVED)
            self._process[0].send_signal(self._sends)


def test_without_a_pod_one_is_made_and_removed(playground: Playground, tmp_path: Path) -> None:
    """Nobody mounts the claim: a pod with the given image receives, and is gone afterwards."""
    create(playground, claim())
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", "a")

    nothing = workspace.sync()
    done = workspace.sync("--image", playground.image)

    assert nothing.returncode == 3
    assert "--image: no pod of the stack writes to claim workspace" in nothing.stderr
    assert done.returncode == 0, done.stderr
    assert "sent: 1 files" in done.stderr
    left = playground.kubectl("get", "pods")["items"]
    assert all("deletionTimestamp" in pod["metadata"] for pod in left)


def test_the_pod_is_made_like_the_one_of_the_stack(playground: Playground, tmp_path: Path) -> None:
    """What arrives belongs to the user of the stack's own pod, with the image that it has."""
    create(playground, claim())
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", "a")
    pod = agent(playground, securityContext={"runAsUser": 1000, "runAsGroup": 1000})
    workspace.playground.write(pod, file="agent.yaml")

    workspace.synced()
    run_kubectl(
        playground.environment,
        *("apply", "--namespace", playground.namespace, "-f", "-"),
        given=json.dumps(pod),
    )
    ready = ("wait", "--namespace", playground.namespace, "--for=condition=Ready", "pod/agent")
    run_kubectl(playground.environment, *ready, "--timeout=60s")

    assert workspace.inside("stat -c '%u %g' a; echo more >> a && cat a") == "1000 1000\namore\n"


def test_without_the_claim_nothing_is_made(playground: Playground, tmp_path: Path) -> None:
    """A claim that does not exist is named; no pod is left."""
    create(playground)
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", "a")

    done = workspace.sync("--image", playground.image)

    assert done.returncode == 4
    assert f"PersistentVolumeClaim {playground.namespace}/workspace: does not exist" in done.stderr
    assert playground.kubectl("get", "pods")["items"] == []


def test_what_the_other_side_complains_about_is_told(
    playground: Playground, tmp_path: Path
) -> None:
    """A volume that must not be written to: its own words are told, and nothing is tried again."""
    create(playground, claim(), agent(playground, securityContext={"runAsUser": 1000}))
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", os.urandom(3 * MEGABYTE))
    script = "mkdir -p /volume/.codexctl/shop/staging && chmod 555 /volume/.codexctl/shop/staging"
    words = ("--namespace", playground.namespace, "exec", "agent", "--", "sh", "-c", script)
    run_kubectl(playground.environment, *words)

    done = workspace.sync()

    assert done.returncode == 4
    assert "ermission denied" in done.stderr
    assert "retry" not in done.stderr
