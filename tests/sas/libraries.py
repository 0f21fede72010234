"""SAS libraries: WORK in memory, Base folders with one file a member, read-only engines.

A member of a Base library appears whole or not at all: it is written to NAME.sas7bdat.lck and
renamed, and a killed session leaves that file behind.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.sas import locks
from tests.sas.datasets import Dataset
from tests.sas.errors import Fault, StepError

SUFFIX = ".sas7bdat"


@dataclass
class Member:
    """A dataset that is open; ``release`` ends the hold on it."""

    dataset: Dataset
    hold: locks.Hold | None = None

    def release(self) -> None:
        """Close it."""
        if self.hold:
            self.hold.release()


class Library:
    """What a libref leads to."""

    engine = "V9"
    readonly = False
    counts_rows = True
    path = ""

    def members(self) -> list[str]:
        """Names of all datasets, in upper case."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        """Whether there is such a dataset."""
        return name.upper() in self.members()

    def open(self, name: str) -> Member:
        """The dataset, to be read; KeyError if there is none."""
        raise NotImplementedError

    def lock(self, name: str) -> locks.Hold | None:
        """The member for its own; NotAvailable if somebody has it."""
        return None

    def save(self, name: str, dataset: Dataset) -> None:
        """Put the dataset in the place of one of that name; the caller has the lock."""
        raise StepError(f"Write access to the library is denied for member {name.upper()}.")

    def delete(self, name: str) -> None:
        """Remove it."""
        raise StepError(f"Write access to the library is denied for member {name.upper()}.")


@dataclass
class MemoryLibrary(Library):
    """WORK, and libraries that an engine has read."""

    tables: dict[str, Dataset] = field(default_factory=dict)
    engine: str = "V9"
    readonly: bool = False
    counts_rows: bool = True
    path: str = ""
    failure: str = ""
    """An ERROR at the first read, e.g. XML that is not well-formed."""

    def members(self) -> list[str]:
        return sorted(self.tables)

    def exists(self, name: str) -> bool:
        return not self.failure and name.upper() in self.tables

    def open(self, name: str) -> Member:
        if self.failure:
            raise StepError(self.failure)
        return Member(self.tables[name.upper()])

    def save(self, name: str, dataset: Dataset) -> None:
        if self.readonly:
            super().save(name, dataset)
        self.tables[name.upper()] = dataset

    def delete(self, name: str) -> None:
        if self.readonly:
            super().delete(name)
        del self.tables[name.upper()]


class FolderLibrary(Library):
    """A Base library in a folder. ``watch`` is the kill hook."""

    def __init__(
        self,
        folder: Path,
        path: str,
        watch: Callable[[str], None],
        *,
        engine: str = "V9",
        readonly: bool = False,
        wait: float = 0,
        counts_rows: bool = True,
    ) -> None:
        self.folder, self.path, self.watch = folder, path, watch
        self.engine, self.readonly, self.wait = engine, readonly, wait
        self.counts_rows = counts_rows
        self.held: dict[str, locks.Hold] = {}
        self._shares: dict[str, list[locks.Hold]] = {}

    def file(self, name: str) -> Path:
        """Where a member lies."""
        return self.folder / f"{name.lower()}{SUFFIX}"

    def members(self) -> list[str]:
        return sorted(one.name[: -len(SUFFIX)].upper() for one in self.folder.glob(f"*{SUFFIX}"))

    def exists(self, name: str) -> bool:
        return self.file(name).is_file()

    def _hold(self, name: str, *, alone: bool) -> locks.Hold | None:
        """Nothing when this session has the member already. ``data a; set a;`` reads and writes
        one member: the share that it has as a reader is made an exclusive one."""
        key = name.upper()
        if key in self.held:
            return None
        mine = [one for one in self._shares.get(key, []) if one.is_held()]
        self._shares[key] = mine
        try:
            if mine and alone:
                mine[0].strengthen(wait=self.wait)
                return None
            hold = locks.acquire(self.file(name), alone=alone, wait=self.wait) if not mine else None
        except locks.NotAvailable:
            raise StepError(f"A lock is not available for {key}.DATA.") from None
        if hold and not alone:
            mine.append(hold)
        return hold

    def open(self, name: str) -> Member:
        hold = self._hold(name, alone=False)
        try:
            return Member(load(self.file(name)), hold)
        except FileNotFoundError:
            if hold:
                hold.release()
            raise KeyError(name) from None

    def lock(self, name: str) -> locks.Hold | None:
        return self._hold(name, alone=True)

    def keep_locked(self, name: str) -> bool:
        """LOCK: whether the member is now this session's alone."""
        if name.upper() in self.held:
            return True
        try:
            self.held[name.upper()] = locks.acquire(self.file(name), alone=True, wait=self.wait)
        except locks.NotAvailable:
            return False
        return True

    def unlock(self, name: str) -> bool:
        """LOCK ... CLEAR: whether there was anything to give back."""
        hold = self.held.pop(name.upper(), None)
        if hold:
            hold.release()
        return hold is not None

    def release_all(self) -> None:
        """The session ends."""
        for name in list(self.held):
            self.unlock(name)

    def save(self, name: str, dataset: Dataset) -> None:
        if self.readonly:
            super().save(name, dataset)
        member = f"{self.path}:{name.upper()}"
        self.watch(f"before writing {member}")
        draft = self.file(name).with_name(f"{name.lower()}{SUFFIX}.lck")
        raw = pickle.dumps(dataset)
        try:
            with draft.open("wb") as file:
                file.write(raw[: len(raw) // 2])
                self.watch(f"while writing {member}")
                file.write(raw[len(raw) // 2 :])
            self.watch(f"before renaming {member}")
            draft.replace(self.file(name))
        except OSError as fault:
            raise StepError(f"Member {name.upper()} cannot be written: {fault.strerror}.") from None
        self.watch(f"after writing {member}")

    def delete(self, name: str) -> None:
        if self.readonly:
            super().delete(name)
        hold = self.lock(name)
        try:
            self.file(name).unlink()
        finally:
            if hold:
                hold.release()


def load(path: Path) -> Dataset:
    """The dataset in a file of a Base library."""
    dataset = pickle.loads(path.read_bytes())
    if not isinstance(dataset, Dataset):
        raise Fault(f"{path.name} is no dataset")
    return dataset
