"""Names of files as SAS writes them -> real paths; and filerefs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.sas.errors import Fault

_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Paths:
    """On Unix a path is a path. On the simulated Windows a path begins with one of ``roots``, both
    separators are taken, and letters have no case."""

    def __init__(self, roots: dict[str, Path], *, windows: bool) -> None:
        self.windows = windows
        self._roots = {self._parts(root): path for root, path in roots.items()}

    @staticmethod
    def _parts(text: str) -> tuple[str, ...]:
        return tuple(one.lower() for one in re.split(r"[\\/]+", text.rstrip("\\/")))

    def real(self, text: str) -> Path:
        """The real path; on Windows a place that does not exist when no root fits."""
        if re.search(r"[*?]", text):
            raise Fault(f"the path {text!r} has a wildcard: it may be several files")
        if not self.windows:
            return Path(text)
        names = re.split(r"[\\/]+", text.rstrip("\\/"))
        if not re.match(r"[A-Za-z]:[\\/]|\\\\|//", text):
            raise Fault(f"the path {text!r} depends on the current folder of the server")
        low = tuple(one.lower() for one in names)
        for name in low:
            if _DEVICE.fullmatch(name) or (name.strip(".") and name[-1] in ". "):
                raise Fault(f"Windows does not take {name!r} for the name of a file or folder")
        for root in sorted(self._roots, key=len, reverse=True):
            if low[: len(root)] == root:
                return self._below(self._roots[root], names[len(root) :])
        return Path("/nonexistent-windows-drive").joinpath(*names[1:])

    @staticmethod
    def _below(folder: Path, names: list[str]) -> Path:
        for name in names:
            wanted = folder / name
            if not wanted.exists() and folder.is_dir():
                for one in folder.iterdir():
                    if one.name.lower() == name.lower():
                        wanted = one
                        break
            folder = wanted
        return folder


@dataclass
class FileRef:
    """A fileref: a file or folder, or a stream of the stored process server."""

    name: str
    path: Path | None
    shown: str
    temporary: bool = False
    stream: bytes | None = None
    options: dict[str, str] = field(default_factory=dict)

    def exists(self) -> bool:
        """Whether there is something behind it."""
        return self.stream is not None or (self.path is not None and self.path.exists())

    def read(self) -> bytes:
        """All bytes."""
        if self.stream is not None:
            return self.stream
        assert self.path is not None
        return self.path.read_bytes()
