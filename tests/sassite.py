"""A site with the exported SAS code, a simulated SAS server and a loopback store, for tests.

The files are those that ``connector-proxy sas export`` writes; the store answers for the host of
the presigned URLs and refuses a URL that is not exactly the one it signed.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from connector_proxy.sascode import folder, plan, site
from connector_proxy.stream import encode
from tests.filestore import FileStore
from tests.sas import Column, Dataset, Run, Session, members, read

HOST = "audiences.s3.eu-west-1.amazonaws.com"
WINDOWS_ROOT = "C:\\SAS Stored Process"
_SAS_ZERO = dt.datetime(1960, 1, 1)
EMPTY_SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True)
class Answer:
    """``<stpResult>`` as the program wrote it."""

    status: str
    code: str
    message: str
    data_set: str
    rows: int
    columns: int
    rejected: int
    unreadable: int
    sha256: str
    occurrence: str

    @classmethod
    def of(cls, raw: bytes) -> Answer:
        root = etree.fromstring(raw)
        assert root.tag == "stpResult"
        said = {str(child.tag): child.text or "" for child in root}
        assert list(said) == [
            "status", "code", "message", "occurrenceId", "dataSet", "rows", "columns",
            "rejectedRows", "unreadableValues", "sha256",
        ]  # fmt: skip
        return cls(
            said["status"], said["code"], said["message"], said["dataSet"], int(said["rows"]),
            int(said["columns"]), int(said["rejectedRows"]), int(said["unreadableValues"]),
            said["sha256"], said["occurrenceId"],
        )  # fmt: skip


@dataclass
class Site:
    """One installation: ``platform`` "unix" or "windows", ``encoding`` of its sessions."""

    home: Path
    store: FileStore
    platform: str = "unix"
    encoding: str = "utf-8"
    secrets: list[str] = field(default_factory=list)
    """What no log and no answer may hold."""
    contended: bool = False
    """Others want the same dataset: a good run may have lost a race on its way, and say so."""
    hosts: tuple[str, ...] = (HOST,)
    """What the store is called."""
    shares: dict[str, Path] = field(default_factory=dict)
    """On Windows: further folders as SAS sees them, and where they really are."""

    def __post_init__(self) -> None:
        self.root = WINDOWS_ROOT if self.platform == "windows" else str(self.home)
        for one in plan.planned(folder.shipped(), {}, self.root, site.default_encoding(self.root)):
            folder.write(self.home, one.file, one.content)
        for name in folder.EMPTY_FOLDERS:
            (self.home / name).mkdir()

    @property
    def output(self) -> Path:
        return self.home / "output"

    def configure(self, **settings: object) -> None:
        """Edit ``conf/config.sas`` as an administrator does."""
        path = self.home / "conf" / "config.sas"
        text = path.read_bytes().decode()
        for name, value in settings.items():
            line = f"%let {name} = {value};"
            text, count = re.subn(rf"(?m)^%let {name} =[^;]*;", lambda _, line=line: line, text)
            assert count == 1, name
        path.write_bytes(text.encode())

    def session(self, **more: Any) -> Session:
        port = int(self.store.address.rpartition(":")[2])
        roots = {self.root: self.home, **self.shares} if self.platform == "windows" else {}
        return Session(
            platform=self.platform,
            encoding=self.encoding,
            hosts=dict.fromkeys(self.hosts, ("127.0.0.1", port)),
            roots=roots,
            **more,
        )

    def url(self, name: str) -> str:
        """The presigned URL of a file of the store, as CI 360 would send it."""
        return self.store.url(name).replace(self.store.address, f"https://{HOST}")

    def bulk(
        self,
        metadata: bytes,
        data: bytes,
        occurrence: str = "occurrence-1",
        task: str = "Spring audience",
    ) -> dict[str, Any]:
        """The payload of a bulk task; its files lie in the store."""
        for name, content in (("metadata", metadata), ("data", data)):
            self.store.put(f"{occurrence}-{name}", content)
        return {
            "task": {"occurrenceId": occurrence, "taskId": "t-1", "taskName": task},
            "presignedUrls": {
                "metadataFile": self.url(f"{occurrence}-metadata"),
                "dataFile": self.url(f"{occurrence}-data"),
            },
            "sendParameters": {"stpName": "Download File", "taskCode": "TSK_1"},
        }

    def call(
        self, payload: Mapping[str, Any], program: str = "stpDownloadFile", **session: Any
    ) -> tuple[Answer, Run]:
        """Run a program for a payload, as the proxy would have it run, and see that it left
        nothing behind and let nothing out."""
        document = encode(dict(payload), "Download File").document
        return self.run(document, program, **session)

    def run(
        self, document: bytes | None, program: str = "stpDownloadFile", **session: Any
    ) -> tuple[Answer, Run]:
        run = self.session(**session).run(self.home / "code" / f"{program}.sas", document)
        answer = Answer.of(run.webout)
        self.see_what_is_left(run, answer)
        return answer, run

    def see_what_is_left(self, run: Run, answer: Answer) -> None:
        assert run.content_type == "text/xml"
        assert (run.librefs, run.filerefs, run.work, run.handles) == ([], [], [], [])
        assert run.options == {}
        assert run.work_files == []
        assert not run.log_redirected
        assert run.syscc == 0
        if answer.status == "ok" and not self.contended:
            assert run.problems() == []
        told = run.whole_log + run.webout.decode()
        for secret in ("X-Amz", HOST, *self.secrets):
            assert secret not in told, f"{secret} came out:\n{run.whole_log[-3000:]}"

    def table(self, name: str) -> dict[str, list[object]]:
        """A saved dataset: its columns in order, each with its values."""
        return as_python(read(self.output, name))

    def saved(self) -> list[str]:
        return members(self.output)


def as_python(dataset: Dataset) -> dict[str, list[object]]:
    """The columns of a dataset with dates and times as Python has them: SAS counts days, or
    seconds, since 1960."""

    def value(column: Column, stored: object) -> object:
        if isinstance(stored, float) and column.format.startswith("E8601DA"):
            return _SAS_ZERO.date() + dt.timedelta(days=stored)
        if isinstance(stored, float) and column.format.startswith("E8601DT"):
            return _SAS_ZERO + dt.timedelta(seconds=stored)
        return stored

    return {
        column.name: [value(column, stored) for stored in dataset.values(column.name)]
        for column in dataset.columns
    }


def metadata(*columns: str | tuple[str, str]) -> bytes:
    """A metadata file of the newer generation; a type is ``character`` unless given."""
    pairs = [one if isinstance(one, tuple) else (one, "character") for one in columns]
    return json.dumps([{"columnName": name, "dataType": kind} for name, kind in pairs]).encode()


def csv(rows: Iterable[Iterable[str]], end: str = "\n") -> bytes:
    """A data file with every value in quotes."""
    lines = (",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) for row in rows)
    return "".join(line + end for line in lines).encode()


MakeSite = Callable[..., Site]
