"""What the demo needs besides its story: talk, run commands, look into the cluster."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 78
_BAR = "  | "
_UNBROKEN: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
_OF_THE_STORY = re.compile(r"SHOP_|WEB_VERSION$|CODEXCTL_(?!SANDBOX_)")
"""Variables that would tell codexctl and the shop's templates another story."""
_END_S = 20.0
"""How long a command may take to end after Ctrl-C."""
_DELETION_S = 120.0
_PAGE_S = 15.0
"""How long the network of a cluster may take to learn of new pods."""


class DemoError(Exception):
    """The demo cannot go on; the text is ``what: how to look further``."""


class SetupError(Exception):
    """Something is missing before the demo begins; ``where: what: how to mend it``."""


class Narrator:
    """Prints the story: steps, explanations, commands and what they printed, told apart."""

    def __init__(self, steps: int, out: TextIO = sys.stdout) -> None:
        self._out, self._steps = out, steps
        self._folding = out.isatty()
        self._colour = self._folding and not os.environ.get("NO_COLOR")
        self.step_number = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self.step_number += 1
        self._print()
        self._print(self._painted("1", f"{self.step_number}/{self._steps}  {title}"))

    def title(self, text: str) -> None:
        """Begin a part that is no step."""
        self._print()
        self._print(self._painted("1", text))

    def say(self, text: str) -> None:
        """Explain something, wrapped to the screen."""
        self._print(textwrap.fill(" ".join(text.split()), WIDTH))

    def success(self, text: str) -> None:
        """Tell that something went as it should."""
        first, *rest = textwrap.wrap(" ".join(text.split()), WIDTH - 4)
        self._print(self._painted("32", f"ok  {first}"))
        for line in rest:
            self._print(self._painted("32", f"    {line}"))

    def command(self, line: str) -> None:
        """Show a command as a person types it; a long one continues on the next line."""
        glued = re.sub(r"(--[a-z]\S*) (?=[^-])", "\\1\0", f"$ {line}")  # a flag and its value
        lines = textwrap.wrap(glued, WIDTH - 2, subsequent_indent="    ", **_UNBROKEN)
        for shown in (*(f"{part} \\" for part in lines[:-1]), lines[-1]):
            self._print(self._painted("36", shown.replace("\0", " ")))

    def suggestion(self, purpose: str, line: str) -> None:
        """Show a command that the reader may try, after what it is good for."""
        self._print(f"  {purpose:<18}" + self._painted("36", line))

    def output(self, text: str) -> None:
        """Show a line that a command printed, folded on a terminal that is too narrow for it."""
        lines = [text]
        if self._folding and text.strip():
            width = max(shutil.get_terminal_size().columns - len(_BAR), 40)
            lines = textwrap.wrap(text, width, subsequent_indent=" " * 11, **_UNBROKEN)
        for line in lines:
            self._print(self._painted("2", _BAR.rstrip()) + f" {line}".rstrip())

    def plain(self, text: str) -> None:
        """Print a line as it is."""
        self._print(text)

    def _painted(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _print(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)


@dataclass(frozen=True)
class Finished:
    """What became of a command."""

    exit_code: int
    output: str
    seconds: float


class Shell:
    """Runs commands and shows what they print while they print it."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self.environment = {k: v for k, v in os.environ.items() if not _OF_THE_STORY.match(k)}
        self.environment["PYTHONUNBUFFERED"] = "1"

    def run(self, command: Sequence[str], folder: Path) -> Finished:
        """
        Run a command to its end.

        Raises:
            KeyboardInterrupt: After the command and all that it started have ended, too.
        """
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the demo alone, which ends the rest in order
        )
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                self._narrator.output(line.rstrip("\n"))
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        return Finished(code, "".join(lines), time.monotonic() - began)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and its children as Ctrl-C would, by force if that takes too long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave it half done
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def find_codexctl() -> Path:
    """Return the program: beside this Python, in the repository's environment, or on PATH."""
    for folder in (Path(sys.executable).parent, ROOT / ".venv" / "bin"):
        if os.access(folder / "codexctl", os.X_OK):
            return folder / "codexctl"
    if found := shutil.which("codexctl"):
        return Path(found)
    raise SetupError("codexctl: is not installed: run `make demo`, which installs it into .venv")


def parse_exports(text: str) -> dict[str, str]:
    """Read the ``export NAME=value`` lines that ``python3 -m sandbox env`` prints."""
    words = (shlex.split(line) for line in text.splitlines() if line.startswith("export "))
    pairs = (word.partition("=") for _, word in words)
    return {name: value for name, _, value in pairs}


def check_registry(address: str) -> None:
    """Raise `SetupError` unless a registry answers."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/v2/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise SetupError(
            f"registry {address}: does not answer ({error}): start one there, or name yours in "
            "SANDBOX_REGISTRY"
        ) from error
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        raise SetupError(
            f"registry {address}: answers {status} to /v2/: the demo needs one that takes images "
            "without a password, name it in SANDBOX_REGISTRY"
        )


class _Text(HTMLParser):
    """Collects the text of a page's body; every block is a line."""

    _BLOCKS = frozenset({"h1", "p", "li", "footer"})

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self._in_body = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._in_body = self._in_body or tag == "body"
        if tag in self._BLOCKS:
            self.lines.append("- " if tag == "li" else "")

    def handle_data(self, data: str) -> None:
        if self._in_body:
            self.lines[-1] += data.replace("\n", " ")


def page_text(html: str) -> list[str]:
    """Return what a person sees of a page, line by line, without empty lines."""
    parser = _Text()
    parser.feed(html)
    return [line.strip() for line in parser.lines if line.strip()]


class Cluster:
    """The little that the demo asks the cluster itself; all else goes through codexctl."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Connect, and raise `SetupError` if nobody answers."""
        kubernetes: Any = importlib.import_module("kubernetes")
        urllib3: Any = importlib.import_module("urllib3")
        os.environ.update(environment)  # the client reads NO_PROXY there
        self._refusal = kubernetes.client.ApiException
        self._failures = (self._refusal, urllib3.exceptions.HTTPError, OSError)
        try:
            kubernetes.config.load_kube_config(config_file=environment.get("KUBECONFIG"))
            kubernetes.client.VersionApi().get_code(_request_timeout=10)
        except (*self._failures, kubernetes.config.ConfigException) as error:
            raise SetupError(
                f"KUBECONFIG: no cluster answers ({_first_line(error)}): name the file of one "
                "that does"
            ) from error
        self.address = str(kubernetes.client.Configuration.get_default_copy().host)
        self._core = kubernetes.client.CoreV1Api()

    def has_namespace(self, name: str) -> bool:
        """Tell whether a namespace exists."""
        with self._told():
            return any(ns.metadata.name == name for ns in self._core.list_namespace().items)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and return when it is gone."""
        deadline = time.monotonic() + _DELETION_S
        try:
            self._core.delete_namespace(name)
        except self._refusal as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise DemoError(
                    f"namespace {name} cannot be deleted ({error.reason}): choose another one, "
                    "DEMO_NAMESPACE"
                ) from error
        while self.has_namespace(name):
            if time.monotonic() > deadline:
                raise DemoError(
                    f"namespace {name} is still there after {_DELETION_S:.0f} s: "
                    f"kubectl get namespace {name} -o yaml says what holds it"
                )
            time.sleep(0.3)

    def service_address(self, namespace: str, name: str) -> str:
        """Return the address of a Service inside the cluster."""
        with self._told():
            return str(self._core.read_namespaced_service(name, namespace).spec.cluster_ip)

    def page(self, namespace: str, expected: str) -> list[str]:
        """
        Fetch the shop's page through its Service; the API server passes the request on.

        Args:
            namespace: Where the Service is.
            expected: What the page must contain.

        Returns:
            The lines of the page, or of what came instead of it until the time was over.
        """
        deadline = time.monotonic() + _PAGE_S
        while True:
            lines = self._page(namespace)
            if any(expected in line for line in lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.3)

    def _page(self, namespace: str) -> list[str]:
        try:
            return page_text(
                self._core.connect_get_namespaced_service_proxy(
                    "web:http", namespace, _request_timeout=10
                )
            )
        except self._failures as error:
            return [f"no page: {_first_line(error)}"]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise DemoError(
                f"the cluster does not answer ({_first_line(error)}): python3 -m sandbox status"
            ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
