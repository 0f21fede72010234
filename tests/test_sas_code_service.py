"""The whole way with the SAS code at its end: a webhook, the service, HTTP, the pretend SAS BI Web
Services, the exported programs in the interpreter of tests/sas, a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connector_proxy.cli import cli
from connector_proxy.emulator import Behaviour, Emulator, sas_code
from connector_proxy.sascode import site
from connector_proxy.settings import Settings
from tests.conftest import PAYLOADS, Service, another, payload
from tests.filestore import FileStore
from tests.sas import members, read

META = (PAYLOADS / "metadata_array.json").read_bytes()
DATA = (PAYLOADS / "data_hard.csv").read_bytes().replace("Ł".encode(), b"L")
"""Without the one letter that wlatin1, the encoding of the sessions on Windows, does not have."""
ROOTS = {"unix": None, "windows": "C:\\SAS Stored Process"}


def exported(folder: Path, root: str | None = None) -> Path:
    """What ``sas export`` writes, with the settings of a site that downloads from loopback."""
    more = ["--root", root] if root else []
    assert CliRunner().invoke(cli, ["sas", "export", "--to", str(folder), *more]).exit_code == 0
    config = folder / site.CONFIG
    text = config.read_bytes()
    for old, new in ((b".amazonaws.com;", b"127.0.0.1;"), (b"= https;", b"= http;")):
        assert old in text
        text = text.replace(old, new)
    config.write_bytes(text)
    return folder


@pytest.fixture(params=ROOTS)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An installed copy, of a server on Unix and of one on Windows."""
    return exported(tmp_path / "stored process", ROOTS[request.param])


@pytest.fixture
def service(copy: Path, settings: Settings, start: Callable[[Settings], Service]) -> Any:
    """The service in front of a server that runs the copy; its stream comes as one line."""
    with Emulator(sas_code(copy), behaviour=Behaviour(one_line=True)) as emulator:
        yield start(replace(settings, stpurl=emulator.stpurl, readtimeout=60.0, waitseconds=60.0))


def test_a_bulk_task_becomes_a_dataset(service: Service, copy: Path, store: FileStore) -> None:
    response = service.post({**another(payload()), "presignedUrls": store.urls(META, DATA)})
    assert response.status_code == 200, service.record(response)
    result = response.json()["result"]
    assert result["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (result["rows"], result["columns"]) == (3, 8)
    assert (result["rejectedRows"], result["unreadableValues"]) == (0, 0)
    assert members(copy / "output") == [result["dataSet"].upper()]
    table = read(copy / "output", result["dataSet"])
    assert len(table.python_rows()) == 3
    assert table.values("customer_id")[0] == "007"


def test_an_event_becomes_a_row(service: Service, copy: Path) -> None:
    for _ in range(2):
        response = service.post(another(payload("triggered.json")))
        assert response.status_code == 200, service.record(response)
    result = response.json()["result"]
    assert result["rows"] == 1
    table = read(copy / "output", result["dataSet"])
    assert len(set(table.values("guid"))) == 2


def test_a_row_that_is_too_short_is_refused_in_words(
    service: Service, copy: Path, store: FileStore
) -> None:
    urls = store.urls(b"a,b", b"1,2\n3\n")
    response = service.post({**another(payload()), "presignedUrls": urls})
    assert response.status_code == 502
    message = response.json()["error"]["message"]
    assert "(code bad_data): " in message and "2" in message
    assert members(copy / "output") == []


def emulate(folder: Path, conf: Path) -> str:
    result = CliRunner().invoke(
        cli, ["emulate-sas", "--conf", str(conf), "--port", "0", "--code", str(folder)]
    )
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ") and "sas export --to" in result.stderr
    return result.stderr


def test_a_folder_without_the_programs_is_told(conf: Path, tmp_path: Path) -> None:
    assert "There is no code/stpDownloadFile.sas in" in emulate(tmp_path, conf)


def test_a_copy_that_is_to_lie_elsewhere_is_told(conf: Path, tmp_path: Path) -> None:
    copy = exported(tmp_path / "x", "/opt/sas")
    assert "have another root folder (/opt/sas)" in emulate(copy, conf)
