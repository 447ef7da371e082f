"""
Write table.json: what Go makes of the hand-written cases.

Run ``python -m tests.gotemplate.generate`` after a change to the cases; it needs Go.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.gotemplate.data import STACK
from tests.gotemplate.go_process import FOLDER, Oracle, find_go
from tests.gotemplate.topics import CASES

TABLE = FOLDER / "table.json"


def make_table(oracle: Oracle) -> dict[str, list[dict[str, Any]]]:
    """Return the cases of each topic with `output`, or with `error` being true."""
    return {topic: [_row(oracle, case) for case in cases] for topic, cases in CASES.items()}


def _row(oracle: Oracle, case: str | tuple[str, Any]) -> dict[str, Any]:
    row = {"text": case} if isinstance(case, str) else {"text": case[0], "data": case[1]}
    answer = oracle.ask(row["text"], row.get("data", STACK))
    # Messages differ between versions of Go, and are better here.
    return {**row, **({"error": True} if "error" in answer else answer)}


def main() -> None:
    """Write the table."""
    if (go := find_go()) is None:
        sys.exit("Go is needed: install it and put it on PATH")
    with tempfile.TemporaryDirectory() as folder, Oracle(go, Path(folder)) as oracle:
        table = make_table(oracle)
    TABLE.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
