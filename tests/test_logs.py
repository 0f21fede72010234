"""Lines of the log: masked, unforgeable, with the ids of the work at hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connector_proxy import asjson, logs
from connector_proxy.emulator import Emulator
from connector_proxy.schedule import Pauses
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import PAYLOADS, Service, another, payload
from tests.filestore import FileStore, s3_error


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "GET https://b.s3.amazonaws.com/x?X-Amz-Signature=abc done",
            "GET https://b.s3.amazonaws.com/x?<masked> done",
        ),
        (
            "path /x?a=1&X-Amz-Security-Token=abc%3D&b=2",
            "path /x?a=1&X-Amz-Security-Token=<masked>&b=2",
        ),
        ("Authorization: Basic c2VjcmV0OnM=", "Authorization: Basic <masked>"),
        ("authorization: bearer abc.def.ghi", "authorization: bearer <masked>"),
        ("password hunter2 here", "password <masked> here"),
        ("https://b/x?'sig=1", "https://b/x?<masked>"),
        ("https://user:pw@host/x", "https://<masked>@host/x"),
        ("GET /k?sig=1&x=2", "GET /k?sig=<masked>&x=2"),
        ("nothing to hide? no", "nothing to hide? no"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert logs.mask(text, ["hunter2"]) == shown


@pytest.mark.parametrize(
    "said",
    ["ERROR: https://h/x?X-Amz-Security-Token=SECRET\nSECRETcontinues", "https:\\/\\/h\\/x?sig=SECRET",
     "url%3DX-Amz-Signature%3DSECRET", "https://h/x%3FX-Amz-Signature%3DSECRET", "GET /k?sig=SECRET",
     "password pa&ss  word<9 refused", "password pa&ss word<9 refused", "pa&amp;ss word&lt;9",
     "pa%26ss%20%20word%3C9", "Ym9iOnBhJnNzICB3b3JkPDk="],
)  # fmt: skip
def test_what_others_say_is_shown_without_our_secrets_in_any_shape(
    said: str, settings: Settings
) -> None:
    own = replace(settings, stpusername=Secret("bob"), stppassword=Secret("pa&ss  word<9"))
    shown = logs.foreign("Before. " + said + " x" * 3000, logs.secrets_of(own))
    assert shown.startswith("Before.")
    assert len(shown) <= 2000
    for secret in ("SECRET", "word<9", "word&lt;9", "word%3C9", "Ym9iOn"):
        assert secret not in shown


def test_a_password_is_masked_as_our_own_request_writes_it(settings: Settings) -> None:
    own = replace(settings, stpusername=Secret("bob"), stppassword=Secret('pässwort"&'))
    for said in ('p&#228;sswort"&amp;', 'p\\u00e4sswort\\"&', "p%C3%A4sswort%22%26"):
        assert logs.foreign(said, logs.secrets_of(own)) == "<masked>"


@pytest.mark.usefixtures("logging_restored")
def test_a_message_that_does_not_fit_its_arguments_stops_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.start(settings)
    logging.getLogger("x").info("%d", "x")
    logging.getLogger("x").warning("%d", "x")
    logging.getLogger("x").info("good")
    assert [one.split("] ")[1] for one in line(settings).splitlines()] == ["good"]
    capsys.readouterr()


@pytest.mark.usefixtures("logging_restored")
def test_a_letter_that_no_file_can_hold_erases_no_line(settings: Settings) -> None:
    logs.start(settings)
    logging.getLogger("x").info("good")
    logging.getLogger("x").info("bad \ud800 \u2028 \x85")
    logging.getLogger("x").info("good again")
    assert [one.split("] ")[1] for one in line(settings).splitlines()] == [
        "good", "bad ? \\u2028 \\x85", "good again",
    ]  # fmt: skip


def line(settings: Settings) -> str:
    for handler in logging.getLogger().handlers:
        handler.flush()
    return (settings.logfilepath / settings.proglog).read_text(encoding="utf-8")


@pytest.mark.usefixtures("logging_restored")
def test_a_line_cannot_be_forged_and_a_traceback_is_masked(settings: Settings) -> None:
    logs.start(replace(settings, stppassword=Secret("hunter2")))
    logs.request_id.set("r-1")
    logs.delivery_id.set("d-1")
    logging.getLogger("x").info("a\r\n2026 forged\x1b[31m %s", "hunter2")
    try:
        raise ValueError("https://b.s3.amazonaws.com/x?X-Amz-Signature=abc hunter2")
    except ValueError:
        logging.getLogger("x").exception("failed")
    text = line(settings)
    assert "INFO [r-1 d-1] a\\r\\n2026 forged\\x1b[31m <masked>" in text
    assert "Traceback" in text
    assert "hunter2" not in text and "Signature=abc" not in text


@pytest.mark.usefixtures("logging_restored")
def test_proglog_off_writes_no_file(settings: Settings) -> None:
    logs.start(replace(settings, proglog=""))
    logging.getLogger("x").warning("to the console only")
    assert not settings.logfilepath.exists()


@pytest.mark.usefixtures("logging_restored")
def test_an_attempt_is_one_line_with_everything_on_it(
    settings: Settings, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    logs.start(settings)
    service = start(settings)
    document = {**payload(), "presignedUrls": store.urls(b"a,b", b"1,2\n")}
    answer = service.post(document).json()
    service.stop()
    (attempt,) = [one for one in line(settings).splitlines() if " attempt " in one]
    assert f"[{answer['requestId']} {answer['deliveryId']}] attempt " in attempt
    facts = json.loads(attempt.split(" attempt ")[1])
    assert facts.pop("ms") >= 0
    assert facts == {
        "stp": "Download File", "task": "Spring audience to SAS", "destination": "embedded",
        "occurrence": payload()["task"]["occurrenceId"], "verdict": "done", "code": "done",
        "attempt": 1, "state": "done", "status": 200, "result": answer["result"],
    }  # fmt: skip


@pytest.mark.usefixtures("logging_restored")
def test_no_secret_reaches_the_log_or_an_answer_on_any_path(
    settings: Settings,
    emulator: Emulator,
    store: FileStore,
    start: Callable[[Settings], Service],
    tmp_path: Path,
) -> None:
    """At DEBUG, with success and failures of every kind."""
    settings = replace(
        settings,
        loglevel="DEBUG",
        stpusername=Secret("svc-user"),
        stppassword=Secret("pass-w0rd"),
        readtimeout=1.0,
    )
    logs.start(settings)
    sas = replace(settings, stpurl=emulator.stpurl, retryschedule=Pauses(), waitseconds=5)
    soap = replace(sas, stpurl=emulator.url + "/SASBIWS/services/{{stpName}}")
    documents = [
        json.dumps({**payload(), "presignedUrls": store.urls(b"a,b", b"Jane Secret,2\n")}).encode()
    ]
    documents += [path.read_bytes() for path in PAYLOADS.iterdir()]
    answers = []
    fails = (
        "fault-1000",
        "fault-3000",
        "own-error",
        "html-502",
        "logon-page",
        "cut-body",
        "not-sasbiws",
    )
    for own in (sas, soap, settings):
        service = start(replace(own, datafolder=tmp_path / str(len(answers))))
        for raw in documents:
            answers.append(service.post(raw).text)
        for fail in fails:
            emulator.behave(fail=fail)
            answers.append(service.post(another(json.loads(documents[0]))).text)
        emulator.behave(fail="")
    store.answers["data"] = s3_error(403, "AccessDenied")
    answers.append(service.post(another(json.loads(documents[0]))).text)
    answers += [
        json.dumps(asjson.delivery(one, with_attempts=True)) for one in service.deliveries.search()
    ]
    found = line(settings) + "".join(answers)
    for secret in (
        "pass-w0rd",
        "5ec7e7",
        "to%2Fken",
        "Signature=0123456789",
        "c3ZjLXVzZXI6",
        "Jane Secret",
    ):
        assert secret not in found, secret
    assert found.count(" attempt ") >= 20
