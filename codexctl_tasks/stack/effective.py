"""The configuration of one environment as it is after rendering and inheritance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.model import Item


def effective(loaded: LoadedStack) -> dict[str, Any]:
    """
    Return ``services.yaml`` as it holds for the environment, with its own keys.

    What concerns other environments is left out, `when`, `tagTemplate` and the image of the proxy
    are rendered, and what has no value is not there.
    """
    stack, env = loaded.stack, loaded.source.env
    whole = stack.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    whole["project"] = stack.project
    whole["namespace"] = {"patterns": {env: loaded.context.namespace}}
    own = stack.environment(env).model_dump(by_alias=True, exclude_defaults=True, mode="json")
    own.pop("from", None)
    whole["environments"] = {env: own}
    if "baseDomain" in whole:
        whole["baseDomain"] = _only(whole["baseDomain"], env)
    if image := loaded.proxy_image():
        whole["codex"]["proxy"]["image"] = image
    for key, items in (("infrastructure", stack.infrastructure), ("services", stack.services)):
        if items:
            whole[key] = _items(loaded, key, items, whole[key])
    return {key: value for key, value in whole.items() if value not in ({}, [])}


def _items(
    loaded: LoadedStack, key: str, items: Sequence[Item], dumped: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    found = []
    for index, (item, entry) in enumerate(zip(items, dumped, strict=True)):
        path = (key, index)
        if item.when:
            entry["when"] = "true" if loaded.wants(item, path) else "false"
        if "overlays" in entry:
            entry["overlays"] = _only(entry["overlays"], loaded.source.env)
        if "ingress" in entry:
            hosts = _only(entry["ingress"].pop("hosts", {}), loaded.source.env)
            entry["ingress"] |= {"hosts": hosts} if hosts else {}
        if "tagTemplate" in entry.get("image", {}):
            template = entry["image"]["tagTemplate"]
            tag = loaded.render_again(template, (*path, "image", "tagTemplate"))
            entry["image"]["tagTemplate"] = tag
        found.append({name: value for name, value in entry.items() if value not in ({}, [])})
    return found


def _only(values: dict[str, Any], env: str) -> dict[str, Any]:
    return {env: values[env]} if env in values else {}
