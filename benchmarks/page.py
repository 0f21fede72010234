"""The page measured: how long pages take with 100,000 deliveries in the file, and what pages that
refresh themselves take away from the answers to webhooks."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import durable
import requests
from parts import HERE, PAYLOAD, load, service

from connector_proxy.acceptor import Acceptor
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.desk import Desk
from connector_proxy.health.running import Health
from connector_proxy.ledger import Ledger
from connector_proxy.loading import load as load_settings
from connector_proxy.metrics import Metrics
from connector_proxy.standing import Lookout
from connector_proxy.values import Secret
from connector_proxy.web import create_app

SECRET = "benchmark"
PATHS = (
    "",
    "/deliveries",
    "/deliveries?task=no+such+task",
    "/stored-processes",
    "/stored-processes?span=14d",
    "/audit",
)
PAGES = 20
REFRESH_SECONDS = 5


def times(folder: Path, count: int = 100_000) -> None:
    """Milliseconds for each page and for its JSON, every figure reckoned anew."""
    settings = replace(
        load_settings(HERE.parent / "conf", {}),
        datafolder=folder / "many",
        opssecret=Secret(SECRET),
    )
    database = Database(settings)
    database.set_up()
    ledger = Ledger(settings, Queue(database.engine, settings))
    durable.fill(database, ledger, PAYLOAD.read_bytes(), count, hours=14 * 24)
    desk = Desk(settings, database, checks=tuple)
    acceptor = Acceptor(settings, database, database, ledger)
    health, metrics = Health(settings, database, Lookout(database)), Metrics(settings)
    app = create_app(settings, acceptor, desk.deliveries, desk, health, metrics)
    client = app.test_client()
    client.post("/ops/login", data={"secret": SECRET})
    some = desk.deliveries.search(limit=1)[0].delivery_id
    print(f"\nthe page with {count:,} deliveries of 14 days in the file")
    for path in (*PATHS, f"/deliveries/{some}"):
        found = []
        for _ in range(20):
            desk._figures._kept.clear()
            started = time.perf_counter()
            answer = client.get(f"/ops{path}")
            found.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
        name = f"/ops{path}".replace(some, "ID")
        print(f"  {name:<36}{statistics.median(found) * 1000:>8.1f} ms")
    acceptor.close()
    database.close()


def cost(stpurl: str, folder: Path, rounds: int, seconds: float) -> None:
    """The rate of durable answers at 8 connections, alone and with 20 pages that refresh
    themselves; the difference is that of 20."""
    rates: dict[int, list[float]] = {0: [], PAGES: []}
    for number in range(rounds):
        for pages, found in rates.items():
            more = {**durable.MANY, "OPSSECRET": SECRET}
            with service(stpurl, folder, f"page{number}x{pages}", **more) as url:
                load(url, 8, 1)
                with _open_pages(url.replace("/ExecuteSTP", "/ops"), pages):
                    found.append(load(url, 8, seconds).rate)
    alone, beside = (statistics.median(found) for found in rates.values())
    lost = 1 - beside / alone
    print(f"\ndurable answers at 8 connections: {alone:.0f}/s, with {PAGES} pages {beside:.0f}/s")
    print(f"  one page that refreshes every {REFRESH_SECONDS} s costs {lost / PAGES:.2%} of them")


@contextmanager
def _open_pages(url: str, count: int) -> Iterator[None]:
    """So many overviews, each refreshed every five seconds."""
    ended = threading.Event()
    browser = requests.Session()
    browser.post(f"{url}/login", data={"secret": SECRET}, timeout=10).raise_for_status()

    def refresh(number: int) -> None:
        pause = REFRESH_SECONDS * number / count
        while not ended.wait(pause):
            browser.get(url, headers={"X-Refresh": "1"}, timeout=30).raise_for_status()
            pause = REFRESH_SECONDS

    threads = [threading.Thread(target=refresh, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
