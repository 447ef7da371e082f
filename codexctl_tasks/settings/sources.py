"""Where a stack is, and which cluster is meant: what most tasks ask first."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import ClusterSettings, Filters, Source
from codexctl_tasks.settings.environment import path_of, paths_in, switch, value
from codexctl_tasks.settings.values import names, slot_number, variables_in

if TYPE_CHECKING:
    from collections.abc import Sequence


def source(
    *,
    env: str = "",
    slot: str = "",
    namespace: str = "",
    config: str = "",
    manifests: Sequence[str] = (),
    vars: str = "",  # noqa: A002 - the name of the flag
    var_file: str = "",
    only_services: str = "",
    skip_services: str = "",
    only_infra: str = "",
    skip_infra: str = "",
    strict: bool = False,
    pins: str = "",
    is_optional: bool = False,
) -> Source:
    """
    Combine flags and ``CODEXCTL_*``; raise `UsageError` for what cannot be used.

    With *is_optional* neither an environment nor manifests must be given.
    """
    # A flag beats the variable of the other kind of source.
    paths = tuple(
        Path(path) for path in manifests or ([] if env else paths_in("CODEXCTL_MANIFESTS"))
    )
    file = value("var-file", var_file)
    found = Source(
        config=Path(value("config", config, "services.yaml")),
        env=env.strip() if manifests else value("env", env),
        slot=slot_number(slot),
        namespace=value("namespace", namespace),
        manifests=tuple(map(Path, paths)),
        filters=Filters(
            only_services=names("only-services", only_services),
            skip_services=names("skip-services", skip_services),
            only_infra=names("only-infra", only_infra),
            skip_infra=names("skip-infra", skip_infra),
        ),
        variables=variables_in(value("vars", vars)),
        var_file=Path(file) if file else None,
        strict=strict or switch("CODEXCTL_STRICT"),
        pins=path_of(value("pins", pins)),
        now=datetime.now(UTC),
        environ=dict(os.environ),
    )
    if found.env or found.manifests or not is_optional:
        _check_source(found)
    return found


def cluster_settings(kubeconfig: str, context: str) -> ClusterSettings:
    """Return how to reach the cluster."""
    return ClusterSettings(
        kubeconfig=value("kubeconfig", kubeconfig, os.environ.get("KUBECONFIG", "")),
        context=value("context", context),
    )


def chosen_flags(**given: str) -> frozenset[str]:
    """Return which flags were given, by themselves or as ``CODEXCTL_*``."""
    flags = {name.replace("_", "-"): value for name, value in given.items()}
    return frozenset(flag for flag, text in flags.items() if value(flag, text))


def _check_source(source: Source) -> None:
    if source.manifests:
        if source.env:
            raise UsageError("--manifests", "cannot be combined with --env", "give one of the two")
        if not source.namespace:
            raise UsageError(
                "--namespace", "is required with --manifests", "say where the objects belong"
            )
    elif not source.env:
        raise UsageError(
            "--env",
            "is required",
            "name an environment of services.yaml, or give plain YAML with --manifests",
        )
