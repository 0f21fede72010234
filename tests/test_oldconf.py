"""Installations of the published utility are taken over with the files that they have.

The files in tests/data/oldconf were made for this project, in states in which such files are
found: as they were unpacked, saved by editors of Windows, quoted, commented, in capitals.
"""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from connector_proxy.cli import cli
from connector_proxy.emulator import Emulator
from connector_proxy.errors import ConfigurationError
from connector_proxy.loading import load
from connector_proxy.values import Secret
from tests.conftest import DATA, PAYLOADS
from tests.test_managed import ONCE, free_port, running

OLD = DATA / "oldconf"
SAS = "http://sasserver.example:7980/SASBIWS"
EVENT = (PAYLOADS / "triggered.json").read_bytes()

UNDERSTOOD = {
    "unpacked": {
        "stpurl": f"{SAS}/rest/storedProcesses/Shared Data/CI360Jobs/Stored Processes/{{{{stpName}}}}",
        "loglevel": "DEBUG", "proglog": "connector-proxy.log", "debug": False,
        "stpusername": Secret(""), "stppassword": Secret(""),
    },
    "umlauts": {
        "stpurl": f"{SAS}/rest/storedProcesses/Gemeinsame Daten/Kampagnen für März/{{{{stpName}}}}",
        "loglevel": "WARNING", "proglog": "connector-proxy.log", "debug": False,
        "stpusername": Secret("müller"), "stppassword": Secret("Grüße#2024"),
    },
    "notepad": {
        "stpurl": f"{SAS}/rest/storedProcesses/Shared%20Data/CI360/{{{{stpName}}}}",
        "loglevel": "INFO", "proglog": "connector-proxy.log", "debug": False,
        "stpusername": Secret(""), "stppassword": Secret(""),
    },
    "capitals": {
        "stpurl": f"{SAS}/services/{{{{stpName}}}}",
        "loglevel": "DEBUG", "proglog": "", "debug": True,
        "stpusername": Secret("svc;ci360"), "stppassword": Secret('a # in it; and ""more"" %d'),
    },
    "first": {
        "stpurl": f"{SAS}/rest/storedProcesses/Shared Data/CI360Jobs/{{{{stpName}}}}",
        "loglevel": "CRITICAL", "proglog": "", "debug": False,
        "stpusername": Secret(""), "stppassword": Secret(""),
    },
}  # fmt: skip
FOLDERS = {"umlauts": "protokolle", "capitals": "LOGS/CI360"}
CALLED = {
    "unpacked": "/rest/storedProcesses/Shared%20Data/CI360Jobs/Stored%20Processes/",
    "umlauts": "/rest/storedProcesses/Gemeinsame%20Daten/Kampagnen%20f%C3%BCr%20M%C3%A4rz/",
    "notepad": "/rest/storedProcesses/Shared%20Data/CI360/",
    "capitals": "/services/",
    "first": "/rest/storedProcesses/Shared%20Data/CI360Jobs/",
}


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The three files in a folder as of the utility: copied, nothing else."""
    conf = tmp_path / "Python Flask" / "conf"
    shutil.copytree(OLD / request.param, conf)
    return conf


def point(conf: Path, emulator: Emulator, port: int) -> None:
    """At a SAS that is here, and at a port that nobody else has."""
    place = emulator.url.split("/")[2].encode()
    for path in conf.iterdir():
        raw = path.read_bytes().replace(b"sasserver.example:7980", place)
        path.write_bytes(raw.replace(b"8100", str(port).encode()))


def test_there_are_five_states_and_each_is_as_its_editor_left_it() -> None:
    assert sorted(path.name for path in OLD.iterdir()) == sorted(UNDERSTOOD)
    raw = {name: (OLD / name / "serviceConfig.ini").read_bytes() for name in UNDERSTOOD}
    assert all((b"\r\n" in raw[name]) == (name != "first") for name in raw)
    assert raw["notepad"].startswith(b"\xef\xbb\xbf")
    with pytest.raises(UnicodeDecodeError):
        raw["umlauts"].decode()


@pytest.mark.parametrize("old", UNDERSTOOD, indirect=True)
def test_what_an_old_installation_has_is_understood(old: Path) -> None:
    settings, name = load(old, {}), old_name(old)
    for key, value in UNDERSTOOD[name].items():
        assert getattr(settings, key) == value, key
    assert (settings.host, settings.port) == ("127.0.0.10", 8100)
    assert settings.logfilepath == old.parent / FOLDERS.get(name, "logs")


def old_name(conf: Path) -> str:
    ini = (conf / "serviceConfig.ini").read_bytes()
    return next(
        name for name in UNDERSTOOD if (OLD / name / "serviceConfig.ini").read_bytes() == ini
    )


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ("unpacked", ["credentials.ini line 6: this password is the sample"]),
        ("umlauts", [
            "serviceConfig.ini line 1: this is not UTF-8 and was read as Windows-1252",
            "credentials.ini line 1: this is not UTF-8",
            "serviceConfig.py line 3: this is not UTF-8",
        ]),
        ("notepad", ["what stands behind ';' is a comment"]),
        ("capitals", []),
        ("first", ["credentials.ini is missing", "serviceConfig.py is missing"]),
    ],
    indirect=["old"],
)  # fmt: skip
def test_check_says_what_it_understood_and_what_to_mend(
    old: Path, words: list[str], emulator: Emulator
) -> None:
    point(old, emulator, free_port())
    result = CliRunner().invoke(cli, ["check", "--conf", str(old)])
    assert result.exit_code == 0, result.output
    assert re.search(r"host +127\.0\.0\.10 ", result.output)
    assert re.search(r"stpurl +(?i:http)://127\.0\.0\.1:\d+/SASBIWS/\S", result.output)
    assert "answers (TCP" in result.output
    for word in words:
        assert word in result.output
    for secret in ("Grüße", "0123456789ABCDEF", "in it"):
        assert secret not in result.output


@pytest.mark.parametrize("old", UNDERSTOOD, indirect=True)
def test_it_answers_where_the_old_service_did(old: Path, emulator: Emulator) -> None:
    name, port = old_name(old), free_port()
    point(old, emulator, port)
    # The first release had the address in its program, and no file to change it in.
    command = [
        "-m",
        "connector_proxy",
        "serve",
        *(["--port", str(port)] if name == "first" else []),
    ]
    with running(command, old) as process:
        answer = posted(f"http://127.0.0.10:{port}/ExecuteSTP")
        assert (answer.status_code, answer.json()["status"]) == (200, "done")
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    (call,) = emulator.requests
    assert CALLED[name] in call.path
    assert (old.parent / "data" / "deliveries.sqlite").exists()


def posted(url: str) -> requests.Response:
    for _ in range(400):
        try:
            return requests.post(url, data=EVENT, headers=ONCE, timeout=30)
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("it does not answer")


@pytest.mark.parametrize("text", ["{SAS005}0123", "str({SAS002}0123)", "(SAS004)0123"])
def test_an_encoded_password_that_is_not_the_sample_is_refused(text: str, conf: Path) -> None:
    """Whoever wrote one of their own wants to log on."""
    line = f"[DEFAULT]\nstpusername = u\nstppassword = {text}\n"
    (conf / "credentials.ini").write_text(line)
    with pytest.raises(ConfigurationError, match="PROC PWENCODE"):
        load(conf, {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_what_notepad_calls_unicode_is_named(encoding: str, conf: Path) -> None:
    (conf / "serviceConfig.ini").write_bytes("[DEFAULT]\r\nloglevel = ERROR\r\n".encode(encoding))
    with pytest.raises(ConfigurationError, match=r"serviceConfig\.ini line 1"):
        load(conf, {})
