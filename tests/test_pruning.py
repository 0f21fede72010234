"""What is removed from the file of the deliveries gives its room back to the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries, Pruned
from connector_proxy.settings import Settings
from connector_proxy.tables import payloads
from tests.crashing import ServiceProcess


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(ServiceProcess(tmp_path).settings)
    database.set_up()
    yield database
    database.close()


def test_removed_rows_give_their_room_back_to_the_disk(database: Database) -> None:
    with database.write() as connection:
        rows = [{"delivery_id": str(n), "body": os.urandom(100_000)} for n in range(50)]
        connection.execute(sa.insert(payloads), rows)
    database.give_back()
    full = database.path.stat().st_size
    with database.write() as connection:
        connection.execute(sa.delete(payloads))
    database.give_back()
    assert full > 5_000_000
    assert database.path.stat().st_size < 1_000_000
    assert database.path.with_name(f"{database.path.name}-wal").stat().st_size == 0


def test_pruning_an_empty_file_removes_nothing(database: Database, tmp_path: Path) -> None:
    settings = ServiceProcess(tmp_path).settings
    queue = Queue(database.engine, settings)
    deliveries = Deliveries(settings, database, queue)
    assert deliveries.prune(datetime.now(UTC)) == Pruned(0, 0)
    queue.close()


@pytest.mark.timeout(30)
def test_a_file_that_was_restored_from_a_dump_is_pruned_and_keeps_its_free_pages(
    settings: Settings, tmp_path: Path
) -> None:
    """Such a file does not give pages back; that must not keep the hourly work busy for ever."""
    database = Database(settings)
    database.set_up()
    database.close()
    dumped = tmp_path / "dumped.sqlite"
    with closing(sqlite3.connect(database.path)) as old, closing(sqlite3.connect(dumped)) as new:
        new.executescript("\n".join(old.iterdump()))
        new.execute("CREATE TABLE filler (text TEXT)")
        new.executemany("INSERT INTO filler VALUES (?)", [("x" * 5000,)] * 500)
        new.commit()
        new.execute("DROP TABLE filler")
        new.commit()
        assert new.execute("PRAGMA freelist_count").fetchone()[0] > 100
    for name in database.path.parent.glob("deliveries.sqlite*"):
        name.unlink()
    dumped.replace(database.path)
    restored = Database(settings)
    restored.set_up(examine=True)
    restored.give_back()
    restored.close()
