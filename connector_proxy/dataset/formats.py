"""Parquet and CSV: each function writes one file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from connector_proxy.dataset.columns import Column, Kind, unique_names
from connector_proxy.dataset.duck import Duck, Misread, literal, select
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.tidy import BOM, CHUNK, Tidy

_BYTES_OF_A_VALUE = 16
_GROUP_BYTES = 32 << 20
_LEAST_GROUP, _MOST_GROUP = 2048, 60 * 2048


@dataclass(frozen=True)
class Material:
    """What a dataset is made of; ``kinds`` are those of ``columns``, ``title`` is the task,
    ``at`` the moment of its making; ``reserve`` bytes of the disk stay free."""

    duck: Duck
    tidy: Tidy
    columns: Sequence[Column]
    kinds: Sequence[Kind]
    limits: Limits
    at: datetime
    title: str = ""
    bom: bool = False
    reserve: int = 0

    @property
    def labels(self) -> list[str]:
        """The names as the metadata has them."""
        return [column.name for column in self.columns]


def write_parquet(material: Material, target: Path) -> None:
    """Apache Parquet, Zstandard; names differ without regard to case, the original ones stand in
    the metadata of the file."""
    names = unique_names(material.labels)
    labels = json.dumps(dict(zip(names, material.labels, strict=True)), ensure_ascii=False)
    query = select(material.tidy, material.kinds, names, material.limits)
    copied(
        material,
        f"COPY ({query}) TO {literal(target)} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_group_size(material)}, "
        f"KV_METADATA {{labels: {literal(labels)}}})",
    )


def _group_size(material: Material) -> int:
    """Rows of a group, which each thread holds in memory until it is written."""
    row = material.tidy.row_length + _BYTES_OF_A_VALUE * len(material.columns)
    return max(_LEAST_GROUP, min(_GROUP_BYTES // row, _MOST_GROUP) // _LEAST_GROUP * _LEAST_GROUP)


def copied(material: Material, statement: str) -> None:
    """Run a statement that tells how many rows it took, and see that it took all."""
    if material.duck.run(statement) != [(material.tidy.rows,)]:
        raise Misread


def write_csv(material: Material, target: Path) -> None:
    """CSV with a header, comma, CR LF, UTF-8 (RFC 4180): every value is the text that came."""
    with target.open("wb") as out:
        out.write(BOM if material.bom else b"")
        out.write(_header(material.labels))
        for path in material.tidy.paths:
            _append(out, path)


def _append(out: BinaryIO, path: Path) -> None:
    """Copy sound CSV with CR LF instead of LF between rows, and one behind the last."""
    inside, last = False, b"\n"
    with path.open("rb") as file:
        if file.read(len(BOM)) != BOM:
            file.seek(0)
        while chunk := file.read(CHUNK):
            parts = chunk.split(b'"')
            outside = slice(1 if inside else 0, None, 2)
            parts[outside] = [part.replace(b"\n", b"\r\n") for part in parts[outside]]
            inside ^= len(parts) % 2 == 0
            out.write(b'"'.join(parts))
            last = chunk[-1:]
    if last != b"\n":
        out.write(b"\r\n")


def _header(names: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(names)
    return line.getvalue().encode()
