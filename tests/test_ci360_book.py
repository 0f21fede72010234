"""What is written of reports: each end is told once, or listed as unreported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connector_proxy import outcomes, values
from connector_proxy.carrier import Carried
from connector_proxy.ci360 import answer
from connector_proxy.ci360.answer import Answered, Course
from connector_proxy.ci360.book import Begun, Key
from connector_proxy.ledger import Accepted
from connector_proxy.records import Decision, Report, ReportKind, ReportState, State
from connector_proxy.settings import Settings
from connector_proxy.tables import reports
from tests.gateway import reporting
from tests.test_ledger import NOON, UNKNOWN, Books

SENT = Answered(Course.SENT, status=200)
BUSY = answer.read(503, None, "")
REFUSED = outcomes.unreachable(0, "refused")


class Told(Books):
    """With the reports over them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.book = self.ledger.turns.reports

    def ended(self, outcome: object = None, identity: str = "") -> Accepted:
        accepted = self.accept(identity)
        self.attempt(accepted, outcome or outcomes.done(200))  # type: ignore[arg-type]
        return accepted

    def by(self) -> Decision:
        return Decision("cli", "somebody", self.clock)

    def reports(self, accepted: Accepted) -> tuple[Report, ...]:
        return self.show(accepted).reports

    def report(self, accepted: Accepted) -> Report:
        (one,) = self.reports(accepted)
        return one

    def key(self, accepted: Accepted) -> Key:
        one = self.reports(accepted)[-1]
        return Key(one.delivery_id, one.turn, one.kind)

    def place(self, accepted: Accepted) -> int:
        own = sa.select(reports.c.place).where(self.key(accepted).condition())
        with self.database.read() as connection:
            return connection.execute(own).scalar_one()

    def begin_report(self, accepted: Accepted, run: str = "here/1", place: int = 0) -> Begun | None:
        key, place = self.key(accepted), place or self.place(accepted)
        with self.database.write() as connection:
            return self.book.begin(connection, key, place, run, self.clock)

    def finish_report(
        self, accepted: Accepted, answered: Answered, run: str = "here/1"
    ) -> Report | None:
        key = self.key(accepted)
        with self.database.write() as connection:
            return self.book.finish(connection, key, run, answered, self.clock)

    def tried(self, accepted: Accepted, answered: Answered) -> Report | None:
        assert self.begin_report(accepted)
        return self.finish_report(accepted, answered)

    def lost(self, in_hand: tuple[Key, ...] = ()) -> int:
        with self.database.write() as connection:
            return self.book.place_lost(connection, self.clock, lambda: in_hand)

    def reports_placed(self) -> set[str]:
        return {name for name in self.placed() if name.startswith("report.")}


@pytest.fixture(params=["file", "server"])
def books(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Told]:
    """Over a SQLite file, and over PostgreSQL."""
    address = request.getfixturevalue("queueurl") if request.param == "server" else ""
    queueurl = values.queue_url(address, settings.home)
    own = replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}", queueurl=queueurl)
    books = Told(reporting(own, "http://127.0.0.1:1"))
    yield books
    books.database.close()


@pytest.fixture
def told(settings: Settings) -> Iterator[Told]:
    own = replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}")
    books = Told(reporting(own, "http://127.0.0.1:1"))
    yield books
    books.database.close()


def set_up(told: Told, **changes: object) -> None:
    """Over the same database with other settings."""
    told.database.close()
    told.__init__(replace(told.settings, **changes))  # type: ignore[misc, arg-type]


def test_an_end_has_its_report_in_the_queue_of_reports(books: Told) -> None:
    accepted = books.ended()
    report = books.report(accepted)
    assert (report.kind, report.event, report.state) == ("event", "stp_done", "waiting")
    assert (report.ended_as, report.tries, report.placed_at) == ("done", 0, NOON)
    assert books.reports_placed() == {f"report.{accepted.delivery_id}.1.event.1"}


def test_a_delivery_that_goes_on_has_none(told: Told) -> None:
    accepted = told.accept()
    told.attempt(accepted, REFUSED)
    assert told.show(accepted).state is State.WAITING
    assert told.reports(accepted) == ()


def test_what_is_not_committed_is_not_reported(told: Told) -> None:
    accepted = told.accept()
    begun = told.begin(accepted)
    assert begun is not None
    carried = Carried(outcomes.done(200), "sas", 1)
    with pytest.raises(ZeroDivisionError), told.database.write() as connection:
        told.ledger.finish(connection, begun, carried, told.clock, cause="", repeat_unknown=False)
        raise ZeroDivisionError  # the power goes before the commit
    assert told.reports(accepted) == ()
    assert not told.reports_placed()


def test_each_kind_of_end_has_its_event(told: Told) -> None:
    held = told.ended(UNKNOWN)
    assert told.report(held).event == "stp_held"
    told.admin.resolve(held.delivery_id, State.DONE, told.by())
    cancelled = told.accept()
    told.admin.cancel(cancelled.delivery_id, told.by())
    expired = told.accept(deadline=NOON + timedelta(hours=1))
    told.later(hours=2)
    assert told.begin(expired) is None
    assert [one.event for one in told.reports(held)] == ["stp_held", "stp_done"]
    assert (told.report(cancelled).event, told.report(cancelled).ended_as) == (
        "stp_failed",
        "cancelled",
    )
    assert (told.report(expired).event, told.report(expired).ended_as) == ("stp_failed", "expired")


def test_a_replayed_delivery_is_told_of_each_of_its_ends(told: Told) -> None:
    accepted = told.ended()
    told.tried(accepted, SENT)
    told.admin.replay(accepted.delivery_id, told.by())
    told.attempt(accepted, outcomes.done(200))
    assert [one.state for one in told.reports(accepted)] == ["sent", "waiting"]


@pytest.mark.parametrize("changes", [{"reportvia": "off"}, {"doneevent": ""}])
def test_what_is_switched_off_is_not_told(told: Told, changes: dict[str, str]) -> None:
    set_up(told, **changes)
    assert told.reports(told.ended()) == ()


def test_a_task_without_an_identity_is_not_told(told: Told) -> None:
    set_up(told, reportidentity=None)
    assert told.reports(told.ended()) == ()


def test_a_stored_process_may_have_events_of_its_own(told: Told) -> None:
    set_up(told, overrides={"a": {"doneevent": "other_done"}})
    assert told.report(told.ended()).event == "other_done"


def test_a_report_is_sent_once(books: Told) -> None:
    accepted = books.ended()
    begun = books.begin_report(accepted)
    assert begun is not None
    assert begun.attributes["state"] == "done"
    assert begun.body == b"{}"
    report = books.finish_report(accepted, SENT)
    assert report is not None
    assert (report.state, report.tries, report.status, report.next_at) == ("sent", 1, 200, None)
    assert books.begin_report(accepted, run="here/2") is None
    assert books.report(accepted) == report


def test_a_report_that_fails_is_tried_again_as_its_schedule_says(books: Told) -> None:
    accepted = books.ended()
    first = books.tried(accepted, BUSY)
    assert first is not None
    assert (first.state, first.code, first.tries) == ("waiting", "gateway_failed", 1)
    assert first.next_at is not None
    assert 0.9 <= (first.next_at - NOON).total_seconds() <= 1.1
    assert f"report.{accepted.delivery_id}.1.event.2" in books.reports_placed()
    assert books.begin_report(accepted, place=1) is None, "the first place is void"
    books.tried(accepted, BUSY)
    last = books.tried(accepted, BUSY)
    assert last is not None
    assert (last.state, last.code, last.tries) == ("unreported", "gateway_failed", 3)
    assert last.message.endswith("Given up after 3 tries.")
    assert books.show(accepted).state is State.DONE


def test_a_report_that_was_being_sent_when_a_process_died_is_never_sent_again(books: Told) -> None:
    accepted = books.ended()
    assert books.begin_report(accepted, run="here/1")
    assert books.begin_report(accepted, run="here/2") is None
    report = books.report(accepted)
    assert (report.state, report.code) == ("unreported", "report_unknown")
    assert books.finish_report(accepted, SENT, run="here/1") is None, "too late"


def test_the_same_run_begins_again_where_its_commit_was_not_confirmed(told: Told) -> None:
    accepted = told.ended()
    assert told.begin_report(accepted, run="here/1")
    assert told.begin_report(accepted, run="here/1")


def test_a_report_says_how_it_was_at_that_end(told: Told) -> None:
    accepted = told.ended(UNKNOWN)
    told.admin.replay(accepted.delivery_id, told.by())
    begun = told.begin_report(accepted)
    assert begun is not None
    assert begun.attributes["state"] == "held"
    assert begun.delivery.state is State.WAITING


def test_a_report_that_lost_its_place_gets_another(books: Told) -> None:
    accepted = books.ended()
    with books.database.write() as connection:
        connection.execute(sa.text(f"UPDATE {books.places} SET status = 'ERROR'"))
    assert books.lost() == 0, "not at once"
    books.later(minutes=2)
    assert books.lost(in_hand=(books.key(accepted),)) == 0
    assert books.lost() == 1
    assert books.lost() == 0
    assert books.begin_report(accepted) is not None


def test_a_report_that_waits_for_its_next_try_keeps_its_place(books: Told) -> None:
    accepted = books.ended()
    books.tried(accepted, BUSY)
    books.later(minutes=2)
    assert books.lost() == 0


def test_what_is_sent_by_hand_makes_the_place_in_the_queue_void(told: Told) -> None:
    accepted = told.ended()
    key = told.key(accepted)
    with told.database.write() as connection:
        place = told.book.place_again(connection, key, told.clock, queued=False)
    assert told.begin_report(accepted, place=1) is None
    assert told.begin_report(accepted, place=place) is not None


def test_a_payload_is_kept_while_its_report_waits(told: Told) -> None:
    accepted = told.ended()
    late = NOON + timedelta(days=60)
    assert told.admin.prune(late).payloads == 0
    told.tried(accepted, SENT)
    pruned = told.admin.prune(late)
    assert (pruned.payloads, pruned.deliveries) == (1, 1)
    with told.database.read() as connection:
        assert connection.execute(sa.select(reports)).all() == []


def test_a_task_is_run_again_once_for_each_occurrence(told: Told) -> None:
    set_up(told, rerun=True)

    def expire(occurrence: str) -> Accepted:
        accepted = told.accept(occurrence, deadline=told.clock + timedelta(minutes=5))
        told.later(minutes=10)
        assert told.begin(accepted) is None
        return accepted

    first = expire("o1")
    assert [one.kind for one in told.reports(first)] == [ReportKind.EVENT, ReportKind.RERUN]
    second = expire("o2")
    assert ReportKind.RERUN in [one.kind for one in told.reports(second)]
    again = expire("o1")  # the same webhook
    kinds = [one.kind for one in told.reports(again)]
    assert kinds.count(ReportKind.RERUN) == 1
    assert kinds.count(ReportKind.EVENT) == 2


def test_reports_that_stay_unreported_are_no_fault_of_the_delivery(told: Told) -> None:
    accepted = told.ended()
    before = told.show(accepted)
    report = told.tried(accepted, answer.read(401, None, ""))
    assert report is not None
    assert report.state is ReportState.UNREPORTED
    assert replace(told.show(accepted), reports=()) == replace(before, reports=())
