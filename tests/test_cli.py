"""The commands as an administrator types them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from connector_proxy import __version__
from connector_proxy.cli import cli
from connector_proxy.database import FILE
from connector_proxy.emulator import Emulator
from connector_proxy.secrethash import Presented
from connector_proxy.settings import KEYS
from tests.conftest import PAYLOADS
from tests.test_secrethash import HASHED


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def write(conf: Path, **files: str) -> Path:
    for name, text in files.items():
        (conf / f"{name}.ini").write_text(text, encoding="utf-8")
    return conf


def test_version_is_told() -> None:
    assert run("--version").output.strip() == f"connector-proxy, version {__version__}"


def test_a_secret_is_hashed_without_being_shown() -> None:
    shown = CliRunner().invoke(cli, ["hash-secret"], input="s3cret, with a comma\n").output.strip()
    assert shown.startswith("scrypt:") and "s3cret" not in shown
    assert Presented(shown).matches(b"s3cret, with a comma")
    short = CliRunner().invoke(cli, ["hash-secret"], input="short\n")
    assert "less than 16 characters" in short.stderr and short.stdout.startswith("scrypt:")
    empty = CliRunner().invoke(cli, ["hash-secret"], input="\n")
    assert (empty.exit_code, "There is no secret" in empty.output) == (1, True)


def test_a_service_that_is_open_to_everybody_does_not_start_without_a_word(conf: Path) -> None:
    result = run("serve", "--conf", str(conf), "--host", "0.0.0.0", "--port", "0")
    assert result.exit_code == 1
    assert "auth is none, and 0.0.0.0 can be reached from other machines" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "OK    access: programs of this machine may send webhooks (auth = none)"),
        ({"ALLOWOPEN": "True"}, "WARN  access: everybody who reaches the port"),
        ({"TRUSTEDPROXY": "10.1.2.3"}, "FAIL  access: auth is none, and trustedproxy"),
        ({"AUTH": "bearer", "BEARERTOKEN": "x" * 32}, "OK    access: who presents the secret"),
        ({"AUTH": "bearer", "BEARERTOKEN": "x" * 32 + ",short"}, "WARN  access: bearertoken holds a secret"),
        ({"AUTH": "bearer", "BEARERTOKEN": HASHED}, "OK    access: who presents"),
    ],
)  # fmt: skip
def test_check_tells_who_can_send_webhooks(
    environment: dict[str, str], line: str, conf: Path
) -> None:
    own = {f"CONNECTOR_PROXY_{name}": text for name, text in environment.items()}
    assert line in run("check", "--conf", str(conf), **own).output


@pytest.mark.parametrize("key", ["stppassword", "basicpassword", "bearertoken", "headervalue"])
def test_check_warns_where_others_may_read_a_secret(key: str, conf: Path) -> None:
    more = {"stppassword": "stpusername = u\n", "basicpassword": "basicuser = u\n", "headervalue": "headername = X\n"}  # fmt: skip
    auth = {"basicpassword": "basic", "bearertoken": "bearer", "headervalue": "header"}
    write(conf, credentials=f"[DEFAULT]\n{more.get(key, '')}{key} = p\n")
    (conf / "credentials.ini").chmod(0o644)
    output = run("check", "--conf", str(conf), CONNECTOR_PROXY_AUTH=auth.get(key, "none")).output
    assert "others may read its secrets" in output


def test_check_and_serve_refuse_a_sqlite_that_is_too_old(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr("sqlite3.sqlite_version", "3.34.1")
    checked = run("check", "--conf", str(conf))
    assert checked.exit_code == 1
    assert "FAIL  SQLite: This Python has SQLite 3.34.1, and 3." in checked.output
    served = run("serve", "--conf", str(conf))
    assert served.exit_code == 1
    assert "This Python has SQLite 3.34.1" in served.output


def test_python_m_is_the_same_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "connector_proxy", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert __version__ in result.stdout


def test_check_shows_each_setting_with_its_origin(conf: Path) -> None:
    result = run("check", "--conf", str(conf), CONNECTOR_PROXY_READTIMEOUT="7")
    assert result.exit_code == 0, result.output
    for key in KEYS:
        assert key.name in result.output
    assert re.search(r"loglevel +INFO +default", result.output)
    assert "environment variable CONNECTOR_PROXY_READTIMEOUT" in result.output
    assert "OK    output folder" in result.output


def test_check_tells_a_folder_below_which_windows_takes_no_long_names(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_proxy.platforms.too_long", lambda folder: True)
    result = run("check", "--conf", str(conf))
    assert "WARN  output folder" in result.output
    assert "LongPathsEnabled" in result.output


def test_check_masks_secrets_and_warns_of_plain_http(conf: Path, emulator: Emulator) -> None:
    write(
        conf,
        serviceConfig=f"[DEFAULT]\nstpurl = {emulator.stpurl}\n[stp:A]\nreadtimeout = 7\n",
        credentials="[DEFAULT]\nstpusername = u\nstppassword = hunter2\n[stp:A]\nstppassword = hunter3\n",
    )
    for arguments in (["check"], ["check", "--json"]):
        result = run(*arguments, "--conf", str(conf))
        assert result.exit_code == 0, result.output
        assert "hunter" not in result.output
        assert "<secret>" in result.output
        assert "plain http" in result.output
    assert emulator.requests == [], "nothing was sent"


def test_check_is_readable_by_machines(conf: Path) -> None:
    report = json.loads(run("check", "--json", "--conf", str(conf)).output)
    assert report["settings"]["stpurl"]["value"] == "embedded"
    assert {one["condition"] for one in report["checks"]} == {"ok"}


def test_check_ends_with_1_when_the_host_does_not_answer(conf: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"http://127.0.0.1:{port}/SASBIWS/rest/storedProcesses/{{{{stpName}}}}"
        result = run(
            "check", "--conf", str(write(conf, serviceConfig=f"[DEFAULT]\nstpurl = {url}\n"))
        )
    assert result.exit_code == 1
    assert (
        f"FAIL  stored process host 127.0.0.1:{port}: no connection: Connection refused"
        in result.output
    )
    assert "Check stpurl" in result.output


def test_check_ends_with_1_when_tls_cannot_be_trusted(conf: Path, emulator: Emulator) -> None:
    url = emulator.stpurl.replace("http:", "https:")
    result = run("check", "--conf", str(write(conf, serviceConfig=f"[DEFAULT]\nstpurl = {url}\n")))
    assert result.exit_code == 1
    assert "Does this port speak TLS?" in result.output


def test_check_tells_of_a_password_that_others_may_read(conf: Path) -> None:
    write(conf, credentials="[DEFAULT]\nstpusername = u\nstppassword = hunter2\n")
    (conf / "credentials.ini").chmod(0o644)
    assert "others may read its secrets" in run("check", "--conf", str(conf)).output
    (conf / "credentials.ini").chmod(0o640)
    assert "others may read" not in run("check", "--conf", str(conf)).output


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "OK    page: is off: opssecret is empty\n      To switch it on write opssecret into credentials.ini; connector-proxy hash-secret"),
        ({"OPS": "no", "OPSSECRET": "x"}, "OK    page: is switched off (ops)"),
        ({"OPSSECRET": "x" * 15}, "WARN  page: opssecret holds a secret of less than 16 characters"),
        ({"OPSSECRET": "x" * 16}, "OK    page: /ops is shown to this machine\n"),
        ({"OPSSECRET": "x" * 16, "OPSNETWORKS": "10.1.2.3"}, "OK    page: /ops is shown to this machine and 10.1.2.3/32"),
        ({"OPSSECRET": "x" * 16, "TRUSTEDPROXY": "10.0.0.1"}, "OK    page: /ops is shown to this machine\n"),
        ({"OPSSECRET": "x" * 16, "TRUSTEDPROXY": "127.0.0.1"}, "WARN  page: /ops is shown to nobody\n"),
        ({"OPSSECRET": "x" * 16, "TRUSTEDPROXY": "127.0.0.0/8", "OPSNETWORKS": "127.0.0.1"}, "OK    page: /ops is shown to 127.0.0.1/32\n"),
    ],
)  # fmt: skip
def test_check_tells_who_may_open_the_page(settings: dict[str, str], line: str, conf: Path) -> None:
    environment = {f"CONNECTOR_PROXY_{name}": value for name, value in settings.items()}
    assert line in run("check", "--conf", str(conf), **environment).output


@pytest.mark.parametrize(
    ("queueurl", "warned"),
    [
        ("postgresql+psycopg://jo:hunter2@127.0.0.1:1/x", True),
        ('"postgresql+psycopg://jo:hunter2@127.0.0.1:1/x"', True),
        ("postgresql+psycopg://jo@127.0.0.1:1/x?password=hunter2", True),
        ("postgresql+psycopg://jo@127.0.0.1:1/x", False),
        ("", False),
    ],
)
def test_check_tells_of_a_database_password_that_others_may_read(
    queueurl: str, warned: bool, conf: Path
) -> None:
    write(conf, credentials=f"[DEFAULT]\nqueueurl = {queueurl}\n")
    (conf / "credentials.ini").chmod(0o644)
    output = run("check", "--conf", str(conf)).output
    assert ("others may read its secrets" in output) is warned
    assert "hunter2" not in output


def test_check_tries_the_data_folder_and_leaves_it_alone(conf: Path) -> None:
    data = conf.parent / "data"
    assert f"OK    data folder: {data} can be made" in run("check", "--conf", str(conf)).output
    assert not data.exists()
    data.mkdir()
    assert f"OK    data folder: {data} can be written" in run("check", "--conf", str(conf)).output
    assert list(data.iterdir()) == []
    (data / FILE).mkdir()
    result = run("check", "--conf", str(conf))
    assert (result.exit_code, f"FAIL  data folder: {data / FILE} is no file" in result.output) == (1, True)  # fmt: skip
    (data / FILE).rmdir()
    data.rmdir()
    data.write_text("a file in the way")
    result = run("check", "--conf", str(conf))
    assert (result.exit_code, "FAIL  data folder" in result.output) == (1, True)
    assert "name another folder in datafolder" in result.output


@pytest.mark.parametrize(
    ("free", "word", "code"),
    [(2**30, "OK", 0), (2**30 - 1, "WARN", 0), (200 * 2**20, "WARN", 0), (200 * 2**20 - 1, "FAIL", 1)],
)  # fmt: skip
def test_check_looks_at_the_room_on_the_disk(
    free: int, word: str, code: int, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    result = run("check", "--conf", str(conf))
    assert result.exit_code == code
    assert re.search(rf"^{word:<5} room in datafolder: [\d,]+ MB free", result.output, re.MULTILINE)
    assert ("below 200 MB webhooks are answered with 503" in result.output) is (word != "OK")


def test_check_tells_that_others_may_read_the_deliveries(conf: Path) -> None:
    data = conf.parent / "data"
    run("deliveries", "list", "--conf", str(conf))
    assert "others may" not in run("check", "--conf", str(conf)).output
    for path, mode in ((data, 0o755), (data / FILE, 0o640)):
        before = path.stat().st_mode
        path.chmod(mode)
        result = run("check", "--conf", str(conf))
        assert result.exit_code == 0
        assert f"WARN  data folder: others may use {path}; payloads" in result.output
        path.chmod(before)
    data.chmod(0o755)
    run("deliveries", "list", "--conf", str(conf))
    assert "others may" not in run("check", "--conf", str(conf)).output, "the service mends it"


def test_check_tries_the_database_that_instances_share(conf: Path) -> None:
    url = "postgresql+psycopg://jo:hunter%402@127.0.0.1:1/deliveries"
    result = run("check", "--conf", str(conf), CONNECTOR_PROXY_QUEUEURL=url)
    assert result.exit_code == 1
    assert "FAIL  queue database deliveries on 127.0.0.1:1: the database does not answer: " in result.output  # fmt: skip
    assert "queueurl in credentials.ini is right" in result.output
    assert "hunter" not in result.output
    assert "data folder" not in result.output, "nothing is kept there"


def test_check_tries_the_address_to_listen_on(conf: Path, emulator: Emulator) -> None:
    for host, port, words, code in (
        ("127.0.0.1", emulator.port, "WARN  address: 127.0.0.1", 0),
        ("192.0.2.1", 8100, "FAIL  address: 192.0.2.1", 1),
        ("a..b", 8100, "FAIL  address: a..b", 1),
    ):
        text = f"class svcConfig:\n    host = {host!r}\n    port = {port}\n"
        (conf / "serviceConfig.py").write_text(text)
        result = run("check", "--conf", str(conf))
        assert words in result.output
        assert result.exit_code == code


def test_check_leaves_nothing_behind(conf: Path) -> None:
    before = sorted(conf.parent.rglob("*"))
    assert run("check", "--conf", str(conf)).exit_code == 0
    assert sorted(conf.parent.rglob("*")) == before


def test_options_before_the_command_are_put_right(conf: Path) -> None:
    result = run("--conf", str(conf), "check")
    assert result.exit_code == 2
    assert "Options stand behind the command: check --conf" in result.output


@pytest.mark.parametrize("command", ["serve", "emulate-sas"])
def test_an_address_that_is_none_is_said_in_words(command: str, conf: Path) -> None:
    result = run(command, "--conf", str(conf), "--host", "no-such-host.invalid", "--port", "0")
    assert result.exit_code == 1
    assert "Cannot listen at http://no-such-host.invalid:0" in result.output


def test_the_demonstration_calls_no_configured_server(conf: Path, emulator: Emulator) -> None:
    write(
        conf,
        serviceConfig=f"[DEFAULT]\nstpurl = {emulator.stpurl}\nallowedstps = Other\n"
        f"[stp:Download File]\nstpurl = {emulator.stpurl}\n",
        credentials="[DEFAULT]\nstpusername = u\nstppassword = hunter2\n",
    )
    result = subprocess.run(
        [sys.executable, "-m", "connector_proxy", "demo", "--conf", str(conf), "--rows", "3"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert emulator.requests == []


def test_check_ends_with_1_when_a_folder_cannot_be_written(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "blocker").write_text("")
    text = f"[DEFAULT]\nlogfilepath = {tmp_path / 'blocker' / 'logs'}\n"
    result = run("check", "--conf", str(write(conf, serviceConfig=text)))
    assert result.exit_code == 1
    assert "FAIL  log folder" in result.output


@pytest.mark.parametrize("command", ["serve", "check", "demo", "preview", "emulate-sas"])
def test_a_fault_of_the_configuration_ends_every_command_with_1(command: str, conf: Path) -> None:
    write(conf, serviceConfig="[DEFAULT]\nstpurll = embedded\n")
    more = [str(PAYLOADS / "bulk_stp.json")] if command == "preview" else []
    result = run(command, "--conf", str(conf), *more)
    assert result.exit_code == 1
    assert (
        "serviceConfig.ini line 2: there is no setting 'stpurll' here; did you mean 'stpurl'?"
        in result.output
    )
    assert "connector-proxy check" in result.output


def test_preview_masks_credentials_in_both_families(conf: Path) -> None:
    write(conf, credentials="[DEFAULT]\nstpusername = jo\nstppassword = hunter2\n")
    for url in (
        "http://sas/SASBIWS/rest/storedProcesses/{{stpName}}",
        "http://sas/SASBIWS/services/{{stpName}}",
    ):
        write(conf, serviceConfig=f"[DEFAULT]\nstpurl = {url}\n")
        result = run("preview", "--conf", str(conf), str(PAYLOADS / "bulk_stp.json"))
        assert result.exit_code == 0, result.output
        assert "Authorization: Basic <masked>" in result.output
        assert "hunter2" not in result.output
        assert f"POST {url.split('{{')[0]}" in result.output
        assert "?<masked>" in result.output


def test_preview_reads_standard_input(conf: Path) -> None:
    raw = (PAYLOADS / "triggered.json").read_bytes()
    result = CliRunner().invoke(cli, ["preview", "--conf", str(conf), "-"], input=raw)
    assert "stored process: OneCustomer (triggered)" in result.output


@pytest.mark.parametrize("options", [[], ["--emulated"], ["--loop"]])
def test_the_demonstration_shows_the_main_job(options: list[str], conf: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "connector_proxy", "demo", "--conf", str(conf), "--rows", "25", *options],
        capture_output=True, text=True, timeout=120, check=False,
        encoding="cp1252", env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "<stpName>Download File</stpName>" in result.stdout
    assert '"rows": 25' in result.stdout
    assert "identity_id | customer_id | full name" in result.stdout
    place = next(one for one in result.stdout.splitlines() if one.startswith("the dataset lies"))
    dataset = Path(place.removeprefix("the dataset lies at "))
    assert pyarrow.parquet.read_metadata(dataset).num_rows == 25
    assert "birth_dt date" in result.stdout
    log = (dataset.parent / "connector-proxy.log").read_text(encoding="utf-8")
    assert f'"destination": "{"sas" if "--emulated" in options else "embedded"}"' in log
    told = "CI 360 was told of 10 deliveries, of each once" in result.stdout
    assert told is ("--loop" in options)
    assert "X-Amz-Signature=" not in (result.stdout + log).replace("X-Amz-Signature=<masked>", "")


def test_the_demonstration_says_why_it_failed(conf: Path) -> None:
    (conf.parent / "output").write_text("a file in the way")
    result = run("demo", "--conf", str(conf))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "error:" in result.output
