"""What an installed copy has changed against what is shipped.

Facts only. Line ends, the encoding and the line with the root folder do not count; values of
settings are what an administrator is to change.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from connector_proxy.sascode import lexer, site
from connector_proxy.sascode.findings import Files
from connector_proxy.sascode.site import CONFIG


class Change(StrEnum):
    """How a file stands to the shipped one. ``settings``: only their values and comments differ."""

    SAME = "same"
    SETTINGS = "settings"
    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"


class Compared(NamedTuple):
    """One file; ``lines`` are a unified diff from the shipped to the installed one."""

    file: str
    change: Change
    lines: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether this is more than a setting."""
        return self.change not in (Change.SAME, Change.SETTINGS)


def compare(shipped: Files, installed: Files) -> Iterator[Compared]:
    """Every file of both, by its name."""
    for file in sorted({*shipped, *installed}):
        if file not in installed:
            yield Compared(file, Change.MISSING)
        elif file not in shipped:
            yield Compared(file, Change.EXTRA)
        else:
            yield _compared(file, _comparable(shipped[file]), _comparable(installed[file]))


def _comparable(text: str) -> str:
    text = site.with_root(text.removeprefix("\ufeff"), "(the root folder)")
    return text if text.endswith("\n") else text + "\n"


def _compared(file: str, ours: str, theirs: str) -> Compared:
    if ours == theirs:
        return Compared(file, Change.SAME)
    lines = tuple(
        line.rstrip("\n")
        for line in difflib.unified_diff(
            ours.splitlines(True), theirs.splitlines(True), f"shipped/{file}", f"installed/{file}"
        )
    )
    only_values = file == CONFIG and _without_values(ours) == _without_values(theirs)
    return Compared(file, Change.SETTINGS if only_values else Change.CHANGED, lines)


def _without_values(text: str) -> tuple[set[str], int]:
    """The names of the settings, and how many statements there are."""
    statements = [one for one in lexer.statements(lexer.code(lexer.tokens(text))) if one]
    return set(site.settings(text)), len(statements)
