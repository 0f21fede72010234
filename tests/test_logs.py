"""Lines of the log: masked, unforgeable, with the ids of the work at hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from connector_proxy import logs
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import Service, payload
from tests.filestore import FileStore


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
