"""
What callers of a reusable workflow see: inputs, secrets, outputs, permissions.

Run as a program it writes the tables of ``docs/workflows`` anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.shell import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

START, END = "<!-- made by make docs: start -->", "<!-- made by make docs: end -->"


@dataclass(frozen=True)
class Workflow:
    """One reusable workflow."""

    path: Path
    content: dict[str, Any]

    @property
    def page(self) -> Path:
        """Where it is documented."""
        return ROOT / "docs/workflows" / f"{self.path.stem}.md"

    @property
    def permissions(self) -> dict[str, str]:
        """What the calling job must grant."""
        order = ("none", "read", "write")
        needed: dict[str, str] = {}
        for job in self.content["jobs"].values():
            for scope, level in job.get("permissions", {}).items():
                needed[scope] = max(needed.get(scope, "none"), level, key=order.index)
        return needed

    def called_with(self, kind: str) -> dict[str, dict[str, str]]:
        """Return the inputs, secrets or outputs."""
        found: dict[str, dict[str, str]] = self.content["on"]["workflow_call"].get(kind, {})
        return found

    def digest(self) -> str:
        """Return what changes whenever callers may have to."""
        facts = {
            kind: {
                name: {key: value for key, value in each.items() if key in _FACTS}
                for name, each in self.called_with(kind).items()
            }
            for kind in ("inputs", "secrets", "outputs")
        }
        text = json.dumps([self.path.name, facts, self.permissions], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def tables(self) -> str:
        """Return the generated part of the page."""
        inputs = [
            (f"`{name}`", each["type"], _code(each.get("default", "")), each["description"])
            for name, each in self.called_with("inputs").items()
        ]
        secrets = [
            (f"`{name}`", "yes" if each.get("required") == "true" else "no", each["description"])
            for name, each in self.called_with("secrets").items()
        ]
        outputs = [(f"`{n}`", o["description"]) for n, o in self.called_with("outputs").items()]
        granted = [(f"`{scope}`", level) for scope, level in self.permissions.items()]
        return "\n".join(
            (
                *("### Inputs", "", _table(("input", "type", "default", ""), inputs)),
                *("### Secrets", "", _table(("secret", "required", ""), secrets)),
                *("### Outputs", "", _table(("output", ""), outputs)),
                *("### Permissions that the calling job grants", ""),
                _table(("scope", "level"), granted),
            )
        )

    def written_page(self, page: str) -> str:
        """Return the page with the tables as they must be."""
        head, _, rest = page.partition(START)
        tail = rest.partition(END)[2]
        return f"{head}{START}\n\n{self.tables()}\n{END}{tail}"


_FACTS = ("type", "default", "required")


def workflows() -> list[Workflow]:
    """Return the reusable workflows of this repository."""
    found = []
    for path in sorted(ROOT.glob(".github/workflows/*.yml")):
        content = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - texts alone
        if "workflow_call" in content["on"]:
            found.append(Workflow(path, content))
    return found


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    for workflow in workflows():
        workflow.page.write_text(workflow.written_page(workflow.page.read_text()))
