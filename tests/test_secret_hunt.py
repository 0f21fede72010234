"""No secret comes to light: not in a file, a line of the log, an answer, or on a console, whatever
goes right or wrong, at DEBUG."""

from __future__ import annotations

import base64
import html
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from connector_proxy.emulator import FAILURES, Emulator, embedded_stored_process
from connector_proxy.settings import Settings
from tests.conftest import ROOT
from tests.crashing import Gate, wait_until
from tests.filestore import FileStore, s3, send, short
from tests.hunting import (
    ALERT_PATH,
    CREDENTIALS,
    CUSTOMERS,
    GATEWAY_SECRET,
    KEY,
    MAIL_PASSWORD,
    NEW_PASSWORD,
    OPS_SECRET,
    PERSON,
    ROW,
    SAS_PASSWORD,
    SENT,
    SIGNED,
    STORE_KEY,
    STORE_TOKEN,
    TENANT,
    TOKEN,
    WRONG,
    Echo,
    Hunted,
    WithPassword,
    echoes,
    event,
    finds,
    found,
    repeating,
    signed,
    task,
)
from tests.mailserver import MailServer
from tests.opspage import Browser
from tests.storedoor import Answer, StoreDoor

pytestmark = pytest.mark.timeout(400)

Launch = Callable[[Hunted], Hunted]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts a service; it ends with the test."""
    running: list[Hunted] = []

    def launcher(service: Hunted) -> Hunted:
        running.append(service)
        service.start()
        return service

    yield launcher
    for one in running:
        one.end()


def nothing_came_to_light(service: Hunted, *, attempts: int) -> None:
    service.end()
    assert service.told().count(" attempt {") >= attempts, "the paths were not gone"
    assert " DEBUG " in service.told()
    assert finds(service) == {}


@pytest.mark.parametrize(
    "text",
    [
        "x Zq1stp y", "Zq1\nstp", "WnExc3Rw", "eFpxMXN0cA==", "eHhacTFzdHA", "Basic c3ZjOlpxMXN0cCBww6QiczxzJg==",
        "%3CZq1stp%3E", "a\\nZq1stp",
    ],
)  # fmt: skip
def test_the_search_finds_what_is_there(text: str) -> None:
    assert found(("Zq1stp",), text) == {"Zq1stp"}
    assert found(("Zq1stp",), text.swapcase()) == set()


def test_with_each_failure_of_a_sas_server(
    launch: Launch, tmp_path: Path, settings: Settings, store: FileStore
) -> None:
    with Emulator(embedded_stored_process(settings)) as emulator:
        names = [f"{kind} {fail}" for kind in ("rest", "soap") for fail in ("", *FAILURES)]
        sections = "\n".join(
            f"[stp:{name}]\nstpurl = {emulator.url}/SASBIWS/services/{{{{stpName}}}}"
            for name in names
            if name.startswith("soap")
        )
        service = launch(WithPassword(tmp_path / "x", f"stpurl = {emulator.stpurl}\n{sections}"))
        urls = signed(store)
        for name in names:
            emulator.behave(fail=name.partition(" ")[2], hang=1, user="svc", password=SAS_PASSWORD)
            for body in (task(urls, name), event(name)):
                assert service.post(body).status_code in (200, 202, 502, 504)
    assert service.post(event("rest gone")).status_code == 502
    nothing_came_to_light(service, attempts=2 * len(names))


@pytest.mark.parametrize("kind", ["task", "event"])
def test_with_a_server_that_repeats_all_that_it_was_told(
    kind: str, launch: Launch, tmp_path: Path, store: FileStore
) -> None:
    names = list(echoes())
    with Echo() as echo:
        sections = "\n".join(f"[stp:soap {name}]\nstpurl = {echo.url}/soap/services/{{{{stpName}}}}" for name in names)  # fmt: skip
        ini = f"stpurl = {echo.url}/rest/{{{{stpName}}}}\n{sections}"
        service = launch(WithPassword(tmp_path / "x", ini))
        urls = signed(store)
        bodies = [
            task(urls, name) if kind == "task" else event(name)
            for one in names
            for name in (one, f"soap {one}")
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(service.post, bodies))
        assert any(SIGNED in one or PERSON.split()[0] in one for one in echo.said)
        assert any("Authorization: Basic" in one for one in echo.said)
    nothing_came_to_light(service, attempts=len(bodies))


def test_with_a_gateway_that_repeats_all_that_it_was_told(launch: Launch, tmp_path: Path) -> None:
    """The name of the event tells how it answers."""
    names = list(echoes())
    sections = "\n".join(f"[stp:{name}]\ndoneevent = {name}" for name in names)
    with Echo() as echo:
        service = WithPassword(tmp_path / "x", f"gatewayurl = {echo.url}\n{sections}",
            reportvia="gateway", tenantid=TENANT, gatewaysecret=GATEWAY_SECRET, reportschedule="",
        )  # fmt: skip
        launch(service)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(service.post, map(event, names)))
        wait_until("all were told", lambda: len(echo.said) >= len(names))
        wait_until("all are settled", lambda: "\n0 waiting, " in _kept(service, "report"))
        listed = _kept(service, "report")
        delivery_id = next(line for line in listed.splitlines() if "report_refused" in line)[:32]
        assert "report_refused" in _kept(service, "report", delivery_id)
        assert "datahub_id" in _kept(service, "report", delivery_id, "--dry-run")
        assert " gateway: " in _kept(service, "check")
        assert any("Authorization: Bearer" in one and PERSON[:3] in one for one in echo.said)
    nothing_came_to_light(service, attempts=len(names))


def _kept(service: Hunted, *words: str) -> str:
    """What a command says; it counts as an answer."""
    said = _said(service, *words)
    service.answered.append(said)
    return said


def test_with_channels_of_alerts_that_repeat_all_that_they_were_told(
    launch: Launch, tmp_path: Path
) -> None:
    plain = base64.b64encode(f"\0cp\0{MAIL_PASSWORD}".encode()).decode()
    authority, bundle = trustme.CA(), tmp_path / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with Echo() as echo, MailServer(authority, ("cp", "another")) as mails:
        mails.says = f"535 wrong: {MAIL_PASSWORD} {plain}"
        service = launch(
            WithPassword(tmp_path / "x", smtphost=mails.address, cabundle=bundle, smtpuser="cp",
                smtppassword=MAIL_PASSWORD, alertfrom="a@example.com", alertto="b@example.com",
                alerturl=f"{echo.url}/raw500/{ALERT_PATH}", opssecret=OPS_SECRET)
        )  # fmt: skip
        said = _kept(service, "check", "--alert")
        assert "535 wrong: <masked>" in said
        assert len(echo.said) == 1 and mails.logins
    _kept(service, "check", "--alert")
    bearer = {"Authorization": f"Bearer {OPS_SECRET}"}
    assert service.ask("GET", "/api/configuration", headers=bearer).status_code == 200
    nothing_came_to_light(service, attempts=0)


def test_with_object_stores_that_repeat_all_that_they_were_told(
    launch: Launch, tmp_path: Path, store: FileStore
) -> None:
    with StoreDoor(1) as door:
        common = f"endpoint = {door.url}\nconnecttimeout = 2\nreadtimeout = 2\n"
        ini = (
            f"gettries = 1\n[upload]\nurl = s3://bucket/x\nregion = eu-north-1\n{common}"
            f"[upload:azure]\nurl = az://container/x\naccount = store\n{common}"
        )
        service = WithPassword(tmp_path / "x", ini, opssecret=OPS_SECRET)
        with (service.conf / "credentials.ini").open("a", encoding="utf-8") as file:
            file.write(f"[upload]\naccesskey = AKIA\nsecretkey = {STORE_KEY}\n")
            file.write(f"[upload:azure]\nsastoken = sv=2024-01-01&sp=rw&sig={STORE_TOKEN}\n")
        launch(service)
        faults = [(400, "InvalidRequest"), (403, "AccessDenied"), (404, "NoSuchBucket"), (409, "Conflict"),
                  (500, "InternalError"), (503, "SlowDown")]  # fmt: skip
        urls = signed(store)
        for status, code in faults:
            door.rule = lambda request, status=status, code=code: Answer(
                status, code, html.escape(f"{request.path} {request.query} {request.headers} {STORE_KEY}")
            )  # fmt: skip
            for target in ("default", "azure"):
                body = json.loads(task(urls, "x"))
                body["sendParameters"] = {"s3_filename": f"{status}.csv", "uploadTarget": target}
                answer = service.post(json.dumps(body).encode(), "/UploadFile")
                assert answer.status_code in (202, 502)
            assert "[upload:azure]" in _kept(service, "check")
        assert any(STORE_TOKEN[:3] in str(one.query) for one in door.seen)
    nothing_came_to_light(service, attempts=2 * len(faults))


def test_with_each_failure_of_a_download_and_of_a_dataset(
    launch: Launch, tmp_path: Path, store: FileStore
) -> None:
    ini = "gettries = 2\ngetpause = 0\n[stp:Csv]\ndatasetformat = csv\nonbadrow = reject"
    service = launch(WithPassword(tmp_path / "x", ini))
    urls = signed(store)
    good = store.answers["data"]
    failures = [
        good, short(b"x"), s3(b"changed", '"other"'), send(200, b""), send(204, b""),
        send(200, b"\x1f\x8bno gzip"), send(200, f'"{ROW}'.encode()), send(200, f"{ROW},1,2,3\n".encode()),
        *(repeating(status, code) for status, code in (
            (302, "Moved"), (307, "Moved"), (400, "ExpiredToken"), (403, "AccessDenied"),
            (403, "SignatureDoesNotMatch"), (404, "NoSuchKey"), (500, "InternalError"), (503, "SlowDown"),
        )),
    ]  # fmt: skip
    for number, failure in enumerate(failures):
        store.answers["data"] = failure
        for name in (f"Embedded {number}", "Csv"):
            service.post(task(urls, name))
    store.answers["data"] = good
    for name in ("Table", "Embedded"):
        assert service.post(task(urls, name)).status_code in (200, 202, 502)
    elsewhere = urls["dataFile"].replace("127.0.0.1", "127.0.0.2")
    for url in (
        elsewhere,
        "https://user:Zq8signed@elsewhere.example/?sig=Zq8signed",
        "no url Zq8signed?a=b",
        "",
    ):
        service.post(task({**urls, "dataFile": url}, "Embedded"))
    store.answers["metadata"] = repeating(403, "AccessDenied")
    service.post(task(urls, "Embedded"))
    service.post(event("Embedded"))
    nothing_came_to_light(service, attempts=2 * len(failures))


def test_with_staged_files(
    launch: Launch, tmp_path: Path, settings: Settings, store: FileStore
) -> None:
    with Emulator(embedded_stored_process(settings)) as emulator:
        service = Hunted(tmp_path / "x", f"stpurl = {emulator.stpurl}\nstage = True")
        service.environment["CONNECTOR_PROXY_PUBLICURL"] = service.url
        launch(service)
        assert service.post(task(signed(store), "Staged")).status_code == 200
        (token,) = (path.read_text() for path in service.folder.rglob("token"))
    service.end()
    assert "staged file read" in service.told()
    assert token not in service.told() + service.said(10**6) + "".join(service.answered)
    assert finds(service) == {}


def test_when_processes_die_in_the_middle(
    launch: Launch, tmp_path: Path, sas: Emulator, gate: Gate, store: FileStore
) -> None:
    ini = f"stpurl = {sas.stpurl}\nreadtimeout = 30"
    service = WithPassword(tmp_path / "x", "")
    text = (service.conf / "serviceConfig.ini").read_text("utf-8")
    text = text.replace("readtimeout = 2", "").replace("waitseconds = 10", "waitseconds = 0")
    (service.conf / "serviceConfig.ini").write_text(text + ini, "utf-8")
    launch(service)
    urls = signed(store)
    for round_, kill in enumerate((service.kill_working, service.kill_both), start=1):
        for body in (task(urls, f"Task {round_}"), event(f"Event {round_}")):
            assert service.post(body).status_code == 202
        wait_until("they have arrived", lambda count=2 * round_: len(sas.requests) == count)
        kill()
        if not service.alive():
            service.start()
    held = ("deliveries", "list", "--state", "held", "--json")  # a killed process tells no more
    wait_until("all were looked at", lambda: len(service.command(*held).stdout.splitlines()) == 4)
    nothing_came_to_light(service, attempts=1)


MODES = {
    "basic": (WithPassword.auth, {"basicuser": "agent", "basicpassword": NEW_PASSWORD}),
    "bearer": ({"Authorization": f"Bearer {TOKEN}"}, {"bearertoken": TOKEN}),
    "header": ({"X-Api-Key": KEY}, {"headername": "X-Api-Key", "headervalue": KEY}),
}


@pytest.mark.parametrize("mode", MODES)
def test_at_the_door(mode: str, launch: Launch, tmp_path: Path) -> None:
    good, settings = MODES[mode]
    service = launch(Hunted(tmp_path / "x", "", auth=mode, **settings))
    assert service.ask("POST", "/ExecuteSTP", data=event("x"), headers=good).status_code == 200
    bodies = (b"", b"{" + WRONG.encode(), f'{{"a": "{WRONG}", "a": 1}}'.encode(), f'"{WRONG}"'.encode(),
              f'{{"presignedUrls": "{WRONG}"}}'.encode(), event(f"{WRONG}/{WRONG}"), event("")[:-40],
              task({"dataFile": f"http://{SIGNED}", "metadataFile": SIGNED}, "x"))  # fmt: skip
    for body in bodies:
        service.ask("POST", f"/ExecuteSTP?key={WRONG}&sig={SIGNED}", data=body, headers=good)
    for path in (f"/{WRONG}?x={WRONG}", f"/deliveries/{WRONG}", f"/files/{'0' * 32}.{WRONG}/data"):
        assert service.ask("GET", path, headers={**good, "Cookie": f"a={WRONG}"}).status_code == 404
    wrong = (f"Basic {WRONG}", f"Bearer {WRONG}", WRONG, "Basic WnE3d3Jvbmc6WnE3d3Jvbmc=")
    for text in wrong:
        headers = {"Authorization": text, "X-Api-Key": WRONG, "X-Request-ID": f"{WRONG} <b>"}
        assert (
            service.ask("POST", "/ExecuteSTP", data=event("x"), headers=headers).status_code == 401
        )
    raw = (f"GET /{WRONG} HTTP/1.1\r\nContent-Length: {WRONG}\r\n\r\n", f"{WRONG}\r\n\r\n",
           f"GET / HTTP/1.1\r\nHost: x\r\n{WRONG}\r\n\r\n")  # fmt: skip
    for text in raw:
        service.answered.append(_raw(service.port, text))
    nothing_came_to_light(service, attempts=1)


def test_on_the_page_and_in_its_api(launch: Launch, tmp_path: Path, store: FileStore) -> None:
    with Echo() as echo:
        ini = f"stpurl = {echo.url}/rest/{{{{stpName}}}}\n[stp:Embedded]\nstpurl = embedded"
        service = launch(WithPassword(tmp_path / "x", ini, opssecret=OPS_SECRET))
        urls = signed(store)
        bodies = (event("raw504"), event("result200"), event("html500"), task(urls, "json500"), task(urls, "Embedded"))  # fmt: skip
        ids = [service.post(body).json()["deliveryId"] for body in bodies]
    browser = Browser(service)
    service.answered.append(browser.send("/ops/login", secret=WRONG, token=WRONG).answer.text)
    browser.secret = OPS_SECRET
    assert browser.log_in().status == 200
    parts = ("", "/content", "/dataset")
    paths = ["/overview", "/deliveries", "/stored-processes", "/configuration", "/audit"]
    paths += [f"/deliveries/{one}{part}" for one in ids for part in parts]
    pages = ["/ops", *(f"/ops{path}" for path in paths[1:])]
    bearer = {"Authorization": f"Bearer {OPS_SECRET}"}
    assert service.ask("GET", "/api/audit", headers={"Authorization": f"Bearer {WRONG}"}).status_code == 401  # fmt: skip
    for path in paths:
        assert service.ask("GET", f"/api{path}", headers=bearer).status_code in (200, 404)
    for path in (*pages, f"/ops/deliveries?state={WRONG}", f"/ops/{WRONG}"):
        answer = browser.http.get(service.url + path, timeout=30)
        service.answered.append(f"{answer.headers}\n{answer.text}")
    page = browser.open(f"/ops/deliveries/{ids[0]}")
    service.answered.append(browser.fill(page, "/resolve", outcome="done", note="").answer.text)
    cookie = dict(browser.http.cookies)["connector_proxy_session"]
    nothing_came_to_light(service, attempts=len(bodies))
    assert cookie not in service.told() + "".join(service.answered)


def _raw(port: int, text: str) -> str:
    import socket

    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(text.encode())
        return connection.recv(65536).decode()


def test_in_what_the_commands_say(
    launch: Launch, tmp_path: Path, store: FileStore, settings: Settings
) -> None:
    """Who looks at a payload or a dataset with a command sees its data, and no secret."""
    with Echo() as echo, Emulator(embedded_stored_process(settings)) as emulator:
        ini = f"stpurl = {echo.url}/rest/{{{{stpName}}}}\n[stp:Emulated]\nstpurl = {emulator.stpurl}\n[stp:Embedded]\nstpurl = embedded"
        service = launch(WithPassword(tmp_path / "x", ini))
        urls = signed(store)
        bodies = [event("raw504"), event("html504"), task(urls, "raw500"), task(urls, "Embedded")]
        held, doubtful, refused, _ = (service.post(body).json()["deliveryId"] for body in bodies)
        (tmp_path / "task.json").write_bytes(task(urls, "Emulated"))
        (tmp_path / "event.json").write_bytes(event("Emulated"))
        (tmp_path / "bad.json").write_text("{" + WRONG)
        (tmp_path / "data.csv").write_text(f"{ROW},1\n{ROW}\n")
        (tmp_path / "metadata.csv").write_text("name,note")
        (dataset,) = (path.stem for path in service.folder.glob("output/*.parquet"))
        quiet = (
            ("check",), ("check", "--json"), ("--help",), ("--version",), ("preview", str(tmp_path / "bad.json")),
            ("deliveries", "list"), ("deliveries", "list", "--json"),
            ("deliveries", "show", held), ("deliveries", "show", refused), ("deliveries", "show", held, "--json"),
            ("deliveries", "replay", refused, "--yes"), ("deliveries", "replay", "--state", "refused", "--yes"),
            ("deliveries", "resolve", held, "--done", "--note", "looked at"), ("deliveries", "cancel", doubtful),
            ("deliveries", "audit"), ("deliveries", "audit", "--json"), ("deliveries", "pause", "Emulated"), ("deliveries", "resume", "Emulated"),
            ("deliveries", "prune"), ("deliveries", "recover", "nobody"),
            ("serve", "--port", str(service.port), "--host", "127.0.0.1"), ("serve", "--host", "no-such-host.invalid"),
            ("convert", str(tmp_path / "data.csv"), str(tmp_path / "metadata.csv"), "--to", str(tmp_path / "converted")),
            ("datasets", "list"), ("datasets", "show", dataset), ("sas", "export", "--to", str(tmp_path / "sas")),
            ("sas", "check", str(tmp_path / "sas")), ("sas", "diff", str(tmp_path / "sas")), ("emulate-sas", "--code", "nowhere"),
        )  # fmt: skip
        shows_data = (
            ("preview", str(tmp_path / "task.json")), ("preview", str(tmp_path / "event.json")),
            ("datasets", "head", dataset), ("demo", "--rows", "5"), ("demo", "--rows", "5", "--emulated"),
        )  # fmt: skip
        said = {words: _said(service, *words) for words in quiet + shows_data}
        service.end()
    light = {
        words: found(CREDENTIALS + SENT + (CUSTOMERS if words in quiet else ()), text)
        for words, text in said.items()
    }
    assert {words: marks for words, marks in light.items() if marks} == {}
    assert all(
        "error: " not in said[words].lower() for words in (*shows_data, *quiet) if words[0] in WELL
    )
    nothing_came_to_light(service, attempts=3)


WELL = ("check", "deliveries", "datasets", "sas", "demo")
"""Commands that must have done what they were asked to, or nothing was shown."""


def _said(service: Hunted, *words: str) -> str:
    conf = () if words[0] in ("--help", "--version", "sas") else ("--conf", str(service.conf))
    done = subprocess.run(
        [sys.executable, "-m", "connector_proxy", *words, *conf],
        cwd=ROOT, env=service.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("credentials.ini", f"[DEFAULT]\nstpusername = u\nstppassword = {SAS_PASSWORD} #1\n"),
        ("credentials.ini", f"[DEFAULT]\nstppassword = {SAS_PASSWORD}\n"),
        ("credentials.ini", f"[DEFAULT]\nbearertoken = {TOKEN}\n"),
        ("credentials.ini", f"[DEFAULT]\nbearertoken = scrypt:{TOKEN}\n"),
        ("credentials.ini", f"[DEFAULT]\nqueueurl = postgres:{TOKEN}\n"),
        ("credentials.ini", f"[DEFAULT]\nqueueurl = postgresql://u:{TOKEN}@127.0.0.1:1/x\n"),
        ("credentials.ini", f"stppassword = {SAS_PASSWORD}\n"),
        ("credentials.ini", f"[DEFAULT]\n{TOKEN}\n"),
        ("credentials.ini", f"[DEFAULT]\nheadername = {KEY}\n"),
        ("serviceConfig.ini", f"[DEFAULT]\noutboundproxy = http://u:{TOKEN}@proxy:1\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["check", "serve"])
def test_in_a_fault_of_the_configuration(
    command: str, file: str, text: str, conf: Path, tmp_path: Path
) -> None:
    (conf / file).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "connector_proxy", command, "--conf", str(conf)],
        env=os.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert found(CREDENTIALS, done.stdout + done.stderr) == set()
