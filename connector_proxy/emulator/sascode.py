"""Exported SAS code in the place of the embedded stored process: an option for development.

The code runs in the interpreter of the tests, which knows the subset of SAS that the bundled code
uses and is part of a checkout only.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from lxml import etree

from connector_proxy.emulator.wire import Ran, StoredProcess
from connector_proxy.errors import ConfigurationError
from connector_proxy.sascode import folder as folders
from connector_proxy.sascode import site

BULK, EVENT = "code/stpDownloadFile.sas", "code/stpAppendRow.sas"
"""The programs; a stream with files goes to the first, any other to the second."""

_SAS_ERROR = 1012


def sas_code(folder: Path) -> StoredProcess:
    """The programs below ``folder``, as ``connector-proxy sas export`` wrote them, run in a
    session of their own each time. Raises ``ConfigurationError`` where that cannot be."""
    folder = folder.absolute()
    interpreter, root = _interpreter(), _root(folder)
    windows = site.is_windows(root)

    def run(instream: bytes) -> Ran:
        session = interpreter.Session(
            platform="windows" if windows else "unix",
            encoding=site.default_encoding(root),
            roots={root: folder} if windows else {},
        )
        try:
            ran = session.run(folder / (BULK if _has_files(instream) else EVENT), instream=instream)
        except interpreter.RunnerFault as fault:
            return Ran(b"", _SAS_ERROR, f"the interpreter of the tests gives up: {fault}")
        return Ran(ran.webout, ran.syscc, content_type=ran.content_type or "text/plain")

    return run


def _interpreter() -> Any:
    try:
        return importlib.import_module("tests.sas")
    except ImportError:
        raise ConfigurationError(
            "SAS code runs in the interpreter of the tests, which is not here.",
            advice="Leave --code out, or use a checkout of the project (make install).",
        ) from None


def _root(folder: Path) -> str:
    """The folder that the programs think they lie in. On Unix it must be true."""
    programs = {name: folder / name for name in (BULK, EVENT)}
    missing = [name for name, path in programs.items() if not path.is_file()]
    if missing:
        raise ConfigurationError(
            f"There is no {missing[0]} in {folder}.",
            advice=f"Write it: connector-proxy sas export --to {folder}",
        )
    roots = {root for path in programs.values() for root in site.roots(_text(path))}
    root = roots.pop() if len(roots) == 1 else ""
    if not site.is_windows(root) and Path(root) != folder:
        raise ConfigurationError(
            f"The programs in {folder} have another root folder ({root or 'or more than one'}).",
            advice=f"Write them anew: connector-proxy sas export --to {folder} --root {folder}",
        )
    return root


def _text(path: Path) -> str:
    return folders.text(path.read_bytes())


def _has_files(instream: bytes) -> bool:
    """Whether a stream is one of a bulk task; a stream that cannot be read counts as one."""
    try:
        row = etree.fromstring(instream, etree.XMLParser(resolve_entities=False))
    except (etree.XMLSyntaxError, ValueError):
        return True
    return all(row.find(f".//{name}") is not None for name in ("dataFile", "metadataFile"))
