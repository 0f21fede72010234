"""Where datasets lie: their names, their manifests, and how they come there whole.

A dataset is one or several files with one stem, and ``<stem>.json``, its manifest. Files are
written elsewhere on the same disk, and renamed; the manifest comes last.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from connector_proxy import platforms

MANIFEST = ".json"
UNFINISHED = ".part-"
"""Folders with that beginning hold datasets that are not whole yet."""


def dataset_name(task: str, identity: str) -> str:
    """The name of a dataset, made of the task and what identifies its run.

    Legal on Windows and Linux, at most 220 bytes. Where a character of ``identity`` had to go,
    a digest keeps two runs apart.
    """
    run = _plain(identity, r"[^A-Za-z0-9_-]")
    if run != identity or len(run) > 64:
        run = f"{run[:48]}_{hashlib.sha256(identity.encode()).hexdigest()[:12]}".lstrip("_")
    name = "_".join(part for part in (_plain(task, r"[^\w-]")[:36], run) if part)
    name = name or "dataset"
    return f"{'_' if platforms.is_device(name) else ''}{name}"


def _plain(text: str, illegal: str) -> str:
    text = re.sub(illegal, "_", unicodedata.normalize("NFC", text))
    return re.sub(r"_{2,}", "_", text).strip("_")


def free_name(folder: Path, name: str, on_existing: str, delivery: str) -> str:
    """``name``, or with ``version`` the first of ``name``, ``name_2`` … that is not taken, or was
    by the same ``delivery``: it was cut off behind that."""
    if on_existing == "replace":
        return name
    found = folder.glob(f"{name}*{MANIFEST}")
    taken = {path.name.partition(".")[0].lower(): path for path in found}
    versions = (f"{name}_{number}" if number > 1 else name for number in range(1, len(taken) + 2))
    return next(
        one
        for one in versions
        if (path := taken.get(one.lower())) is None
        or (delivery and read_manifest(path).get("delivery") == delivery)
    )


def file_facts(path: Path, name: str, form: str) -> dict[str, Any]:
    """What a manifest says of one file, which will be called ``name``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": name, "format": form, "bytes": path.stat().st_size, "sha256": digest}


def publish(
    folder: Path, part: Path, name: str, parts: Mapping[str, Path], manifest: dict[str, Any]
) -> None:
    """Rename ``parts`` into ``folder`` under their new names, then the manifest, which is written
    in ``part``; files of an earlier dataset of this name that are not among them go."""
    earlier = {*file_names(read_manifest(folder / f"{name}{MANIFEST}"))}
    whole = part / "manifest"
    whole.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (*parts.values(), whole):
        platforms.to_disk(path)
    for new_name, path in parts.items():
        platforms.rename(path, folder / new_name)
    platforms.rename(whole, folder / f"{name}{MANIFEST}")
    for old_name in earlier - parts.keys():
        (folder / old_name).unlink(missing_ok=True)
    platforms.to_disk(folder)


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest; empty where there is none, or what is there is none of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and "connector-proxy" in str(found.get("madeBy"))
    return found if ours else {}


def file_names(manifest: Mapping[str, Any]) -> Iterable[str]:
    """The files beside a manifest that belong to its dataset alone. A name in it that leads
    elsewhere is left out."""
    for one in manifest.get("files", ()):
        name = str(one.get("name", "")) if isinstance(one, dict) else ""
        if name and name == Path(name).name and not one.get("shared"):
            yield name
