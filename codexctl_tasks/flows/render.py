"""Show what an environment is made of: its manifests, its values, its configuration."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import MASK
from codexctl_tasks.errors import DONE, ConfigurationError, Location, UsageError
from codexctl_tasks.flows.environment import load_renderable, load_settings
from codexctl_tasks.stack.dialect import Dialect
from codexctl_tasks.stack.documents import write_documents
from codexctl_tasks.stack.effective import effective
from codexctl_tasks.stack.files import display, read_text
from codexctl_tasks.stack.functions import functions
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.values import with_string_maps
from codexctl_tasks.stack.reference import json_schema
from codexctl_tasks.stack.rendering import desired_of
from codexctl_tasks.stack.templates import Templates
from codexctl_tasks.stack.values import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codexctl_tasks.console import Console
    from codexctl_tasks.requests.basis import Source
    from codexctl_tasks.requests.runs import RenderRequest, TemplateRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.manifests import Manifest


def render(request: RenderRequest, console: Console) -> int:
    """Print the manifests of an environment; the cluster is not asked."""
    if request.show_values:
        return _show_values(request.source, console)
    desired = load_renderable(request.source, console)
    if request.output_dir is None:
        sys.stdout.write(_yaml(desired.manifests))
        return DONE
    # Not by the files they come from: two of them may have to go to the same place.
    for place, manifests in groupby(sorted(desired.manifests, key=_below), _below):
        file = request.output_dir / place
        _write(file, _yaml(manifests))
        console.step("write", str(file))
    return DONE


def render_template(request: TemplateRequest) -> int:
    """Print one template, rendered with data from a file."""
    name = display(request.file)
    text = read_text(request.file, name)
    data = with_string_maps(_json(request.data)) if request.data else {}
    dialect = Dialect(request.dialect) if request.dialect else None
    names = data if isinstance(data, dict) else {}
    templates = Templates(
        request.file.resolve().parent,
        names,
        functions(names.get("EnvMap", {}), Time.of(datetime.now(UTC))),
        data=data,
    )
    sys.stdout.write(templates.render(text, name, dialect=dialect).text)
    return DONE


def config(source: Source, console: Console) -> int:
    """Print the effective configuration of an environment."""
    loaded = _load(source, console)
    found = console.masked_data(effective(loaded))
    sys.stdout.write(write_documents([(found, f"{loaded.file}, environment {source.env}")]))
    return DONE


def schema() -> int:
    """Print the JSON Schema of ``services.yaml``."""
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return DONE


def _show_values(source: Source, console: Console) -> int:
    loaded = _load(source, console)
    desired_of(loaded)  # all templates shall have looked up what they need
    for value in values_of(loaded):
        # Masked before it is written as JSON, in which a secret may look otherwise.
        shown = (
            MASK
            if value.is_secret
            else json.dumps(console.masked_data(value.value), ensure_ascii=False)
        )
        sys.stdout.write(f"{value.name}: {shown}  # {value.origin}\n")
    return DONE


def _load(source: Source, console: Console) -> LoadedStack:
    if source.manifests:
        raise UsageError(
            "--manifests", "is plain YAML without configuration", "give --env and a services.yaml"
        )
    return load_settings(source, console)


def _yaml(manifests: Iterable[Manifest]) -> str:
    return write_documents((m.body, f"Source: {m.location}") for m in manifests)


def _below(manifest: Manifest) -> PurePath:
    """Return where a manifest goes in the folder of the output: never outside of it."""
    path = PurePath(manifest.file)
    return PurePath(path.name) if path.is_absolute() or ".." in path.parts else path


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            str(file), f"cannot be written: {error.strerror}", "give another --output-dir"
        ) from None


def _json(path: Path) -> Any:
    name = display(path)
    try:
        return json.loads(read_text(path, name))
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            Location(name, error.lineno), f"is not JSON: {error.msg}", "correct it there"
        ) from None
    except RecursionError:
        raise ConfigurationError(name, "is nested too deeply", "make it flatter") from None
