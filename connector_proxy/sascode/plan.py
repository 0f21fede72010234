"""What an export writes: what each file will hold, and what becomes of the one that is there.

Facts only: texts and bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from connector_proxy.errors import ConfigurationError
from connector_proxy.sascode import site
from connector_proxy.sascode.findings import Files
from connector_proxy.sascode.site import CONFIG, Setting


class Deed(StrEnum):
    """What an export does with a file. ``keep``: it is the administrator's."""

    WRITE = "new"
    LEAVE = "same"
    KEEP = "kept"
    REPLACE = "replaced"


class Planned(NamedTuple):
    """One file of an export."""

    file: str
    deed: Deed
    content: bytes


def planned(
    shipped: Files, present: Mapping[str, bytes], root: str, encoding: str
) -> Iterator[Planned]:
    """Every shipped file; ``present`` is what the folder holds. Raises ``ConfigurationError``."""
    for file, text in shipped.items():
        content = _content(text, root, encoding)
        if file not in present:
            deed = Deed.WRITE
        elif present[file] == content:
            deed = Deed.LEAVE
        else:
            deed = Deed.KEEP if file == CONFIG else Deed.REPLACE
        yield Planned(file, deed, content)


def checked_root(root: str) -> str:
    """``root`` tidied. Raises ``ConfigurationError`` where SAS code cannot hold it."""
    root = site.tidy_root(root)
    issue = site.root_issue(root)
    if issue:
        raise ConfigurationError(
            f"The root folder {root!r} {issue}.",
            advice="Name the folder as the SAS server sees it, for example "
            '--root "C:\\SAS Stored Process".',
        )
    return root


def _content(text: str, root: str, encoding: str) -> bytes:
    try:
        return site.encoded(text, root, encoding)
    except UnicodeEncodeError as error:
        lacking = error.object[error.start]
        raise ConfigurationError(
            f"The root folder {root!r} holds {lacking!r}, which the encoding {encoding} lacks.",
            advice="Name another folder, or the encoding of the SAS server: --encoding utf-8 where "
            "its sessions run with UTF-8.",
        ) from None


class News(NamedTuple):
    """What a kept configuration lacks, and what it has too much."""

    missing: tuple[Setting, ...]
    unknown: tuple[Setting, ...]


def news(shipped: str, kept: str) -> News:
    """What is new in the settings of this release."""
    ours, theirs = site.settings(shipped), site.settings(kept)
    return News(
        tuple(one for name, one in ours.items() if name not in theirs),
        tuple(one for name, one in theirs.items() if name not in ours),
    )
