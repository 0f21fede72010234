"""What is removed from the file of the deliveries gives its room back to the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector_proxy.database import Database, payloads
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries, Pruned
from connector_proxy.ledger import Ledger
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
    deliveries = Deliveries(settings, database, queue, Ledger(settings, queue))
    assert deliveries.prune(datetime.now(UTC)) == Pruned(0, 0)
    queue.close()
