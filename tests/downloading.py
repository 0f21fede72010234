"""What the tests of downloads share. As a program it downloads one file in a process of its own
and prints what it came to: ``python -m tests.downloading URL TARGET``."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.download import Downloader, Fetched
from connector_proxy.values import HostPattern, hosts
from tests.filestore import FileStore

Fetch = Callable[..., Fetched]


def downloader(**changes: Any) -> Downloader:
    """One that may download from loopback and does not wait long."""
    how = {"connect_timeout": 2, "read_timeout": 2, "pause": 0.001, **changes}
    return Downloader((HostPattern("http", "127.0.0.1", 0),), **how)


def fetcher(store: FileStore, folder: Path) -> Fetch:
    """Downloads the file ``data`` of ``store`` to ``data`` in ``folder``."""

    def fetch(**changes: Any) -> Fetched:
        of_call = {name: changes.pop(name) for name in ("deadline", "progress") if name in changes}
        url = changes.pop("url", store.url("data"))
        return downloader(**changes).fetch(url, folder / "data", "data file", **of_call)

    return fetch


def patterns(text: str) -> tuple[HostPattern, ...]:
    """``downloadhosts`` as an administrator writes them."""
    return hosts(text, Path())


def fetch_from(
    url: str, folder: Path, allowed: str = "http://127.0.0.1:*", **changes: Any
) -> bytes:
    """What a download of ``url`` brings, where ``allowed`` are the ``downloadhosts``."""
    how = {"connect_timeout": 2, "read_timeout": 2, "pause": 0.001, "tries": 2, **changes}
    Downloader(patterns(allowed), **how).fetch(url, folder / "data", "data file")
    return (folder / "data").read_bytes()


class Names:
    """Lets names lead to addresses: no name server can be told to. Connections are real ones.

    Each question after a name is answered by the next of its ``turns``, the last one stays;
    ``asked`` are the names that were asked for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._original, self._turns = socket.getaddrinfo, dict[str, list[list[str]]]()
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def lead(self, name: str, *turns: list[str]) -> None:
        self._turns[name] = list(turns)

    def _getaddrinfo(self, host: str, port: int, *args: Any, **more: Any) -> Any:
        turns = self._turns.get(host)
        if turns is None:
            return self._original(host, port, *args, **more)
        self.asked.append(host)
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [self._original(one, port, *args, **more) for one in addresses]
        return [entry for entries in found for entry in entries]


def arrived(folder: Path, body: bytes) -> bool:
    """Whether ``body`` is there, and nothing beside it."""
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["data"]
    return (folder / "data").read_bytes() == body


def ranges(store: FileStore) -> list[str | None]:
    """What each request asked for."""
    return [request.headers["Range"] for request in store.seen]


def failing(fetch: Fetch, kind: type[Exception], **changes: Any) -> Any:
    """The error of a download that fails; who carries out tells errors apart by their type."""
    with pytest.raises(kind) as caught:
        fetch(**changes)
    assert type(caught.value) is kind
    return caught.value


def peak() -> int:
    """The most memory that this process has had, in kB. On Linux ``getrusage`` counts the
    process that started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(url: str, target: str) -> None:
    """Download, print ``Fetched`` and the peak of the memory as JSON."""
    fetched = downloader(tries=20, pause=0.02).fetch(url, Path(target), "data file")
    sys.stdout.write(json.dumps({**asdict(fetched), "peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
