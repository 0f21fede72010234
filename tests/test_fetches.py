"""What the ledger knows of files that are fetched ahead of an attempt, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from connector_proxy import values
from connector_proxy.carrier import DOWNLOAD, Carried
from connector_proxy.errors import NotPossible
from connector_proxy.fetches import Fetches
from connector_proxy.ledger import Accepted
from connector_proxy.records import Outcome, State, Verdict
from connector_proxy.settings import Settings
from connector_proxy.upkeep import Upkeep
from tests.test_ledger import NOON, Books, by

SOON = NOON + timedelta(minutes=10)
FAILED = Outcome(Verdict.RETRY, "download_failed", "It was cut.", "It is tried again.")
FULL = Outcome(Verdict.RETRY, "disk_low", "There is no room.", "Make room.")


class Staged(Books):
    """The books of a service that stages files."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.fetches = Fetches(self.ledger)

    def wants(self, accepted: Accepted, turn: int = 0) -> bool:
        turn = turn or self.turn(accepted)
        with self.database.write() as connection:
            wanted = self.fetches.wanted(connection, accepted.delivery_id, turn, self.clock)
            return wanted is not None

    def came(self, accepted: Accepted, turn: int = 0) -> None:
        turn = turn or self.turn(accepted)
        with self.database.write() as connection:
            self.fetches.came(connection, accepted.delivery_id, turn, self.clock)

    def failed(self, accepted: Accepted, outcome: Outcome) -> bool:
        """Whether that was an attempt."""
        carried, turn = Carried(outcome, DOWNLOAD, 7, reached=False), self.turn(accepted)
        own, run = accepted.delivery_id, "here/1"
        with self.database.write() as connection:
            told = self.fetches.failed(connection, own, turn, run, carried, self.clock, "")
            return told is not None

    def near(self) -> list[str]:
        with self.database.read() as connection:
            return Upkeep(self.settings, self.queue).near_deadline(connection, self.clock)

    def placed_turns(self) -> set[str]:
        """Places to come, without the id of the delivery."""
        return {name.partition(".")[2] for name in self.placed()}


@pytest.fixture(params=["file", "server"])
def books(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Staged]:
    address = request.getfixturevalue("queueurl") if request.param == "server" else ""
    queueurl = values.queue_url(address, settings.home)
    own = replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}", stage=True, queueurl=queueurl)
    books = Staged(own)
    yield books
    books.database.close()


def test_a_delivery_waits_for_its_files_first_and_then_for_its_stored_process(
    books: Staged,
) -> None:
    accepted = books.accept()
    assert books.placed_turns() == {"1.files"}
    assert books.wants(accepted)
    books.came(accepted)
    assert books.placed_turns() == {"1.files", "1"}
    assert books.show(accepted).fetched_at == NOON
    assert not books.wants(accepted)
    assert books.begin(accepted) is not None


def test_the_deadline_counts_until_the_files_are_here(books: Staged) -> None:
    missed, fetched = books.accept(deadline=SOON), books.accept(deadline=SOON)
    assert set(books.near()) == {missed.delivery_id, fetched.delivery_id}
    books.came(fetched)
    assert books.near() == [missed.delivery_id]
    books.later(minutes=11)
    assert books.begin(missed) is None
    assert books.show(missed).state is State.EXPIRED
    begun = books.begin(fetched)
    assert begun is not None
    following = books.finish(begun, Outcome(Verdict.RETRY, "busy"))
    assert following is not None
    assert (following.state, following.verdict) == (State.WAITING, None)
    assert books.placed_turns() >= {"2"}, "the files are here: no second fetch"


def test_a_paused_delivery_with_its_files_does_not_expire_and_can_be_replayed_late(
    books: Staged,
) -> None:
    fetched, missed = books.accept(deadline=SOON), books.accept(deadline=SOON)
    books.admin.pause("A", by(NOON))
    books.came(fetched)
    books.later(minutes=11)
    books.pass_time()
    assert books.show(fetched).state is State.WAITING
    assert books.show(missed).state is State.EXPIRED
    books.admin.resume("A", by(books.clock))
    books.attempt(fetched, Outcome(Verdict.REFUSED, "bad_data"))
    assert books.admin.replay(fetched.delivery_id, by(books.clock)).state is State.WAITING
    with pytest.raises(NotPossible, match="have stopped working"):
        books.admin.replay(missed.delivery_id, by(books.clock))


def test_files_that_come_while_it_is_paused_do_not_let_it_go(books: Staged) -> None:
    accepted = books.accept()
    books.admin.pause("A", by(NOON))
    books.came(accepted, turn=1)
    assert books.show(accepted).fetched_at == NOON
    assert "1" not in books.placed_turns()
    books.admin.resume("A", by(NOON))
    assert str(books.turn(accepted)) in books.placed_turns()


def test_a_failed_fetch_is_an_attempt_that_says_nothing_about_the_stored_process(
    books: Staged,
) -> None:
    accepted = books.accept()
    assert books.failed(accepted, FAILED)
    shown = books.show(accepted)
    assert (shown.state, shown.attempt_count, shown.code) == (State.WAITING, 1, "download_failed")
    assert shown.attempts[0].destination == "download"
    assert "2.files" in books.placed_turns()
    assert books.admin.stored_processes() == []


def test_a_failed_fetch_does_not_end_the_pause_of_a_stored_process(books: Staged) -> None:
    for _ in range(5):
        other = books.accept()
        books.came(other)
        books.attempt(other, Outcome(Verdict.RETRY, "sas_unreachable"))
    [paused] = books.admin.stored_processes()
    assert paused.paused_by == "failures"
    probe = books.accept()
    books.failed(probe, Outcome(Verdict.REFUSED, "file_gone", "gone"))
    [still] = books.admin.stored_processes()
    assert still.paused_by == "failures"


def test_a_full_disk_costs_no_attempt_and_is_looked_at_again_in_a_minute(books: Staged) -> None:
    accepted = books.accept()
    for _ in range(20):
        assert not books.failed(accepted, FULL)
        books.later(minutes=1)
    shown = books.show(accepted)
    assert (shown.state, shown.attempt_count, shown.code) == (State.WAITING, 0, "disk_low")
    assert shown.next_attempt_at == books.clock
    assert "21.files" in books.placed_turns()


def test_a_fetch_of_an_earlier_turn_changes_no_place(books: Staged) -> None:
    accepted = books.accept()
    books.admin.replay(accepted.delivery_id, by(NOON))
    before = books.placed_turns()
    books.came(accepted, turn=1)
    assert books.placed_turns() == before == {"1.files", "2.files"}
    assert books.show(accepted).fetched_at == NOON


def test_files_are_fetched_each_minute_for_what_waits_for_a_paused_stored_process(
    books: Staged,
) -> None:
    books.admin.pause("A", by(NOON))
    accepted = books.accept()
    with books.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE {books.places} SET status = 'SUCCESS'")
    assert books.begin(accepted) is None, "its stored process is paused"
    books.pass_time()
    assert books.placed_turns() == {"2.files"}
    books.pass_time()
    assert books.placed_turns() == {"2.files"}, "it has its place already"
    assert books.show(accepted).paused


def test_the_same_webhook_again_after_a_failure_fetches_anew(books: Staged) -> None:
    accepted = books.accept("one")
    books.came(accepted)
    books.attempt(accepted, Outcome(Verdict.REFUSED, "bad_data"))
    again = books.accept("one")
    assert again.delivery_id == accepted.delivery_id
    assert books.show(again).fetched_at is None
    assert f"{again.turn}.files" in books.placed_turns()


def test_only_the_current_turn_of_a_delivery_takes_a_place_of_all_downloads(books: Staged) -> None:
    accepted = books.accept()
    books.admin.replay(accepted.delivery_id, by(NOON))
    assert not books.wants(accepted, turn=1)
    assert books.wants(accepted, turn=2)
    books.admin.pause("A", by(NOON))
    assert books.wants(accepted, turn=2), "paused: there is no other one"


def test_what_is_being_downloaded_does_not_expire_and_its_files_count_when_they_come(
    books: Staged,
) -> None:
    accepted = books.accept(deadline=SOON)
    books.admin.pause("A", by(NOON))
    books.later(minutes=11)
    books.pass_time([accepted.delivery_id])
    assert books.show(accepted).state is State.WAITING
    books.pass_time()
    assert books.show(accepted).state is State.EXPIRED
    books.came(accepted, turn=1)
    books.admin.resume("A", by(books.clock))
    assert books.admin.replay(accepted.delivery_id, by(books.clock)).state is State.WAITING


def test_no_attempt_begins_while_files_that_were_fetched_are_gone(books: Staged) -> None:
    accepted = books.accept()
    books.came(accepted)
    with books.database.write() as connection:
        own, turn = accepted.delivery_id, 1
        gone = books.ledger.begin(connection, own, turn, "here/1", books.clock, lambda _: False)
    assert gone is None
    shown = books.show(accepted)
    assert (shown.state, shown.attempt_count, shown.fetched_at) == (State.WAITING, 0, None)
    assert "2.files" in books.placed_turns()
