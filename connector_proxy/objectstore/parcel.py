"""One file on its way into a store: its bytes, its digests, what is said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LEAST_PART = 16 << 20
_MOST_PARTS = 9_000
_CHUNK = 1 << 20
_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".zst": "application/zstd",
}


@dataclass(frozen=True)
class Parcel:
    """A file that becomes the object ``key`` (with the prefix of its target). ``facts`` are kept
    with the object: the delivery and the SHA-256, by which it is known again. With ``only_new``
    nothing is replaced."""

    path: Path
    key: str
    size: int
    sha256: str
    delivery_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    only_new: bool = False

    @property
    def facts(self) -> dict[str, str]:
        """What the object says of itself."""
        return {"delivery": self.delivery_id, "sha256": self.sha256}

    @property
    def media_type(self) -> str:
        """By the ending of its name."""
        return _TYPES.get(Path(self.key).suffix.lower(), "application/octet-stream")

    @property
    def part_bytes(self) -> int:
        """How much of it goes in one request: as little as the number of parts allows."""
        needed = -(-self.size // _MOST_PARTS)
        return max(LEAST_PART, -(-needed // LEAST_PART) * LEAST_PART)

    @property
    def parts(self) -> range:
        """The numbers of its parts, from 1."""
        return range(1, -(-self.size // self.part_bytes) + 1)

    def digest(self, number: int, algorithm: str) -> bytes:
        """The digest of one part as it lies on the disk now."""
        digest = hashlib.new(algorithm, usedforsecurity=False)
        left = self.part_bytes
        with self.path.open("rb") as file:
            file.seek((number - 1) * self.part_bytes)
            while left and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
        return digest.digest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
