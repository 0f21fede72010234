"""The database behind the deliveries: which commits wait for the disk, and who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from connector_proxy.commits import Commits
from connector_proxy.database import Database
from connector_proxy.errors import QueueUnavailable
from connector_proxy.settings import Settings
from connector_proxy.tables import stored_processes
from connector_proxy.values import Secret

FULL, NORMAL = 2, 1
PATIENCE = 10


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings)
    opened.set_up()
    yield opened
    opened.close()


@pytest.fixture
def relaxed(settings: Settings, database: Database) -> Iterator[Database]:
    opened = Database(settings, relaxed=True)
    yield opened
    opened.close()


def row(name: str) -> dict[str, object]:
    fares = {"failures": 0, "paused_by": "", "paused_at": None, "why": ""}
    return {"stp_key": name, "stp_name": name, **fares}


def waits(connection: sa.Connection) -> object:
    return connection.exec_driver_sql("PRAGMA synchronous").scalar()


def test_every_commit_waits_for_the_disk(database: Database) -> None:
    with database.write() as connection:
        assert waits(connection) == FULL
    with database.read() as connection:
        assert waits(connection) == FULL


def test_where_dbos_writes_besides_only_our_own_commits_wait(relaxed: Database) -> None:
    for _ in range(2):
        with relaxed.engine.begin() as connection:
            assert waits(connection) == NORMAL
        with relaxed.write() as connection:
            assert waits(connection) == FULL
    with pytest.raises(ZeroDivisionError), relaxed.write() as connection:
        _ = 1 / 0
    with relaxed.engine.begin() as connection:
        assert waits(connection) == NORMAL


@pytest.mark.parametrize("relaxed", [False, True])
def test_on_postgresql_all_wait_whatever_the_server_is_set_to(
    settings: Settings, queueurl: str, relaxed: bool
) -> None:
    """A server may end while the process lives: what it forgets then would be done twice."""
    on_server = Database(replace(settings, queueurl=Secret(queueurl)), relaxed=relaxed)
    name = sa.make_url(queueurl).database
    with on_server.engine.begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    on_server.close()
    shown = sa.text("SHOW synchronous_commit")
    with on_server.engine.begin() as connection:
        assert connection.execute(shown).scalar() == "on"
    with on_server.write() as connection:
        assert connection.execute(shown).scalar() == "on"
    on_server.close()


@pytest.mark.parametrize("way", ["ours", "that of DBOS"])
def test_a_write_waits_for_another_process(
    database: Database, settings: Settings, way: str
) -> None:
    other = Database(settings)
    holding, written = threading.Event(), threading.Event()

    def hold() -> None:
        with other.write():
            holding.set()
            time.sleep(0.3)
            assert not written.is_set()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert holding.wait(PATIENCE)
        with (database.write if way == "ours" else database.engine.begin)() as connection:
            connection.execute(sa.insert(stored_processes), [row("a"), row("b")])
            written.set()
        held.result(PATIENCE)
    other.close()
    with database.read() as connection:
        names = connection.execute(sa.select(stored_processes.c.stp_key)).scalars().all()
    assert sorted(names) == ["a", "b"]


def test_a_write_says_who_is_in_its_way_when_its_patience_ends(
    database: Database, settings: Settings
) -> None:
    other = Database(settings)
    with (
        other.write(),
        pytest.raises(QueueUnavailable, match="another program holds the file"),
        database.write(patience=0.05),
    ):
        raise AssertionError("both hold the lock")
    other.close()


def test_a_damaged_file_is_told_in_words_when_the_lock_is_taken(settings: Settings) -> None:
    """That happens beside SQLAlchemy."""
    damaged = Database(settings)
    damaged.folder.mkdir(parents=True)
    damaged.path.write_bytes(b"no database " * 1000)
    with pytest.raises(QueueUnavailable, match="the file is damaged"), damaged.write():
        raise AssertionError("a transaction has begun")
    damaged.close()


def test_several_rows_are_never_written_twice(database: Database, settings: Settings) -> None:
    """Without an isolation level each row is a transaction, and a second try would repeat some."""
    with database.engine.connect() as connection:
        file = connection.connection.dbapi_connection
        file.isolation_level = None
        other = Database(settings)
        with other.write(), pytest.raises(sa.exc.OperationalError, match="locked"):
            connection.execute(sa.insert(stored_processes), [row("a"), row("b")])
        other.close()
        file.isolation_level = "IMMEDIATE"


def test_what_comes_together_shares_a_commit(database: Database) -> None:
    groups: list[int] = []

    def keep(connection: sa.Connection, names: list[str]) -> list[str]:
        groups.append(len(names))
        connection.execute(sa.insert(stored_processes), [row(name) for name in names])
        time.sleep(0.01)  # a disk
        return names

    commits: Commits[str, str] = Commits(database, keep)
    with ThreadPoolExecutor(8) as pool:
        names = [f"stp {number}" for number in range(80)]
        assert list(pool.map(commits.run, names)) == names
    commits.close()
    assert sum(groups) == 80
    assert len(groups) < 40


def test_what_cannot_be_kept_fails_alone(database: Database) -> None:
    def keep(connection: sa.Connection, names: list[str]) -> list[str]:
        connection.execute(sa.insert(stored_processes), [row(name) for name in names])
        time.sleep(0.01)
        return names

    commits: Commits[str, str] = Commits(database, keep)
    commits.run("taken")
    with ThreadPoolExecutor(3) as pool:
        kept = [pool.submit(commits.run, name) for name in ("first", "taken", "second")]
        assert kept[0].result(PATIENCE) == "first"
        with pytest.raises(sa.exc.IntegrityError):
            kept[1].result(PATIENCE)
        assert kept[2].result(PATIENCE) == "second"
    commits.close()
