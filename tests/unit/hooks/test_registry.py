"""Which hooks there are, ours and those of packages."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable  # noqa: TC003 - pydantic reads it
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.hooks.contract import Hook, HookContext, Parameters, hook
from codexctl_tasks.hooks.registry import BUILT_IN, GROUP, Broken, Registry

if TYPE_CHECKING:
    from pathlib import Path


@hook("acme.notify", Parameters)
def notify(given: Parameters, context: HookContext) -> None:
    """Tell the team."""
    del given
    context.tell("told")


class Odd(Parameters):
    """Parameters of a type that no schema describes."""

    act: Callable[[], None]


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Install a package that brings hooks, and one that ends whoever imports it."""
    (tmp_path / "acme_exit.py").write_text("print('{}')\nraise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("acme_hooks")
    module.notify, module.text = notify, "no hook"  # type: ignore[attr-defined]
    module.modelless = dataclasses.replace(notify, name="acme.broken", parameters=dict)  # type: ignore[attr-defined,arg-type]
    module.odd = dataclasses.replace(notify, name="acme.broken", parameters=Odd)  # type: ignore[attr-defined,arg-type]
    monkeypatch.setitem(sys.modules, "acme_hooks", module)
    return module


def registry(*entries: tuple[str, str]) -> Registry:
    """Return a registry that finds these entry points: name and value."""
    return Registry(lambda: [EntryPoint(name, value, GROUP) for name, value in entries])


def test_every_built_in_hook_is_there() -> None:
    """The table of names leads to hooks of these names."""
    known = registry()

    for name in BUILT_IN:
        found = known.find(name)
        assert isinstance(found, Hook)
        assert found.name == name
        assert found.summary.endswith(".")
        assert found.example


def test_a_package_brings_a_hook() -> None:
    """It is found like one of our own, and listed after them."""
    known = registry(("acme.notify", "acme_hooks:notify"))

    assert known.find("acme.notify") is notify
    assert known.names == [*BUILT_IN, "acme.notify"]
    assert known.warnings == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nosuch_package:notify", "cannot be imported: ModuleNotFoundError: No module named"),
        ("acme_hooks:nosuch", "cannot be imported: AttributeError"),
        ("acme_hooks:text", "acme_hooks:text is no hook"),
        ("acme_exit:anything", "cannot be imported: SystemExit: 3"),
        ("acme_hooks:modelless", "the parameters of acme_hooks:modelless are no model"),
        ("acme_hooks:odd", "Odd cannot be described: PydanticInvalidForJsonSchema: "),
    ],
)
def test_a_broken_package_is_named_and_disturbs_nobody_else(
    value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only who uses its hook hears of it; what it prints is not taken for a result."""
    known = registry(("acme.broken", value), ("acme.notify", "acme_hooks:notify"))

    found = known.find("acme.broken")

    assert isinstance(found, Broken)
    assert reason in found.reason
    assert capsys.readouterr().out == ""
    assert known.find("acme.notify") is notify
    assert isinstance(known.find("sleep"), Hook)


def test_a_hook_is_called_what_its_entry_point_says() -> None:
    """Otherwise the documentation would tell of a name that does not work."""
    found = registry(("acme.tell", "acme_hooks:notify")).find("acme.tell")

    assert isinstance(found, Broken)
    assert "calls itself 'acme.notify'" in found.reason


def test_our_own_names_cannot_be_taken() -> None:
    """A package cannot change what `sleep` does by being installed."""
    known = registry(("sleep", "acme_hooks:notify"))

    assert known.find("sleep") is not notify
    assert known.names == [*BUILT_IN]
    assert known.warnings == ["a package brings a hook 'sleep', which is codexctl's own: ignored"]


def test_two_packages_with_the_same_name() -> None:
    """Neither is chosen by chance."""
    twice = ("acme.notify", "acme_hooks:notify")

    found = registry(twice, twice).find("acme.notify")

    assert isinstance(found, Broken)
    assert "both bring it: uninstall one" in found.reason


def test_an_unknown_name() -> None:
    """There is none, and the nearest one is proposed."""
    assert registry().find("kubectl.wiat") is None
    assert registry().suggest("kubectl.wiat") == "did you mean 'kubectl.wait'?"
    assert registry().suggest("x").startswith("known are codex.ensure-data-dirs, ")
