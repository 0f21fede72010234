"""What remains to be done on the SAS server after an export, in words, with its real paths.

Facts only. The words of the dialogs are those of SAS Management Console 9.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connector_proxy.sascode.site import CONFIG, joined


class StoredProcess(NamedTuple):
    """A stored process as it is registered: its name, its program, what it is for."""

    name: str
    program: str
    purpose: str


STORED_PROCESSES = (
    StoredProcess("Download File", "code/stpDownloadFile.sas", "bulk tasks"),
    StoredProcess("Append Row", "code/stpAppendRow.sas", "events (triggered tasks)"),
)


def steps(root: str, folder: str) -> Iterator[str]:
    """The steps for a copy that was written to ``folder`` and is to lie at ``root``."""
    texts = [
        *([f"Copy {folder} to the SAS server, as {root}"] if folder != root else []),
        "Let the account of the stored process server (such as sassrv) read all of it, and "
        f"write to {joined(root, 'logs')} and {joined(root, 'output')}",
        f"Look through {joined(root, CONFIG)}: output library, allowed hosts",
        f"Run {joined(root, 'code/smoke.sas')} in a SAS session of that server: it prints PASS or "
        "FAIL a line",
        *(_registration(one, root) for one in STORED_PROCESSES),
        "In conf/serviceConfig.ini of connector-proxy let stpurl lead to their metadata folder:\n"
        "   http://sasserver:7980/SASBIWS/rest/storedProcesses/<folder>/{{stpName}}"
        "/dataTargets/_WEBOUT",
    ]
    for number, text in enumerate(texts, start=1):
        yield f"{number}. {text}"


def _registration(one: StoredProcess, root: str) -> str:
    program = joined(root, one.program)
    folder, _, name = program.replace("\\", "/").rpartition("/")
    folder = program[: len(folder)]
    return (
        f"In SAS Management Console, Folders: New > Stored Process, for {one.purpose}\n"
        f"   Name: {one.name}, or whatever stpName of your tasks says\n"
        "   Execution: application server with a stored process server (not a workspace server)\n"
        "   Source code: Allow execution on selected application server only > "
        "Store source code on application server\n"
        f"   Source code repository: {folder}    Source file: {name}\n"
        "   Result capabilities: Stream\n"
        "   Parameters: none; no STP macros are included (Include code for: both unchecked)\n"
        "   Data > New, Source: Type XML, form of data Generic, fileref instream, "
        "Allow rewinding stream: no"
    )
