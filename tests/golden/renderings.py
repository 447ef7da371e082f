"""
What the examples render to, as files that are looked at whenever they change.

``python -m tests.golden.renderings`` writes them anew; the difference belongs into the commit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from codexctl_tasks.requests.basis import Filters, Source
from codexctl_tasks.stack.desired import load_desired
from codexctl_tasks.stack.documents import write_documents

ROOT = Path(__file__).parents[2]
EXPECTED = Path(__file__).parent / "expected"
CASES: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "shop-dev": ("shop", "dev", 0, {}),
    "shop-staging": ("shop", "staging", 0, {"WEB_VERSION": "2.0"}),
    "shop-production": ("shop", "production", 0, {"SHOP_DB_PASSWORD": "only-an-example"}),
    "shop-ai-1": ("shop", "ai", 1, {}),
    "shop-ai-2": ("shop", "ai", 2, {"SHOP_INGRESS": "false"}),
    "market-dev": ("market", "dev", 0, {}),
    "market-staging": ("market", "staging", 0, {"MARKET_VERSION": "2.4.0"}),
    "market-ai-1": ("market", "ai", 1, {}),
    "market-ai-2": ("market", "ai", 2, {"MARKET_MAIL": "no"}),
    "market-ai-repair": ("market", "ai-repair", 0, {}),
}
"""Example, environment, slot and variables by name of the file."""


def rendering(name: str) -> str:
    """Return what a case renders to now; the project's folder is written ``/project``."""
    example, env, slot, variables = CASES[name]
    root = ROOT / "examples" / example
    desired = load_desired(
        Source(
            config=root / "services.yaml",
            env=env,
            slot=slot,
            namespace="",
            manifests=(),
            filters=Filters(),
            variables=variables,
            var_file=None,
            strict=True,
            now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            environ={},
        )
    )
    text = write_documents(
        (m.body, f"Source: {m.file}:{m.location.line}") for m in desired.manifests
    )
    return text.replace(str(root), "/project")


if __name__ == "__main__":
    for case in CASES:
        (EXPECTED / f"{case}.yaml").write_text(rendering(case), encoding="utf-8")
