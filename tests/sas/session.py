"""The door: a session of a simulated SAS server, and what a run of a program left."""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.sas import libraries
from tests.sas.datasets import Dataset
from tests.sas.errors import Fault, Killed, RunnerFault
from tests.sas.job import Job
from tests.sas.prochttp import Hosts
from tests.sas.quoting import unmask

_JOBS = itertools.count(4711)


@dataclass(frozen=True)
class Run:
    """What a program did.

    ``log`` is the session's log, ``whole_log`` with what PROC PRINTTO sent elsewhere. ``options``
    are those that are not as they were at the start, as name -> (before, after).
    """

    log: str
    whole_log: str
    webout: bytes
    content_type: str | None
    headers: dict[str, str]
    macros: dict[str, str]
    librefs: list[str]
    filerefs: list[str]
    work: list[str]
    handles: list[str]
    options: dict[str, tuple[object, object]]
    sleeps: list[float]
    syscc: int
    log_redirected: bool
    work_files: list[str]

    def problems(self) -> list[str]:
        """Lines of the whole log that begin with ERROR or WARNING."""
        return [one for one in self.whole_log.split("\n") if one.startswith(("ERROR", "WARNING"))]


@dataclass
class Session:
    """A SAS server on ``platform`` "unix" or "windows" with ``encoding`` "utf-8" or "wlatin1".

    ``hosts``: name of a host -> (address, port) of the loopback store that answers for it.
    ``roots``: on Windows, folder as SAS sees it -> real folder.
    ``librefs``: assigned by the site, name -> (real folder, whether the engine counts rows).
    ``engines``: names of database engines -> real folder; they do not count their rows.
    ``kill``: called with the name of each point at which a session can die; may raise Killed.
    ``patience`` and ``lock_patience``: the most seconds that PROC HTTP and FILELOCKWAIT= really
    wait. ``keeps_bom``, ``empty_body_writes``, ``short_body_fails``: what the documentation leaves
    open, see README.md.
    """

    platform: str = "unix"
    encoding: str = "utf-8"
    hosts: Hosts | dict[str, tuple[str, int]] = field(default_factory=dict)
    roots: dict[str, Path] = field(default_factory=dict)
    librefs: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    engines: dict[str, Path] = field(default_factory=dict)
    options: dict[str, str | bool] = field(default_factory=dict)
    now: dt.datetime | Callable[[], dt.datetime] | None = None
    kill: Callable[[str], None] | None = None
    patience: float = 5.0
    lock_patience: float = 60.0
    keeps_bom: bool = False
    empty_body_writes: bool = True
    short_body_fails: bool = True

    def __post_init__(self) -> None:
        if self.platform not in ("unix", "windows"):
            raise ValueError(f"platform {self.platform}")
        if self.encoding not in ("utf-8", "wlatin1"):
            raise ValueError(f"encoding {self.encoding}")
        if isinstance(self.hosts, dict):
            self.hosts = Hosts({name.lower(): place for name, place in self.hosts.items()})

    # what jobs ask for

    def clock(self) -> dt.datetime:
        """The moment as the session sees it."""
        if callable(self.now):
            return self.now()
        return self.now or dt.datetime.now()

    def watch(self, point: str) -> None:
        """A point at which the session can be killed."""
        if self.kill:
            self.kill(point)

    @staticmethod
    def next_job() -> int:
        """SYSJOBID: each run has its own."""
        return next(_JOBS)

    # what tests ask for

    def run(
        self,
        program: Path | str,
        instream: bytes | None = None,
        macros: dict[str, str] | None = None,
    ) -> Run:
        """Run a file, or the text of a program. A RunnerFault carries the log so far."""
        text = program if isinstance(program, str) else program.read_bytes().decode("utf-8")
        work = Path(tempfile.mkdtemp(prefix="sas-work-"))
        job = Job(self, work, instream)
        for name, value in (macros or {}).items():
            job.symbols.globals[name.lower()] = value
        before = job.options.all()
        try:
            job.execute(text)
            return self._result(job, before)
        except RunnerFault as fault:
            fault.log = "\n".join(job.log.everything)
            fault.add_note(f"log: ...{fault.log[-1500:]}")
            raise
        except RecursionError:
            raise Fault("macros or brackets nested too deeply") from None
        finally:
            job.close()
            shutil.rmtree(work, ignore_errors=True)

    def _result(self, job: Job, before: dict[str, str | bool]) -> Run:
        after = job.options.all()
        left = job.left_over()
        temporary = sorted(
            str(one.relative_to(job.work_folder))
            for one in job.work_folder.rglob("*")
            if one.is_file()
        )
        return Run(
            log="\n".join(job.log.lines),
            whole_log="\n".join(job.log.everything),
            webout=bytes(job.webout),
            content_type=job.headers.get("content-type"),
            headers=dict(job.headers),
            macros={name: unmask(value) for name, value in job.symbols.globals.items()},
            librefs=left["librefs"],
            filerefs=left["filerefs"],
            work=left["work"],
            handles=left["handles"],
            options={k: (before[k], after[k]) for k in before if before[k] != after[k]},
            sleeps=list(job.sleeps),
            syscc=int(job.symbols.globals["syscc"]),
            log_redirected=job.log.redirect is not None,
            work_files=temporary,
        )


def read(folder: Path, member: str) -> Dataset:
    """A dataset of a Base library, from outside of any session."""
    return libraries.load(folder / f"{member.lower()}{libraries.SUFFIX}")


def members(folder: Path) -> list[str]:
    """Names of the datasets in the folder of a Base library, in upper case."""
    return sorted(
        one.name[: -len(libraries.SUFFIX)].upper() for one in folder.glob(f"*{libraries.SUFFIX}")
    )


def write(folder: Path, member: str, dataset: Dataset) -> None:
    """Put a dataset into a Base library, to prepare a test."""
    library = libraries.FolderLibrary(folder, str(folder), lambda _point: None)
    library.save(member, dataset)


__all__ = ["Killed", "Run", "Session", "members", "read", "write"]
