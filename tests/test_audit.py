"""Whatever an administrator changes stands in the audit trail, with the change or not at all."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connector_proxy import audit, outcomes, timeline
from connector_proxy.errors import NotPossible
from connector_proxy.lookup import Criteria
from connector_proxy.records import Change, State
from connector_proxy.tables import audit as trail
from tests.test_ledger import NOON, RETRY, UNKNOWN, Books, books, by

__all__ = ["books"]


def told(change: Change) -> tuple[str, str, str, str]:
    return (change.action, change.stp_name, change.outcome, change.decision.note)


def test_every_change_is_written_down_with_who_when_and_why(books: Books) -> None:
    held, waiting = books.accept(stp="Held"), books.accept(stp="Waiting")
    books.attempt(held, UNKNOWN)
    books.admin.resolve(held.delivery_id, State.REFUSED, by(NOON, "log of 12:01"))
    books.admin.replay(held.delivery_id, by(NOON, "mended"))
    books.admin.cancel(waiting.delivery_id, by(NOON, "wrong audience"))
    books.admin.pause("Held", by(NOON, "maintenance"))
    books.admin.resume("Held", by(NOON + timedelta(hours=1)))
    books.admin.recover("lost", by(NOON, "machine is gone"))
    books.admin.prune(NOON, by(NOON))
    assert [told(one) for one in reversed(books.admin.changes())] == [
        ("resolve", "Held", "held before, refused", "log of 12:01"),
        ("replay", "Held", "refused before, waits", "mended"),
        ("cancel", "Waiting", "waiting before, cancelled", "wrong audience"),
        ("pause", "Held", "1 wait", "maintenance"),
        ("resume", "Held", "1 go on", ""),
        ("recover", "", "0 taken over from lost", "machine is gone"),
        ("prune", "", "0 deliveries, 0 payloads removed", ""),
    ]
    (latest, *_) = books.admin.changes(before=6)
    assert (latest.action, latest.decision.at) == ("resume", NOON + timedelta(hours=1))
    assert (latest.decision.door, latest.decision.who) == ("cli", "jo")
    assert len(books.admin.changes(delivery_id=held.delivery_id)) == 2
    assert len(books.admin.changes(limit=3)) == 3


def test_what_was_not_possible_is_not_written_down(books: Books) -> None:
    accepted = books.accept()
    with pytest.raises(NotPossible):
        books.admin.resolve(accepted.delivery_id, State.DONE, by(NOON))
    assert books.admin.changes() == []


def test_a_change_that_cannot_be_written_down_is_not_made(books: Books) -> None:
    accepted = books.accept()
    with books.database.write() as connection:
        trail.drop(connection)
    with pytest.raises(Exception, match="kept"):
        books.admin.cancel(accepted.delivery_id, by(NOON))
    with pytest.raises(Exception, match="kept"):
        books.admin.pause("A", by(NOON))
    assert books.show(accepted).state is State.WAITING
    assert books.admin.stored_processes() == []


def test_a_change_is_one_line_of_the_log(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    accepted = books.accept()
    with caplog.at_level(logging.INFO, "connector_proxy.audit"):
        books.admin.cancel(accepted.delivery_id, by(NOON, "wrong audience"))
    (line,) = [one.message for one in caplog.records if one.name == audit.__name__]
    assert line == (
        f"changed action=cancel of={accepted.delivery_id} by=cli jo: waiting before, cancelled "
        "note=wrong audience"
    )


def test_the_trail_is_kept_as_long_as_its_delivery_and_no_shorter_than_keepdays(
    books: Books,
) -> None:
    held, done = books.accept(), books.accept()
    for one in (held, done):
        books.attempt(one, UNKNOWN)
    books.admin.replay(held.delivery_id, by(NOON))
    books.attempt(held, UNKNOWN)
    books.admin.resolve(done.delivery_id, State.DONE, by(NOON))
    books.admin.pause("B", by(NOON))
    books.admin.prune(NOON + timedelta(days=29))
    assert len(books.admin.changes()) == 3
    books.admin.prune(NOON + timedelta(days=31))
    assert [told(one)[0] for one in books.admin.changes()] == ["replay"], "it is held until today"


def test_a_long_note_is_cut(books: Books) -> None:
    accepted = books.accept()
    books.admin.cancel(accepted.delivery_id, by(NOON, "x" * 2000 + "\0"))
    (change,) = books.admin.changes()
    assert len(change.decision.note) == audit.LONGEST_NOTE


def test_resume_lets_go_in_portions(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector_proxy.deliveries._AT_ONCE", 3)
    several = [books.accept(stp="A") for _ in range(7)]
    books.admin.pause("A", by(NOON))
    assert books.placed() == {}
    assert books.admin.resume("A", by(NOON)) == 7
    assert len(books.placed()) == 7
    assert not any(books.show(one).paused for one in several)


def test_what_a_resume_left_undone_goes_on_within_a_minute(books: Books) -> None:
    """As if the process had died between two portions."""
    accepted = books.accept(stp="A")
    books.admin.pause("A", by(NOON))
    with books.database.write() as connection:
        assert books.admin._pauses.run_again(connection, "A") == 1
    assert books.placed() == {}
    assert books.pass_time() == [accepted.delivery_id]


def test_a_stored_process_that_is_paused_anew_lets_nothing_go(books: Books) -> None:
    books.accept(stp="A")
    books.admin.pause("A", by(NOON))
    with books.database.write() as connection:
        assert books.admin._pauses.release(connection, "A", NOON) == 0
    assert books.placed() == {}


def test_an_attempt_knows_its_round(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, RETRY)
    books.attempt(accepted, outcomes.credentials(401, "401"))
    books.admin.replay(accepted.delivery_id, by(NOON))
    books.attempt(accepted, outcomes.done(200))
    assert [one.round for one in books.show(accepted).attempts] == [1, 1, 2]


def test_the_story_of_a_delivery_is_told_in_its_order(books: Books) -> None:
    accepted = books.accept("one")
    books.later(seconds=5)
    books.attempt(accepted, outcomes.unreachable(0, "refused", "the words of the other side"))
    books.later(minutes=1)
    books.admin.replay(accepted.delivery_id, by(books.clock, "mended"))
    books.later(seconds=1)
    books.attempt(accepted, RETRY)
    steps = timeline.timeline(books.show(accepted), books.admin.changes())
    assert [step.title.partition(":")[0] for step in steps] == [
        "accepted",
        "attempt 1",
        "replayed by cli jo",
        "attempt 2",
        "attempt 3 is planned",
    ]
    assert ("said", "the words of the other side") in steps[1].details
    assert steps[1].details[-1][0] == "advice"
    assert steps[2].details == (("note", "mended"),)
    assert (steps[1].sign, steps[1].round) == ("retry", 1)
    assert steps[3].then == steps[4].at


def test_the_story_tells_that_a_webhook_came_again_and_what_is_under_way(books: Books) -> None:
    accepted = books.accept("one")
    books.attempt(accepted, outcomes.credentials(401, "401"))
    books.later(hours=1)
    books.accept("one")
    books.begin(accepted)
    steps = timeline.timeline(books.show(accepted), [])
    assert [step.title.partition(":")[0] for step in steps] == [
        "attempt 1",
        "the same webhook came again",
        "attempt 2 is under way",
    ]
    assert (steps[-1].sign, steps[-1].round) == ("running", 2)


def test_deliveries_are_found_page_by_page(books: Books) -> None:
    same_moment = {books.accept().delivery_id for _ in range(5)}
    books.later(minutes=1)
    latest = books.accept().delivery_id
    seen: list[str] = []
    place = None
    while some := books.admin.search(limit=2, after=place):
        seen += [one.delivery_id for one in some]
        place = (some[-1].accepted_at, some[-1].delivery_id)
    assert seen == [latest, *sorted(same_moment)]


def test_deliveries_are_found_by_their_tracking_code(books: Books) -> None:
    accepted = books.accept()
    with books.database.write() as connection:
        connection.execute(sa.text(f"UPDATE {books.own}deliveries SET tracking_code = 'track-1'"))
    books.accept()
    (found,) = books.admin.search(Criteria(tracking_code="track-1"))
    assert found.delivery_id == accepted.delivery_id
