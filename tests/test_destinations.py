"""A destination from outside: found by its entry point, with settings of its own, and what the
example of one does against an API that fails."""

from __future__ import annotations

import csv
import json
import random
import re
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.errors import ConfigurationError
from connector_proxy.health.check import Condition
from connector_proxy.health.start import run_checks
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from tests.conftest import ROOT, Service, another, payload
from tests.crashing import wait_until
from tests.filestore import FileStore, zipped
from tests.gateway import pretend, reporting
from tests.test_ci360_service import reported

EXAMPLE = ROOT / "examples" / "mailing"
METADATA = b'[{"columnName": "id", "dataType": "integer"}, {"columnName": "email", "dataType": "character"}]'
Start = Callable[[Settings], Service]


class Api:
    """Takes rows in batches; on a bad day it fails before or after it has taken them, asks for
    patience, cuts connections, and refuses a batch that has a bad address in it."""

    def __init__(self, seed: int = 0, *, most_a_second: float = 0) -> None:
        self.taken: dict[str, list[dict[str, str]]] = {}
        self.seen: list[float] = []
        self.answers: Counter[str] = Counter()
        self.down = False
        self._chance = random.Random(seed)
        self._bad_day, self._pause = not most_a_second, 1 / (most_a_second or 1e9)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/rows"

    def rows(self) -> Counter[str]:
        """How often each row was taken, by its id."""
        return Counter(row["id"] for batch in self.taken.values() for row in batch)

    def _says(self, key: str, rows: list[dict[str, str]]) -> str:
        with self._lock:
            now = time.monotonic()
            too_soon = bool(self.seen) and now - self.seen[-1] < self._pause * 0.8
            self.seen.append(now)
            word = self._chance.choices(("200", "500", "503", "lost", "cut"), (12, 2, 1, 2, 2))[0]
            if not self._bad_day:
                word = "429" if too_soon else "200"
            if self.down:
                word = "503"
            if word in ("200", "lost"):
                if any(row["email"] == "bad" for row in rows):
                    word = "400"
                else:
                    self.taken.setdefault(key, rows)  # a key that it knows is taken once
            self.answers[word] += 1
            return word

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers["Authorization"] != "Bearer tok-1":
                    self._answer(401)
                    return
                word = api._says(self.headers["Idempotency-Key"], body)
                if word in ("lost", "cut"):
                    self.close_connection = True
                    return
                self._answer(int(word))

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> Api:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as pip installs it: its module and the entry points of its package."""
    site = tmp_path / "site-packages"
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(
        site,
        project["name"],
        project["version"],
        project["entry-points"]["connector_proxy.destinations"],
    )
    (site / "mailing.py").write_text((EXAMPLE / "mailing.py").read_text())
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("mailing", None)


def install(site: Path, name: str, version: str, points: dict[str, str]) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "".join(f"{point} = {value}\n" for point, value in points.items())
    (info / "entry_points.txt").write_text(f"[connector_proxy.destinations]\n{lines}")


def configured(conf: Path, api: Api, persecond: int = 1000, token: str = "tok-1") -> None:
    (conf / "serviceConfig.ini").write_text(
        f"[DEFAULT]\n[mailing]\napiurl = {api.url}\npersecond = {persecond}\n[stp:Newsletter]\ndestinations = mailing\n"
    )
    (conf / "credentials.ini").write_text(f"[DEFAULT]\n[mailing]\napitoken = {token}\n")


@pytest.fixture
def service(conf: Path, settings: Settings, start: Start) -> Callable[[], Service]:
    def started() -> Service:
        settings.outputfolder.mkdir(parents=True, exist_ok=True)
        return start(
            replace(
                settings,
                overrides=load(conf, {}).overrides,
                retryschedule=(1,) * 9,
                waitseconds=60.0,
            )
        )

    return started


def webhook(store: FileStore, rows: int, bad: tuple[int, ...] = ()) -> dict[str, Any]:
    data = "".join(f"{n},{'bad' if n in bad else f'n{n}@example.com'}\n" for n in range(rows))
    urls = store.urls(METADATA, data.encode())
    return another(
        {**payload(), "presignedUrls": urls, "sendParameters": {"stpName": "Newsletter"}}
    )


def failed_rows(settings: Settings) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in settings.outputfolder.glob("*_rejects.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            found.update(row["row"].partition(",")[0] for row in csv.DictReader(file))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_row_is_taken_once_or_listed_as_failed(
    seed: int,
    installed: Path,
    conf: Path,
    settings: Settings,
    store: FileStore,
    service: Callable[[], Service],
) -> None:
    with Api(seed) as api:
        configured(conf, api)
        answer = service().post(webhook(store, 10_250, bad=(777, 3000, 3001)))
        assert answer.status_code == 502, answer.text
        assert answer.json()["error"]["code"] == "rows_failed"
        taken, failed = api.rows(), failed_rows(settings)
        assert set(taken.values()) == set(failed.values()) == {1}
        assert set(taken) | set(failed) == {str(n) for n in range(10_250)}
        assert not set(taken) & set(failed)
        assert len(failed) == 1000, "two batches had a bad address in them"
        assert {"500", "lost", "cut"} <= set(api.answers)


def test_what_was_acknowledged_is_not_sent_again_by_the_next_attempt(
    installed: Path,
    conf: Path,
    settings: Settings,
    store: FileStore,
    service: Callable[[], Service],
) -> None:
    with Api(4) as api:
        configured(conf, api)
        running = service()
        with ThreadPoolExecutor(1) as sender:
            sending = sender.submit(running.post, webhook(store, 5_000))
            wait_until("some batches are taken", lambda: len(api.taken) >= 4)
            api.down = True
            answer = sending.result(60)
        assert answer.status_code == 202, "the first attempt has failed"
        taken = len(api.taken)
        api.down = False
        running.ended(answer, attempts=2)
        assert 4 <= taken < 10
        [delivery] = running.deliveries.search()
        assert delivery.state == "done"
        assert delivery.attempt_count > 1
        assert delivery.result == {"rows": 5_000, "rejectedRows": 0}
        assert api.rows() == Counter({str(n): 1 for n in range(5_000)})
        assert not failed_rows(settings)


def test_rows_that_do_not_fit_are_listed_and_the_others_are_sent(
    installed: Path,
    conf: Path,
    settings: Settings,
    store: FileStore,
    service: Callable[[], Service],
) -> None:
    with Api(most_a_second=1000) as api:
        configured(conf, api)
        document = webhook(store, 3)
        data = b'1,a@example.com\n2,b,c\n"3\n3",d@example.com\n4,\xff\n'
        document["presignedUrls"] = store.urls(METADATA, zipped(data))
        answer = service().post(document)
        assert answer.json()["error"]["code"] == "rows_failed"
        assert api.rows() == Counter(["1", "3\n3"])
        [path] = settings.outputfolder.glob("*_rejects.csv")
        with path.open("rb") as file:
            assert list(
                csv.reader(file.read().decode("utf-8", "surrogateescape").splitlines())
            ) == [
                ["line", "reason", "row"],
                ["2", "The row has 3 values, the metadata names 2 columns.", "2,b,c"],
                ["5", "The row is not UTF-8.", "4,\udcff"],
            ]


def test_each_row_that_the_api_refuses_is_told_to_ci_360(
    installed: Path, conf: Path, settings: Settings, store: FileStore, start: Start
) -> None:
    with Api(6) as api, pretend() as gateway:
        configured(conf, api)
        settings.outputfolder.mkdir(parents=True, exist_ok=True)
        own = reporting(settings, gateway.url, rowevent="row_rejected", failedevent="")
        service = start(replace(own, overrides=load(conf, {}).overrides, waitseconds=60.0))
        document = webhook(store, 700, bad=(600,))
        document["contactResponse"] = {"responseTrackingCode": "code-1"}
        answer = service.post(document)
        assert answer.json()["error"]["code"] == "rows_failed"
        assert reported(service, answer.json()["deliveryId"]).state == "sent"
        events = gateway.received.events
        assert [one["datahub_id"] for one in events] == [str(n) for n in range(500, 700)]
        assert events[0] == {
            "eventName": "row_rejected",
            "datahub_id": "500",
            "line": "501",
            "reason": "HTTP status 400",
            "response_tracking_code": "code-1",
        }


def test_the_limit_of_the_rate_is_kept(
    installed: Path, conf: Path, store: FileStore, service: Callable[[], Service]
) -> None:
    with Api(5, most_a_second=20) as api:
        configured(conf, api, persecond=20)
        answer = service().post(webhook(store, 3_000))
        assert answer.status_code == 200, answer.text
        assert api.answers == {"200": 6}, "no request came too soon"
        assert sum(api.rows().values()) == 3_000


def test_a_wrong_token_is_refused_and_sends_nothing(
    installed: Path, conf: Path, store: FileStore, service: Callable[[], Service]
) -> None:
    with Api() as api:
        configured(conf, api, token="wrong")
        answer = service().post(webhook(store, 10))
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "api_denied")
        assert not api.taken


def test_its_settings_are_checked_like_all_others(installed: Path, conf: Path) -> None:
    ini = conf / "serviceConfig.ini"
    for text, why in {
        "[mailing]\napiurl = ftp://x\n": "write a URL",
        "[mailing]\n": "apiurl cannot be used",
        "[mailing]\napiurl = https://x\napitoken = y\n": "no setting 'apitoken'",
        "[mailing]\napiurl = https://x\nstpurl = embedded\n": "no setting 'stpurl'",
        "[mailin]\n": r"\[mailing:NAME\]",
        "[mailing:a/b]\n": "letters, digits",
        "[DEFAULT]\ndestinations = mailing\n": r"section \[mailing\]",
    }.items():
        ini.write_text(text)
        with pytest.raises(ConfigurationError, match=why):
            load(conf, {})


def test_a_named_one_takes_from_the_one_without_a_name(installed: Path, conf: Path) -> None:
    (conf / "serviceConfig.ini").write_text(
        "[mailing]\napiurl = https://a\nretryschedule = 1s\n[mailing:b]\npersecond = 9\n"
    )
    (conf / "credentials.ini").write_text("[mailing]\napitoken = t\n")
    own = load(conf, {}).for_stp("mailing:b")
    assert (own.own["apiurl"], own.own["persecond"], tuple(own.retryschedule)) == (
        "https://a",
        9.0,
        (1,),
    )
    assert (own.kind, own.own["apitoken"].reveal()) == ("mailing", "t")


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ({"upload": "mailing:Mailing"}, "name is taken"),
        ({"Mailing": "mailing:Mailing"}, "small letters"),
        ({"other": "nowhere:Nothing"}, "ModuleNotFoundError"),
        ({"other": "mailing:Nothing"}, "AttributeError"),
        ({"other": "json:JSONDecoder"}, "not a destination"),
        ({"other": "broken:Nothing"}, "SystemExit: 3"),
        ({"other": "odd:Odd"}, "its keys are no settings"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_told_with_its_package(
    points: dict[str, str], why: str, installed: Path, conf: Path
) -> None:
    install(installed, "somebody-else", "2", points)
    (installed / "broken.py").write_text("import sys\nsys.exit(3)\n")
    odd = "name = 'odd'; repeatable = True; keys = 5; deliver = close = None"
    (installed / "odd.py").write_text(f"class Odd:\n    {odd}\n")
    with pytest.raises(ConfigurationError, match=f"somebody-else.*{why}"):
        load(conf, {})


def test_one_that_cannot_be_made_is_told_before_anything_starts(
    installed: Path, conf: Path, settings: Settings
) -> None:
    install(installed, "somebody-else", "2", {"unmade": "unmade:Unmade"})
    (installed / "unmade.py").write_text(
        "class Unmade:\n    name, repeatable, keys = 'unmade', True, ()\n    deliver = close = None\n"
        "    def __init__(self):\n        raise OSError('no licence')\n"
    )
    (told,) = [one for one in run_checks(load(conf, {})) if one.name == "destinations"]
    assert told.condition is Condition.FAIL
    assert "somebody-else" in told.message and "no licence" in told.message
    with pytest.raises(ConfigurationError, match="no licence"):
        Service(settings)


def test_the_document_shows_the_example_as_it_is() -> None:
    document = (ROOT / "docs" / "destinations.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    assert (EXAMPLE / "mailing.py").read_text(encoding="utf-8") in shown
