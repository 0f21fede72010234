"""A real browser at a real service with a made-up past."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from connector_proxy import outcomes
from connector_proxy.carrier import Carried, Carrier
from connector_proxy.database import Database
from connector_proxy.records import Delivery, Outcome
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.values import Secret
from tests.browser import history
from tests.conftest import PAYLOADS, ROOT, Service, another, decided, payload
from tests.crashing import triggered
from tests.filestore import FileStore

expect.set_options(timeout=15_000)  # a page refreshes itself every five seconds
SECRET = "correct horse battery staple"
SCREENSHOTS = ROOT / "build" / "screenshots"
ENDS: dict[str, Outcome] = {
    "Score Customers": outcomes.unknown(0, "no answer within 300 seconds"),
    "Append Row": outcomes.unreachable(0, "connection refused", "[Errno 111] Connection refused"),
    "Load Responses": outcomes.own_error(200, "bad_data", "Line 17 has 5 values, and the metadata names 6 columns."),
}  # fmt: skip
METADATA = (PAYLOADS / "metadata_array.json").read_bytes()
DATA = (PAYLOADS / "data_hard.csv").read_bytes()


class Sample(Carrier):
    """Carries tasks out with the embedded stored process, and says of others what ``ENDS`` has."""

    def carry_out(self, delivery: Delivery, body: bytes) -> Carried:
        if delivery.stp_name in ENDS:
            return Carried(ENDS[delivery.stp_name], "sas", 480)
        return super().carry_out(delivery, body)

    def repeats_unknown(self, stp_name: str) -> bool:
        return stp_name not in ENDS and super().repeats_unknown(stp_name)


@pytest.fixture
def service(start: Callable[..., Service], settings: Settings, store: FileStore) -> Service:
    """One delivery of every kind on top of two weeks of others, and a stored process that is
    paused."""
    own = replace(settings, opssecret=Secret(SECRET), instance="sasproxy1", showdata=True)
    database = Database(own)
    database.set_up()
    history.write(database, datetime.now().astimezone())
    database.close()
    service = start(own, Sample(own, Staging(own.downloadfolder)))
    service.post(event("Append Row", "Basket left"))
    service.post(event("Score Customers", "Churn score"))
    service.post(event("Load Responses", "Lapsed buyers"))
    service.post(task(store))
    service.deliveries.pause("Weekly Export", decided("SAS is maintained until 18:00"))
    service.deliveries.pause("Archive", decided("wrong library"))
    service.deliveries.resume("Archive", decided())
    return service


def event(stp: str, name: str) -> bytes:
    """The webhook of one customer."""
    return json.dumps({**json.loads(triggered(stp)), "eventName": name}).encode()


def task(store: FileStore) -> dict[str, Any]:
    """The webhook of a task whose files are there."""
    return {**another(payload()), "presignedUrls": store.urls(METADATA, DATA)}


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Chromium of the distribution, else the one that Playwright fetched."""
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=as_root)
    yield browser
    browser.close()


Open = Callable[..., Page]


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What browsers complain about: fails the test, unless it takes out what it expects."""
    heard: list[str] = []
    yield heard
    assert heard == []


@pytest.fixture
def open_page(chromium: Browser, service: Service, complaints: list[str]) -> Iterator[Open]:
    """Opens a browser of its own each time."""
    contexts: list[BrowserContext] = []

    def opener(**how: Any) -> Page:
        context = chromium.new_context(base_url=service.url, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: _note(complaints, said.type, said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda sent: _elsewhere(complaints, service, sent.url))
        return page

    yield opener
    for context in contexts:
        context.close()


def _note(complaints: list[str], kind: str, words: str) -> None:
    if kind in ("error", "warning"):
        complaints.append(f"{kind}: {words}")


def _elsewhere(complaints: list[str], service: Service, url: str) -> None:
    if not url.startswith(f"{service.url}/ops"):
        complaints.append(f"asked elsewhere: {url}")


def complained(page: Page, complaints: list[str], words: str) -> None:
    """Take out what a browser has to complain about, as soon as it does."""
    for _ in range(100):
        for one in complaints:
            if words in one:
                complaints.remove(one)
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"the browser did not complain of {words}")


def log_in(page: Page) -> Page:
    """Log in as an administrator does."""
    page.goto("/ops")
    page.get_by_label("Secret").fill(SECRET)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    return page


def screenshot(page: Page, name: str) -> Path:
    """Keep what a page looks like, from its top to its end."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
