"""
What a stack has applied, remembered in the cluster: a ConfigMap with names, no contents.

It is written before the first object is sent, with the old names and the new ones, so that a run
that dies leaves nothing unknown behind; it is reduced after what left the stack has been pruned.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.live import Address
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from codexctl_tasks.world.cluster import Cluster

CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
LARGEST_TEXT = 256 * 1024
"""In bytes. Longer lists are compressed: a ConfigMap may have 1 MiB, some 20,000 plain names."""
_LONGEST_LABEL = 63
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")
_DOTS = re.compile(r"-*\.[.-]*")
"""Each part between dots begins and ends with a letter or a digit."""
_SHOWN = "/:"
"""Characters of names that are written as they are, besides letters, digits and ``_.-~``."""


def stack_label(stack: str, namespace: str) -> str:
    """
    Return the value of the label that objects of a stack carry.

    The namespace is part of it, because one stack may be deployed several times (slots), and its
    cluster-wide objects must not be pruned by the other deploy.
    """
    text = f"{_name(stack)}.{namespace}"
    if len(text) <= _LONGEST_LABEL:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{text[: _LONGEST_LABEL - 11].rstrip('.-')}-{digest}"


class Inventory:
    """The names of what one stack has applied in one namespace."""

    def __init__(self, cluster: Cluster, stack: str, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.name = f"codexctl-{_name(stack)}"
        self.label = stack_label(stack, namespace)
        self._known: frozenset[ObjectName] = frozenset()

    @property
    def address(self) -> Address:
        """Where it is kept."""
        return Address(CONFIG_MAP, self._namespace, self.name)

    @property
    def names(self) -> frozenset[ObjectName]:
        """What is known to have been applied; empty before `read`."""
        return self._known

    def read(self) -> None:
        """
        Read what earlier runs have applied.

        Raises:
            ClusterError: It may not be read, or is damaged: nothing must be pruned by guessing.
        """
        found = self._cluster.get(CONFIG_MAP, self._namespace, self.name)
        if found is None:
            self._known = frozenset()
            return
        try:
            self._known = frozenset(_parsed(found))
        except ValueError as error:  # of base64, gzip and text too
            raise ClusterError(
                f"ConfigMap {self._namespace}/{self.name}",
                f"is damaged ({error})",
                "delete it: what left the stack before is then not pruned any more",
            ) from error

    def add(self, names: Iterable[ObjectName]) -> None:
        """Remember more names, before they are applied."""
        self._write(self._known | set(names))

    def reduce(self, names: Iterable[ObjectName]) -> None:
        """Remember only these names, after the others were pruned."""
        self._write(frozenset(names))

    def forget(self) -> None:
        """Delete the inventory, after all objects of the stack."""
        found = self._cluster.get(CONFIG_MAP, self._namespace, self.name)
        if found is not None:
            self._cluster.delete(
                CONFIG_MAP, self._namespace, self.name, str(found["metadata"]["uid"])
            )
        self._known = frozenset()

    def _write(self, names: frozenset[ObjectName]) -> None:
        if names == self._known:
            return
        metadata = {
            "name": self.name,
            "namespace": self._namespace,
            "labels": {STACK_LABEL: self.label},
        }
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **_content(names)}
        self._cluster.apply(CONFIG_MAP, self._namespace, body, force=True)
        self._known = names


def _content(names: Iterable[ObjectName]) -> dict[str, Mapping[str, str]]:
    """Return a line with apiVersion, kind and namespace, then the names, each indented."""
    lines: list[str] = []
    group: tuple[str, str, str] | None = None
    for name in sorted(names):
        if group != name[:3]:
            group = name[:3]
            lines.append(" ".join(quote(part, safe=_SHOWN) or "-" for part in group))
        lines.append(f"  {quote(name.name, safe=_SHOWN)}")
    text = "".join(f"{line}\n" for line in lines)
    if len(text) <= LARGEST_TEXT:
        return {"data": {"objects": text}}
    compressed = gzip.compress(text.encode(), mtime=0)
    return {"binaryData": {"objects.gz": base64.b64encode(compressed).decode()}}


def _parsed(found: Mapping[str, object]) -> Iterator[ObjectName]:
    data, binary = found.get("data"), found.get("binaryData")
    text = ""
    if isinstance(data, dict) and "objects" in data:
        text = str(data["objects"])
    elif isinstance(binary, dict) and "objects.gz" in binary:
        try:
            compressed = base64.b64decode(binary["objects.gz"], validate=True)
            text = gzip.decompress(compressed).decode()
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(error) from error
    else:
        raise ValueError("neither objects nor objects.gz")
    group: list[str] = []
    has_names = True
    for line in text.splitlines():
        is_name = line.startswith("  ")
        if not is_name:
            if not has_names:
                raise ValueError(f"no names follow {' '.join(group)!r}")
            group = [unquote(part) for part in line.split(" ")]
        has_names = is_name
        if len(group) != 3:  # noqa: PLR2004 - apiVersion, kind, namespace
            raise ValueError(f"a line is not understood: {line[:80]!r}")
        if is_name:
            api_version, kind, namespace = group
            namespace = "" if namespace == "-" else namespace
            yield ObjectName(api_version, kind, namespace, unquote(line[2:]))
    if not has_names:
        raise ValueError(f"no names follow {' '.join(group)!r}")


def _name(stack: str) -> str:
    """Return the name of a stack as Kubernetes allows it in names, unique all the same."""
    plain = _DOTS.sub(".", _NOT_IN_NAMES.sub("-", stack.lower())).strip("-.")
    if plain == stack and len(plain) <= _LONGEST_LABEL:
        return plain
    digest = hashlib.sha256(stack.encode()).hexdigest()[:8]
    return f"{plain[:40].strip('-.')}-{digest}".strip("-.")
