"""Images made on this machine: a base, plus one layer of files, plus a command."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.registry import CONFIG, LAYER, MANIFEST, Registry, digest_of

BASE = "base"
SCRATCH = "scratch"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EPOCH = "1970-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Recipe:
    """
    What an image holds besides its base.

    Attributes:
        files: pairs of a file or folder on this machine and its absolute path
            in the image.
        entrypoint: program to which the arguments of a pod are added; empty keeps the base's.
        command: program and arguments; empty keeps the base's.
        workdir: working directory; empty keeps the base's.
        user: user name or ``uid[:gid]``; empty keeps the base's.
        ports: TCP ports that the image declares.
        environment: ``NAME=value`` strings.

    """

    files: list[tuple[Path, str]] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    workdir: str = ""
    user: str = ""
    ports: list[int] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)


def split_reference(reference: str) -> tuple[str, str]:
    """Split ``name:tag``; the tag is ``latest`` when left out."""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon else (reference, "latest")


def push(address: str, reference: str, base: str, recipe: Recipe) -> str:
    """
    Build an image and push it; return the reference for manifests.

    Only what the registry lacks is uploaded.

    Args:
        address: ``host:port`` of the registry.
        reference: ``name:tag`` to push to.
        base: ``name:tag`` in the same registry, or ``scratch``.
        recipe: what the image adds.

    """
    name, tag = split_reference(reference)
    with Registry(address) as registry:
        config, layers = _read_base(registry, base, name)
        if recipe.files:
            data = pack(recipe.files)
            digest = digest_of(data)
            registry.push_blob(name, digest, data, len(data))
            layers.append({"mediaType": LAYER, "digest": digest, "size": len(data)})
            config["rootfs"]["diff_ids"].append(digest)
        _apply(recipe, config["config"])
        _push_manifest(registry, name, tag, config, layers)
    return f"{address}/{name}:{tag}"


def push_layer(address: str, reference: str, layer: Path) -> str:
    """Push an image whose only layer is a tar file, such as the base; return its reference."""
    name, tag = split_reference(reference)
    digest = _digest_file(layer)
    size = layer.stat().st_size
    with Registry(address) as registry:
        manifest = registry.find_manifest(name, tag)
        if not manifest or [entry["digest"] for entry in manifest["layers"]] != [digest]:
            with layer.open("rb") as data:
                registry.push_blob(name, digest, data, size)
            config = _empty_config()
            config["rootfs"]["diff_ids"].append(digest)
            config["config"]["Cmd"] = ["/bin/sh"]
            layers = [{"mediaType": LAYER, "digest": digest, "size": size}]
            _push_manifest(registry, name, tag, config, layers)
    return f"{address}/{name}:{tag}"


def pack(files: list[tuple[Path, str]]) -> bytes:
    """Pack files into a layer that is the same, byte for byte, for the same content."""
    entries: dict[str, Path | None] = {}
    for source, target in files:
        if not source.exists():
            raise SandboxError(str(source), "is not there", "check the --add options")
        place = target.strip("/")
        found = [source, *sorted(source.rglob("*"))] if source.is_dir() else [source]
        for path in found:
            inside = path.relative_to(source).parts
            if "__pycache__" not in inside and not any(part.startswith(".") for part in inside):
                relative = "" if path == source else f"/{path.relative_to(source)}"
                entries[f"{place}{relative}".strip("/")] = path
        for parent in Path(place).parents:
            entries.setdefault(str(parent), None)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as layer:
        for name in sorted(set(entries) - {"", "."}):
            _add(layer, name, entries[name])
    return packed.getvalue()


def _add(layer: tarfile.TarFile, name: str, source: Path | None) -> None:
    entry = tarfile.TarInfo(name)
    if source is None or (source.is_dir() and not source.is_symlink()):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        layer.addfile(entry)
    elif source.is_symlink():
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(source.readlink()), 0o777
        layer.addfile(entry)
    else:
        data = source.read_bytes()
        entry.size = len(data)
        entry.mode = 0o755 if os.access(source, os.X_OK) and source.stat().st_mode & 1 else 0o644
        layer.addfile(entry, io.BytesIO(data))


def _read_base(
    registry: Registry, base: str, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return configuration and layers of the base, with its blobs usable by `name`."""
    if base == SCRATCH:
        return _empty_config(), []
    base_name, base_tag = split_reference(base)
    manifest = registry.find_manifest(base_name, base_tag)
    if manifest is None:
        raise SandboxError(base, f"is not in {registry.address}", "push it first, see --from")
    config = json.loads(registry.read_blob(base_name, manifest["config"]["digest"]))
    config.pop("history", None)
    config.setdefault("config", {})
    for layer in manifest["layers"]:
        digest = layer["digest"]
        if registry.has_blob(name, digest) or registry.mount_blob(name, digest, base_name):
            continue
        registry.push_blob(name, digest, registry.read_blob(base_name, digest), layer["size"])
    return config, list(manifest["layers"])


def _empty_config() -> dict[str, Any]:
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Env": [_PATH]},
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def _apply(recipe: Recipe, config: dict[str, Any]) -> None:
    if recipe.command:
        config["Cmd"] = recipe.command
        config.pop("Entrypoint", None)
    if recipe.entrypoint:
        config["Entrypoint"] = recipe.entrypoint
        if not recipe.command:
            config.pop("Cmd", None)
    if recipe.workdir:
        config["WorkingDir"] = recipe.workdir
    if recipe.user:
        config["User"] = recipe.user
    if recipe.ports:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in recipe.ports}
    replaced = {variable.partition("=")[0] for variable in recipe.environment}
    kept = [v for v in config.get("Env") or [] if v.partition("=")[0] not in replaced]
    config["Env"] = kept + recipe.environment


def _push_manifest(
    registry: Registry,
    name: str,
    tag: str,
    config: dict[str, Any],
    layers: list[dict[str, Any]],
) -> None:
    # Builders that stand on an image want to hear of each of its layers.
    config["history"] = [{"created": _EPOCH, "created_by": "sandbox push"} for _ in layers]
    data = json.dumps(config, sort_keys=True).encode()
    registry.push_blob(name, digest_of(data), data, len(data))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(data), "size": len(data)},
        "layers": layers,
    }
    registry.push_manifest(name, tag, manifest)


def _digest_file(file: Path) -> str:
    """Return a file's digest; kept beside it, since the base takes a while to read."""
    note = file.with_suffix(".digest")
    if note.exists() and note.stat().st_mtime >= file.stat().st_mtime:
        return note.read_text()
    with file.open("rb") as data:
        digest = f"sha256:{hashlib.file_digest(data, 'sha256').hexdigest()}"
    note.write_text(digest)
    return digest
