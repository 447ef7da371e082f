"""The command line: ``python3 -m sandbox``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from sandbox import addresses as numbering
from sandbox import components, console, images, lifecycle, prerequisites, rootfs, status
from sandbox.errors import SandboxError
from sandbox.places import Places, find_places
from sandbox.waiting import BASE_REFERENCE

_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run one command; expected failures become one line each and exit code 1."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what it started, as Ctrl-C
    try:
        return _run(options, find_places())
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        sys.stderr.write(f"{error.cmd[0]}: `{command}` failed: run it by hand to see why\n")
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("sandbox: interrupted: run the same command again to go on\n")
        return _INTERRUPTED


def _run(options: argparse.Namespace, places: Places) -> int:
    if os.environ.get("SANDBOX") == "off":
        return _run_without_sandbox(options, places)
    match options.command:
        case "prepare":
            prerequisites.prepare()
        case "build" | "up":
            prerequisites.check()
            _build_or_start(options, places)
        case "down":
            lifecycle.down(places, wipe=options.wipe)
        case "status":
            found = status.list_components(places)
            print(status.render(found, as_json=options.json))
            return 0 if status.is_fine(found) else 1
        case "env":
            print(status.render_environment(places))
        case "logs":
            return status.show_log(places, options.component, follow=options.follow)
        case "push":
            addresses = numbering.recorded(places.state)
            if addresses is None:
                raise SandboxError("sandbox", "was never started", "python3 -m sandbox up")
            print(_push(options, addresses.registry))
    return 0


def _build_or_start(options: argparse.Namespace, places: Places) -> None:
    release = prerequisites.read_release_file()
    if options.command == "build":
        components.build(places)
        rootfs.build_base(places, release)
        return
    lifecycle.up(places, release, control_plane=options.control_plane, fresh=options.fresh)
    console.say('ready; use it: eval "$(python3 -m sandbox env)"')


def _run_without_sandbox(options: argparse.Namespace, places: Places) -> int:
    """Do what makes sense with somebody's own cluster (``SANDBOX=off``)."""
    registry = os.environ.get("SANDBOX_REGISTRY") or "localhost:5001"
    match options.command:
        case "push":
            if options.base == BASE_REFERENCE:
                if not shutil.which("mmdebstrap"):
                    fix = "apt-get install mmdebstrap"
                    raise SandboxError("mmdebstrap", "is needed for the base image", fix)
                layer = rootfs.build_base(places, prerequisites.read_release_file())
                images.push_layer(registry, BASE_REFERENCE, layer)
            print(_push(options, registry))
        case "env":
            variables = {"SANDBOX_REGISTRY": registry}
            if "KUBECONFIG" in os.environ:
                variables["KUBECONFIG"] = os.environ["KUBECONFIG"]
            print(status.export(variables))
        case command:
            sys.stderr.write(f"sandbox: off (SANDBOX=off): {command} does nothing\n")
    return 0


def _push(options: argparse.Namespace, registry: str) -> str:
    recipe = images.Recipe(
        files=[_split_addition(addition) for addition in options.add],
        command=options.run,
        workdir=options.workdir,
        user=options.user,
        ports=options.port,
        environment=options.env,
    )
    return images.push(registry, options.reference, options.base, recipe)


def _split_addition(addition: str) -> tuple[Path, str]:
    source, colon, target = addition.rpartition(":")
    if not colon or not target.startswith("/"):
        raise SandboxError("--add", f"{addition!r} is not SRC:DEST", "give DEST from the root, /…")
    return Path(source), target


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m sandbox",
        description="A real one-node Kubernetes for the demo and the tests.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("prepare", help="install the missing Debian packages")
    commands.add_parser("build", help="build the components and the base image, start nothing")
    up = commands.add_parser("up", help="start, or repair, and wait until ready")
    up.add_argument("--control-plane", action="store_true", help="no node: no pods will run")
    up.add_argument("--fresh", action="store_true", help="throw the state away first")
    down = commands.add_parser("down", help="end everything; the state is kept")
    down.add_argument("--wipe", action="store_true", help="throw the state away")
    shown = commands.add_parser("status", help="say what runs; exit code 1 unless all is ready")
    shown.add_argument("--json", action="store_true")
    commands.add_parser("env", help="print the variables that make a shell use the sandbox")
    logs = commands.add_parser("logs", help="print the log of a component")
    logs.add_argument("component", nargs="?", default="")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    push = commands.add_parser("push", help="make an image and push it to the registry")
    push.add_argument("reference", metavar="NAME:TAG")
    push.add_argument(
        "--from",
        dest="base",
        default=BASE_REFERENCE,
        metavar="NAME:TAG",
        help="image to build on, or scratch",
    )
    push.add_argument("--add", action="append", default=[], metavar="SRC:DEST")
    push.add_argument("--workdir", default="", metavar="DIR")
    push.add_argument("--user", default="", metavar="USER")
    push.add_argument("--port", action="append", default=[], type=int, metavar="PORT")
    push.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    # Everything after `--` is the command, whatever it looks like.
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.run = arguments[cut + 1 :]
    if options.command == "push" and options.base == images.BASE:
        options.base = BASE_REFERENCE
    return options
