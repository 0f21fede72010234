"""Durable deliveries measured: the answer (202), the way to done, a slow disk, a full file."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from parts import HERE, PAYLOAD, Result, load, naive, service, slow_stub

from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.intake import identity, read_webhook
from connector_proxy.ledger import Arrival, Ledger
from connector_proxy.loading import load as load_settings
from connector_proxy.lookup import Criteria
from connector_proxy.records import State
from connector_proxy.tables import attempts, deliveries

MANY = {
    "WAITSECONDS": "0",
    "MAXWAITING": "1000000",
    "CONCURRENCY": "32",
    "INSTANCECONCURRENCY": "32",
}
"""What differs from the shipped settings: nobody waits for a verdict, nothing holds back."""


@dataclass(frozen=True)
class Candidate:
    """A running service: where webhooks go, and the database where their end is seen."""

    url: str
    database: Database


@dataclass(frozen=True)
class Round:
    """What one round gave; ``done`` is the rate from the first webhook to the last end."""

    answers: Result
    done: float


@contextmanager
def on_file(stpurl: str, folder: Path, name: str, **more: str) -> Iterator[Candidate]:
    with service(stpurl, folder, name, **MANY, **more) as url:
        yield Candidate(url, _database(folder / name, ""))


@contextmanager
def on_postgres(
    stpurl: str, folder: Path, name: str, address: str, instances: int, **more: str
) -> Iterator[Candidate]:
    settings = {**MANY, "QUEUEURL": address, **more}
    with ExitStack() as stack:
        urls = [
            stack.enter_context(service(stpurl, folder, f"{name}{number}", **settings))
            for number in range(instances)
        ]
        yield Candidate(urls[0], _database(folder, address))


def _database(folder: Path, address: str) -> Database:
    environment = {"CONNECTOR_PROXY_DATAFOLDER": str(folder), "CONNECTOR_PROXY_QUEUEURL": address}
    return Database(load_settings(HERE.parent / "conf", environment))


def one_round(candidate: Candidate, connections: int, seconds: float) -> Round:
    run = uuid.uuid4().hex[:8]
    answers = load(candidate.url, connections, seconds, run)
    mine = deliveries.c.occurrence_id.startswith(run)
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(deliveries.c.state == State.DONE),
        sa.func.min(deliveries.c.accepted_at),
        sa.func.max(deliveries.c.changed_at),
    ).where(mine)
    for _ in range(3000):
        with candidate.database.read() as connection:
            count, done, first, last = connection.execute(query).one()
        if count == done:
            return Round(answers, count / (last - first) * 1000)
        time.sleep(0.1)
    raise SystemExit(f"only {done} of {count} were carried out")


def answers_and_ends(
    stpurl: str, folder: Path, address: Callable[[], str], count: int, seconds: float
) -> None:
    """Rate of the 202 and rate from webhook to done, beside the naive sender."""
    for connections in (1, 8, 50):
        naive_results: list[Result] = []
        results: dict[str, list[Round]] = {}
        for number in range(count):
            with naive(stpurl, "0") as url:
                load(url, connections, 1)
                naive_results.append(load(url, connections, seconds))
            tag = f"{connections}x{number}"
            candidates = {
                "SQLite": on_file(stpurl, folder, f"file{tag}"),
                "PostgreSQL": on_postgres(stpurl, folder, f"pg{tag}x", address(), 1),
                "PostgreSQL, 2 instances": on_postgres(stpurl, folder, f"two{tag}x", address(), 2),
            }
            for name, candidate in candidates.items():
                with candidate as running:
                    load(running.url, connections, 1)
                    results.setdefault(name, []).append(one_round(running, connections, seconds))
        base = _median(naive_results)
        print(f"\ndurable deliveries, {connections} connections")
        print(
            f"  {'':<26}{'202/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}{'done/s':>9}{'ratio':>8}"
        )
        first = f"  {'naive, not durable':<26}{base.rate:>8.0f}{base.p50:>9.2f}{base.p99:>9.2f}"
        print(f"{first}{1:>8.2f}{base.rate:>9.0f}{1:>8.2f}")
        for name, rounds in results.items():
            own = _median([one.answers for one in rounds])
            done = statistics.median(one.done for one in rounds)
            print(
                f"  {name:<26}{own.rate:>8.0f}{own.p50:>9.2f}{own.p99:>9.2f}"
                f"{own.rate / base.rate:>8.2f}{done:>9.0f}{done / base.rate:>8.2f}"
            )


def _median(results: list[Result]) -> Result:
    return Result(
        statistics.median(one.rate for one in results),
        statistics.median(one.p50 for one in results),
        statistics.median(one.p99 for one in results),
    )


def shared_work(folder: Path, address: Callable[[], str], count: int) -> None:
    """What a second instance adds where the stored process is what takes the time: 0.1 s a
    delivery, and 8 at a time in each instance."""
    done: dict[int, list[float]] = {1: [], 2: []}
    eight = {"CONCURRENCY": "8", "INSTANCECONCURRENCY": "8"}
    with slow_stub(0.1) as stpurl:
        for number in range(count):
            for instances, rates in done.items():
                name = f"shared{number}x{instances}x"
                running = on_postgres(stpurl, folder, name, address(), instances, **eight)
                with running as candidate:
                    rates.append(one_round(candidate, 8, 1).done)
    print("\na stored process that takes 0.1 s, 8 at a time in each instance, PostgreSQL")
    for instances, rates in done.items():
        print(f"  instances: {instances:<15}{statistics.median(rates):>8.0f} done/s")


def slow_disk(stpurl: str, folder: Path, seconds: float) -> None:
    """Durable answers where each fsync takes 8 ms, by a library that is loaded before libc."""
    compiler = shutil.which("cc")
    if not compiler:
        raise SystemExit("cc is missing; on Debian: apt-get install gcc")
    library = folder / "slow_fsync.so"
    source = HERE / "slow_fsync.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    print("\nevery fsync takes 8 ms")
    print(f"  {'':<26}{'202/s':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for connections in (1, 8, 50):
        with on_file(stpurl, folder, f"slow{connections}", PRELOAD=str(library)) as running:
            load(running.url, connections, 1)
            own = load(running.url, connections, seconds)
        print(f"  {f'{connections} connections':<26}{own.rate:>8.0f}{own.p50:>9.2f}{own.p99:>9.2f}")


def full_file(folder: Path, count: int = 100_000) -> None:
    """Milliseconds to accept, list and show with so many finished deliveries in the file."""
    settings = replace(load_settings(HERE.parent / "conf", {}), datafolder=folder / "full")
    database = Database(settings)
    database.set_up()
    queue = Queue(database.engine, settings)
    ledger = Ledger(settings, queue)
    known = Deliveries(settings, database, queue)
    raw = PAYLOAD.read_bytes()
    webhook = read_webhook(raw)
    fill(database, ledger, raw, count)

    def accept() -> None:
        own = replace(webhook, occurrence_id=uuid.uuid4().hex)
        same = identity(own, raw, "occurrence")
        arrival = Arrival(uuid.uuid4().hex, same, "r", own, raw, datetime.now(UTC))
        with database.write() as connection:
            ledger.accept(connection, [arrival])

    some = known.search(limit=1)[0].delivery_id
    print(
        f"\n{count:,} finished deliveries in a file of {database.path.stat().st_size / 1e6:.0f} MB"
    )
    for name, deed in (
        ("accept one", accept),
        ("list the latest 100", known.search),
        ("list by state", lambda: known.search(Criteria([State.REFUSED]))),
        ("list by task", lambda: known.search(Criteria(task="no such task"))),
        ("count by state", known.counts),
        ("show one", lambda: known.show(some)),
    ):
        print(f"  {name:<26}{_milliseconds(deed):>8.2f} ms")
    database.close()


def fill(database: Database, ledger: Ledger, raw: bytes, count: int, hours: float = 28) -> None:
    """Rows as finished deliveries of so many hours leave them, payload removed."""
    webhook = read_webhook(raw)
    arrival = Arrival(uuid.uuid4().hex, "pattern", "r", webhook, raw, datetime.now(UTC))
    with database.write() as connection:
        ledger.accept(connection, [arrival])
        pattern = dict(connection.execute(sa.select(deliveries)).mappings().one())
    step = round(hours * 3_600_000 / count)
    start = pattern["accepted_at"] - count * step
    for base in range(0, count, 5000):
        rows, tried = [], []
        for number in range(base, base + 5000):
            at = start + number * step
            own = {"delivery_id": uuid.uuid4().hex, "accepted_at": at, "changed_at": at}
            state = State.REFUSED if number % 100 == 0 else State.DONE
            told = {"identity": own["delivery_id"], "state": state, "payload_kept": False}
            rows.append({**pattern, **own, **told})
            ended = {"started_at": at, "ended_at": at + 1}
            tried.append({**_ATTEMPT, **ended, "delivery_id": own["delivery_id"]})
        with database.write() as connection:
            connection.execute(sa.insert(deliveries), rows)
            connection.execute(sa.insert(attempts), tried)


_ATTEMPT = {
    "number": 1,
    "round": 1,
    "instance": "here",
    "destination": "sas",
    "verdict": "done",
    "code": "done",
    "status": 200,
    "milliseconds": 1,
    "message": "",
    "advice": "",
    "cause": "",
    "next_at": None,
}


def _milliseconds(deed: Callable[[], object]) -> float:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        deed()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
