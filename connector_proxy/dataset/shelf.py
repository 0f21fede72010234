"""What datasets there are in a folder, by their manifests: found, shown, removed by age."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from connector_proxy.dataset.duck import Duck, literal
from connector_proxy.dataset.place import MANIFEST, UNFINISHED, file_names, read_manifest

Manifest = dict[str, Any]


def datasets(folder: Path) -> list[Manifest]:
    """The manifests in ``folder``, the latest first."""
    found = [read_manifest(path) for path in folder.glob(f"*{MANIFEST}")]
    return sorted(filter(None, found), key=lambda one: str(one.get("finishedAt")), reverse=True)


def first_rows(folder: Path, manifest: Manifest, count: int) -> Iterator[list[str]]:
    """The names of the columns, then the first rows of a dataset, as texts."""
    for one in manifest.get("files", ()):
        path = folder / Path(str(one["name"])).name
        if one["format"] == "csv":
            yield from _of_csv(path, count)
            return
        if one["format"] == "parquet":
            yield from _of_parquet(path, count)
            return


def _of_csv(path: Path, count: int) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from islice(csv.reader(file), count + 1)


def _of_parquet(path: Path, count: int) -> Iterator[list[str]]:
    with Duck(path.parent) as duck:
        source = f"read_parquet({literal(path)})"
        names = duck.run(f"SELECT column_name FROM (DESCRIBE FROM {source})")  # noqa: S608 - escaped
        yield [str(name) for (name,) in names]
        for row in duck.run(f"SELECT COLUMNS(*)::VARCHAR FROM {source} LIMIT {count}"):  # noqa: S608
            yield ["" if value is None else str(value) for value in row]


def remove_unfinished(folder: Path, moment: datetime) -> None:
    """Remove what killed processes left of datasets that they were making, where nothing in it
    was written since ``moment``."""
    for path in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # its process lives, and is removing it
            times = [one.stat().st_mtime for one in (path, *path.rglob("*"))]
            if max(times) < moment.timestamp():
                shutil.rmtree(path, ignore_errors=True)


def remove_older(folder: Path, moment: datetime) -> int:
    """Remove the datasets that were finished before ``moment``; returns how many. Rows in tables
    stay."""
    removed = 0
    for path in folder.glob(f"*{MANIFEST}"):
        manifest = read_manifest(path)
        finished = str(manifest.get("finishedAt", ""))
        if finished and datetime.fromisoformat(finished) < moment:
            for name in file_names(manifest):
                (folder / name).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            removed += 1
    return removed
