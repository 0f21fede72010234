"""What is written of a delivery, event by event, with moments as arguments."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from connector_proxy import outcomes, schedule, values
from connector_proxy.carrier import Carried
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Place, Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import NoSuchDelivery, NotPossible
from connector_proxy.ledger import Accepted, Arrival, Begun, Ledger
from connector_proxy.lookup import Criteria
from connector_proxy.records import Decision, Delivery, Kind, Outcome, State, Verdict, Webhook
from connector_proxy.schedule import Next, Pauses
from connector_proxy.settings import Settings
from connector_proxy.tables import deliveries
from connector_proxy.upkeep import Upkeep

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RETRY = outcomes.unreachable(0, "refused")
UNKNOWN = outcomes.unknown(0, "no answer")
FILE_STORE = Outcome(Verdict.RETRY, "download_failed", "The store did not answer.")


def by(at: datetime, note: str = "") -> Decision:
    """What somebody decides."""
    return Decision("cli", "jo", at, note)


class Books:
    """A ledger and its administration over one database; ``clock`` is moved by the test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.database.set_up()
        self.schema = "" if self.database.is_file else "dbos."
        self.own = "" if self.database.is_file else "connector_proxy."
        self.places = self.schema + "workflow_status"
        self.queue = Queue(self.database.engine, settings)
        self.ledger = Ledger(settings, self.queue)
        self.admin = Deliveries(settings, self.database, self.queue)
        self.clock = NOON

    def later(self, **time: float) -> None:
        self.clock += timedelta(**time)

    def accept(
        self, identity: str = "", *, stp: str = "A", deadline: datetime | None = None
    ) -> Accepted:
        webhook = Webhook(Kind.BULK, stp, {}, "Task", identity, deadline=deadline)
        arrival = Arrival(
            uuid.uuid4().hex, identity or uuid.uuid4().hex, "r", webhook, b"{}", self.clock
        )
        with self.database.write() as connection:
            return self.ledger.accept(connection, [arrival])[0]

    def begin(self, accepted: Accepted, turn: int = 0, run: str = "here/1") -> Begun | None:
        turn = turn or self.turn(accepted)
        with self.database.write() as connection:
            return self.ledger.begin(connection, accepted.delivery_id, turn, run, self.clock)

    def finish(self, begun: Begun | None, outcome: Outcome, repeat: bool = False) -> Next | None:
        assert begun is not None
        carried = Carried(outcome, "sas", 12)
        with self.database.write() as connection:
            return self.ledger.finish(
                connection, begun, carried, self.clock, cause=outcome.cause, repeat_unknown=repeat
            )

    def attempt(self, accepted: Accepted, outcome: Outcome, repeat: bool = False) -> Next | None:
        return self.finish(self.begin(accepted), outcome, repeat)

    def pass_time(self, in_hand: Collection[str] = ()) -> list[str]:
        with self.database.write() as connection:
            return Upkeep(self.settings, self.queue).pass_time(
                connection, self.clock, lambda: in_hand
            )

    def turn(self, accepted: Accepted) -> int:
        with self.database.read() as connection:
            own = deliveries.c.delivery_id == accepted.delivery_id
            return connection.execute(sa.select(deliveries.c.turn).where(own)).scalar_one()

    def show(self, accepted: Accepted) -> Delivery:
        return self.admin.show(accepted.delivery_id)

    def placed(self) -> dict[str, float | None]:
        """Places in the queue that are to come, with the moment before which they do not."""
        query = sa.text(
            f"SELECT workflow_uuid, delay_until_epoch_ms FROM {self.places}"
            " WHERE status IN ('ENQUEUED', 'DELAYED')"
        )
        with self.database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


@pytest.fixture(params=["file", "server"])
def books(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Books]:
    """Over a SQLite file, and over PostgreSQL."""
    address = request.getfixturevalue("queueurl") if request.param == "server" else ""
    queueurl = values.queue_url(address, settings.home)
    own = replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}", queueurl=queueurl)
    books = Books(own)
    yield books
    books.database.close()


# -- accepting ----------------------------------------------------------------------------


def test_a_new_delivery_waits_and_has_its_place_in_the_queue(books: Books) -> None:
    accepted = books.accept("one", stp="Download File")
    shown = books.show(accepted)
    assert (shown.state, shown.round, shown.attempt_count) == (State.WAITING, 1, 0)
    assert (shown.stp_name, shown.task_name, shown.occurrence_id) == (
        "Download File",
        "Task",
        "one",
    )
    assert shown.accepted_at == NOON
    assert list(books.placed()) == [f"{accepted.delivery_id}.1"]


def test_places_made_in_groups_are_those_that_the_queue_makes_itself(books: Books) -> None:
    """All rows but ids, moments and tokens are equal, in both tables."""
    with books.database.write() as connection:
        books.queue.put(connection, "a" * 32, 1, stp_name="B", priority=7)
        books.queue.put_new(connection, [Place("b" * 32, "B", 7), Place("c" * 32, "B", 7)])
        own = {"creator_xid", "created_at", "updated_at", "retention_timestamp"}
        for table in ("workflow_status", "workflow_input"):
            rows = (
                connection.execute(sa.text(f"SELECT * FROM {books.schema}{table}")).mappings().all()
            )
            assert len(rows) == 3
            seen = {
                str(
                    {
                        name: str(value).replace(row["workflow_uuid"][:32], "ID")
                        for name, value in row.items()
                        if name not in own
                    }
                )
                for row in rows
            }
            assert len(seen) == 1
            for name in own & set(rows[0]):
                assert {type(row[name]) for row in rows} == {type(rows[0][name])}


def test_the_same_again_is_a_duplicate_while_it_waits_runs_and_is_done(books: Books) -> None:
    first = books.accept("one")
    assert not first.duplicate
    assert books.accept("one") == replace(first, duplicate=True)
    begun = books.begin(first)
    again = books.accept("one")
    assert again == replace(first, duplicate=True, state=State.RUNNING)
    books.finish(begun, outcomes.done(200))
    again = books.accept("one")
    assert (again.delivery_id, again.duplicate, again.state) == (
        first.delivery_id,
        True,
        State.DONE,
    )
    assert books.show(first).attempt_count == 1


def test_the_same_twice_in_one_group_is_one_delivery(books: Books) -> None:
    webhook = Webhook(Kind.BULK, "A", {})
    twice = [Arrival(uuid.uuid4().hex, "same", "r", webhook, b"{}", NOON) for _ in range(3)]
    with books.database.write() as connection:
        accepted = books.ledger.accept(connection, twice)
    assert {one.delivery_id for one in accepted} == {twice[0].delivery_id}
    assert [one.duplicate for one in accepted] == [False, True, True]
    assert len(books.admin.search()) == 1


def test_the_same_again_after_a_final_failure_is_a_new_round(books: Books) -> None:
    first = books.accept("one")
    books.attempt(first, outcomes.credentials(401, "401"))
    assert books.show(first).state is State.REFUSED
    books.later(minutes=1)
    again = books.accept("one")
    assert (again.delivery_id, again.duplicate) == (first.delivery_id, False)
    assert (books.show(first).state, books.show(first).round) == (State.WAITING, 2)
    books.attempt(again, outcomes.done(200))
    shown = books.show(first)
    assert shown.state is State.DONE
    assert [attempt.verdict for attempt in shown.attempts] == [Verdict.REFUSED, Verdict.DONE]


@pytest.mark.parametrize("outcome", [UNKNOWN], ids=["held"])
def test_the_same_again_does_not_run_what_is_held(books: Books, outcome: Outcome) -> None:
    first = books.accept("one")
    books.attempt(first, outcome)
    again = books.accept("one")
    assert (again.duplicate, again.state) == (True, State.HELD)
    books.admin.cancel(first.delivery_id, by(NOON))
    assert books.accept("one").state is State.CANCELLED
    assert f"{first.delivery_id}.2" not in books.placed(), "nothing new came into the queue"


def test_texts_that_no_database_takes_are_kept_in_a_form_that_it_does(books: Books) -> None:
    webhook = Webhook(Kind.BULK, "A", {}, "nul\0 half \ud800" + "x" * 1000, "\0")
    with books.database.write() as connection:
        (accepted,) = books.ledger.accept(
            connection, [Arrival(uuid.uuid4().hex, "i", "r", webhook, b"{}", NOON)]
        )
    assert books.show(accepted).task_name.startswith("nul\ufffd half ?xxx")
    assert len(books.show(accepted).task_name) == 500


# -- attempts -----------------------------------------------------------------------------


def test_an_attempt_is_marked_before_it_and_told_after_it(books: Books) -> None:
    accepted = books.accept()
    begun = books.begin(accepted)
    assert begun is not None and not begun.interrupted
    assert (books.show(accepted).state, books.show(accepted).attempts) == (State.RUNNING, ())
    books.later(seconds=3)
    books.finish(begun, outcomes.done(200, {"rows": 3}))
    shown = books.show(accepted)
    (attempt,) = shown.attempts
    assert (shown.state, shown.result) == (State.DONE, {"rows": 3})
    assert (attempt.number, attempt.instance, attempt.destination) == (1, "here", "sas")
    assert (attempt.started_at, attempt.ended_at) == (NOON, NOON + timedelta(seconds=3))
    assert (attempt.verdict, attempt.status, attempt.milliseconds) == (Verdict.DONE, 200, 12)


def test_a_retry_has_the_next_place_at_its_moment(books: Books) -> None:
    accepted = books.accept()
    following = books.attempt(accepted, RETRY)
    assert following is not None and following.at is not None
    shown = books.show(accepted)
    assert (shown.state, shown.verdict, shown.code) == (
        State.WAITING,
        Verdict.RETRY,
        "sas_unreachable",
    )
    assert shown.next_attempt_at is not None
    assert 4.5 <= (shown.next_attempt_at - NOON).total_seconds() <= 5.5
    assert f"{accepted.delivery_id}.2" in books.placed()
    assert shown.attempts[0].next_at == shown.next_attempt_at


def test_an_attempt_that_another_process_began_is_never_made_again(books: Books) -> None:
    accepted = books.accept()
    books.begin(accepted, run="here/died")
    begun = books.begin(accepted, run="here/new")
    assert begun is not None and begun.interrupted
    books.finish(begun, UNKNOWN)
    shown = books.show(accepted)
    assert (shown.state, shown.attempt_count) == (State.HELD, 1)
    assert shown.attempts[0].verdict is Verdict.UNKNOWN


def test_a_mark_whose_commit_was_not_confirmed_is_our_own(books: Books) -> None:
    accepted = books.accept()
    books.begin(accepted, run="here/1")
    begun = books.begin(accepted, run="here/1")
    assert begun is not None and not begun.interrupted


def test_a_turn_that_was_overtaken_is_void(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, RETRY)
    assert books.begin(accepted, turn=1) is None
    books.admin.cancel(accepted.delivery_id, by(NOON))
    assert books.begin(accepted, turn=2) is None


def test_an_end_that_comes_after_somebody_else_decided_counts_no_more(books: Books) -> None:
    accepted = books.accept()
    begun = books.begin(accepted, run="here/slow")
    interrupted = books.begin(accepted, run="there/1")
    books.finish(interrupted, UNKNOWN)
    assert books.finish(begun, outcomes.done(200)) is None
    assert books.show(accepted).state is State.HELD


def test_an_end_that_is_written_twice_counts_once(books: Books) -> None:
    begun = books.begin(books.accept())
    books.finish(begun, RETRY)
    assert books.finish(begun, RETRY) is None
    (stp,) = books.admin.stored_processes()
    assert stp.failures == 1


def test_an_attempt_that_failed_by_our_fault_is_told_and_held(books: Books) -> None:
    accepted = books.accept()
    books.begin(accepted)
    with books.database.write() as connection:
        books.ledger.hold(connection, accepted.delivery_id, 1, NOON)
    shown = books.show(accepted)
    assert (shown.state, shown.code) == (State.HELD, "internal_error")
    assert [attempt.verdict for attempt in shown.attempts] == [Verdict.UNKNOWN]
    assert books.begin(accepted) is None


def test_what_may_run_twice_is_repeated_when_its_outcome_is_unknown(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, UNKNOWN, repeat=True)
    assert books.show(accepted).state is State.WAITING


def test_the_schedule_ends_with_a_refusal(settings: Settings) -> None:
    books = Books(replace(settings, retryschedule=Pauses((1, 1))))
    accepted = books.accept()
    for _ in range(3):
        books.attempt(accepted, FILE_STORE)
    shown = books.show(accepted)
    assert (shown.state, shown.attempt_count) == (State.REFUSED, 3)
    assert "Given up after 3 attempts" in shown.message
    books.database.close()


# -- deadlines ----------------------------------------------------------------------------


def test_a_delivery_expires_when_its_turn_comes_after_the_deadline(books: Books) -> None:
    accepted = books.accept(deadline=NOON + timedelta(minutes=15))
    books.later(minutes=16)
    assert books.begin(accepted) is None
    shown = books.show(accepted)
    assert (shown.state, shown.verdict, shown.code) == (State.EXPIRED, Verdict.EXPIRED, "expired")
    assert "Run the task again" in shown.advice
    assert shown.attempt_count == 0


def test_a_delivery_expires_when_the_next_attempt_would_come_too_late(books: Books) -> None:
    accepted = books.accept(deadline=NOON + timedelta(seconds=62))
    books.attempt(accepted, FILE_STORE)
    assert books.show(accepted).state is State.EXPIRED


def test_a_webhook_that_comes_late_is_tried_since_the_clock_may_be_wrong(books: Books) -> None:
    accepted = books.accept(deadline=NOON - timedelta(minutes=1))
    assert books.begin(accepted) is not None


# -- pausing ------------------------------------------------------------------------------


def failing(
    books: Books, outcome: Outcome = RETRY, count: int = schedule.FAILURES_TO_PAUSE
) -> list[Accepted]:
    accepted = [books.accept() for _ in range(count)]
    for one in accepted:
        books.attempt(one, outcome)
    return accepted


def test_five_failures_in_a_row_pause_a_stored_process(books: Books) -> None:
    waiting = books.accept()
    failed = failing(books)
    (stp,) = books.admin.stored_processes()
    assert (stp.stp_name, stp.paused_by, stp.failures, stp.waiting) == ("A", "failures", 5, 6)
    assert "cannot be reached" in stp.why
    assert books.begin(waiting) is None, "it waits, and has cost no attempt"
    shown = books.show(waiting)
    assert (shown.state, shown.paused, shown.attempt_count) == (State.WAITING, True, 0)
    assert books.show(failed[-1]).paused
    other = books.accept(stp="B")
    assert books.begin(other) is not None, "another stored process is not harmed"


def test_a_success_in_between_begins_the_count_anew(books: Books) -> None:
    failing(books, count=4)
    books.attempt(books.accept(), outcomes.done(200))
    failing(books, count=4)
    assert not any(stp.paused_by for stp in books.admin.stored_processes())


@pytest.mark.parametrize(
    "code", ["bad_data", "url_expired", "download_failed", "stored_process_error"]
)
def test_failures_of_the_deliveries_themselves_pause_nothing(books: Books, code: str) -> None:
    """They prove that the stored process answers."""
    failing(books, count=4)
    failing(books, Outcome(Verdict.REFUSED, code), count=10)
    assert books.admin.stored_processes() == []


def test_what_was_put_off_while_it_did_not_run_goes_on_with_it(books: Books) -> None:
    failed = failing(books)
    assert [books.show(one).next_attempt_at is None for one in failed] == [False] * 4 + [True]
    books.later(minutes=1)
    (probed,) = books.pass_time()
    probe = next(one for one in failed if one.delivery_id == probed)
    books.attempt(probe, outcomes.done(200))
    for one in failed:
        if one is not probe:
            assert (books.show(one).next_attempt_at, books.show(one).paused) == (None, False)
            assert f"{one.delivery_id}.{books.turn(one)}" in books.placed()


def test_the_log_tells_when_a_pause_begins_and_ends(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "connector_proxy.pauses")
    failing(books)
    assert "A is paused after 5 failures in a row; one delivery a minute is tried" in caplog.text
    books.admin.resume("A", by(books.clock))
    assert "A runs again, 5 deliveries go on" in caplog.text


def test_replay_is_refused_while_the_stored_process_is_paused(books: Books) -> None:
    failed = failing(books)
    with pytest.raises(NotPossible, match="is paused \\(by failures\\)") as refused:
        books.admin.replay(failed[0].delivery_id, by(books.clock))
    assert "deliveries resume" in refused.value.advice


def test_a_probe_in_hand_while_it_is_resumed_goes_on(books: Books) -> None:
    waiting = books.accept()
    failing(books)
    books.begin(waiting)
    books.pass_time()
    begun = books.begin(waiting)
    books.admin.resume("A", by(books.clock))
    books.finish(begun, RETRY)
    shown = books.show(waiting)
    assert (shown.state, shown.paused) == (State.WAITING, False)
    assert f"{waiting.delivery_id}.{books.turn(waiting)}" in books.placed()


def test_a_turn_that_comes_out_while_the_service_ends_is_given_back(books: Books) -> None:
    waiting, interrupted = books.accept(), books.accept()
    books.begin(interrupted, run="here/died")
    for one in (waiting, interrupted):
        with books.database.write() as connection:
            books.ledger.put_back(connection, one.delivery_id, 1, NOON)
        assert f"{one.delivery_id}.2" in books.placed()
    begun = books.begin(interrupted, turn=2)
    assert begun is not None and begun.interrupted
    assert books.begin(waiting, turn=2) is not None


def test_refusals_for_credentials_spare_those_that_still_wait(books: Books) -> None:
    waiting = [books.accept() for _ in range(3)]
    failing(books, outcomes.credentials(401, "401"))
    assert [books.begin(one) for one in waiting] == [None] * 3
    for _ in range(5):  # minutes of a long night
        books.later(minutes=1)
        (probed,) = books.pass_time()
        probe = next(one for one in waiting if one.delivery_id == probed)
        books.attempt(probe, outcomes.credentials(401, "401"))
        assert books.show(probe).state is State.WAITING, "a probe does not cost its delivery"
    assert {books.show(one).attempt_count for one in waiting} == {1, 2}, "they take turns"
    (probed,) = books.pass_time()
    probe = next(one for one in waiting if one.delivery_id == probed)
    books.attempt(probe, outcomes.done(200))
    assert books.admin.stored_processes() == []
    others = [one for one in waiting if one is not probe]
    assert all(books.begin(one) is not None for one in others), "all go on at once"


def test_only_one_probe_is_out_at_a_time(books: Books) -> None:
    waiting = [books.accept() for _ in range(3)]
    failing(books)
    for one in waiting:
        books.begin(one)
    assert len(books.pass_time()) == 1
    assert books.pass_time() == []


def test_a_probe_that_ends_unknown_is_held(books: Books) -> None:
    waiting = books.accept()
    failing(books, UNKNOWN)
    assert books.begin(waiting) is None
    assert books.pass_time() == [waiting.delivery_id]
    books.attempt(waiting, UNKNOWN)
    assert books.show(waiting).state is State.HELD


def test_with_nobody_waiting_the_next_delivery_is_the_probe(books: Books) -> None:
    failing(books, outcomes.credentials(401, "401"))
    assert books.pass_time() == []
    books.attempt(books.accept(), outcomes.credentials(401, "401"))
    (stp,) = books.admin.stored_processes()
    assert stp.paused_by == "failures", "one more failure pauses it again"


def test_what_waits_for_a_paused_stored_process_expires_in_time(books: Books) -> None:
    books.admin.pause("A", by(NOON))
    accepted = books.accept(deadline=NOON + timedelta(minutes=15))
    assert books.begin(accepted) is None
    books.later(minutes=14)
    books.pass_time()
    assert books.show(accepted).state is State.WAITING
    books.later(minutes=2)
    books.pass_time()
    assert books.show(accepted).state is State.EXPIRED


def test_an_administrator_pauses_and_resumes(books: Books) -> None:
    before = books.accept(stp="Stored Process")
    assert books.admin.pause("stored process", by(NOON)) == 1
    assert books.begin(before, turn=1) is None
    after = books.accept(stp="STORED PROCESS")
    assert books.begin(after) is None
    books.later(hours=1)
    assert books.pass_time() == [], "no probe: somebody decided"
    assert books.admin.resume("Stored Process", by(books.clock)) == 2
    assert books.begin(before) is not None and books.begin(after) is not None


def test_what_runs_when_it_is_paused_ends_as_it_ends(books: Books) -> None:
    running = books.accept()
    begun = books.begin(running)
    books.admin.pause("A", by(NOON))
    books.finish(begun, RETRY)
    shown = books.show(running)
    assert (shown.state, shown.paused, shown.next_attempt_at) == (State.WAITING, True, None)
    assert books.admin.resume("A", by(NOON)) == 1


# -- clock --------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_does_not_put_off_an_attempt(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, RETRY)
    assert books.pass_time() == []
    books.later(hours=-1)
    assert books.pass_time() == [accepted.delivery_id]
    assert books.placed()[f"{accepted.delivery_id}.3"] is None, "due at once"
    assert books.begin(accepted, turn=2) is None
    assert books.begin(accepted, turn=3) is not None
    assert books.pass_time() == []


def test_an_open_delivery_that_lost_its_place_gets_another(books: Books) -> None:
    waiting, running, paused = books.accept(), books.accept(), books.accept(stp="B")
    books.begin(running, run="here/died")
    books.admin.pause("B", by(NOON))
    assert books.pass_time() == [], "all have their places"
    with books.database.write() as connection:
        connection.execute(sa.text(f"UPDATE {books.places} SET status = 'ERROR'"))
    assert set(books.pass_time()) == {waiting.delivery_id, running.delivery_id}
    assert books.show(paused).paused
    assert books.begin(waiting) is not None
    begun = books.begin(running)
    assert begun is not None and begun.interrupted


def test_a_turn_that_came_out_of_the_queue_and_was_never_begun_gets_another(books: Books) -> None:
    forgotten, busy = books.accept(), books.accept()
    taken = int((NOON - timedelta(seconds=31)).timestamp() * 1000)
    with books.database.write() as connection:
        connection.execute(
            sa.text(
                f"UPDATE {books.places} SET status = 'PENDING', executor_id = :me,"
                " started_at_epoch_ms = :taken"
            ),
            {"me": books.settings.instance, "taken": taken},
        )
    assert books.pass_time(in_hand={busy.delivery_id}) == [forgotten.delivery_id]
    assert books.begin(forgotten, turn=1) is None
    assert books.begin(busy, turn=1) is not None


def test_an_overtaken_turn_leaves_the_queue(books: Books) -> None:
    """Or it would count against a rate limit."""
    accepted = books.accept()
    books.admin.pause("A", by(NOON))
    assert books.placed() == {}
    books.admin.resume("A", by(NOON))
    books.admin.replay(accepted.delivery_id, by(NOON))
    assert list(books.placed()) == [f"{accepted.delivery_id}.{books.turn(accepted)}"]
    books.admin.cancel(accepted.delivery_id, by(NOON))
    assert books.placed() == {}


# -- administration -----------------------------------------------------------------------


def test_a_held_delivery_is_resolved_as_somebody_found_out(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, UNKNOWN)
    shown = books.admin.resolve(accepted.delivery_id, State.DONE, by(NOON, "ran at 12:01"))
    assert (shown.state, shown.note, shown.verdict) == (State.DONE, "ran at 12:01", Verdict.DONE)
    assert shown.code == "resolved"
    with pytest.raises(NotPossible, match="only a held one"):
        books.admin.resolve(accepted.delivery_id, State.REFUSED, by(NOON))


def test_a_delivery_that_waits_is_cancelled_and_one_that_runs_is_not(books: Books) -> None:
    waiting, running = books.accept(), books.accept()
    books.begin(running)
    assert (
        books.admin.cancel(waiting.delivery_id, by(NOON, "wrong audience")).state is State.CANCELLED
    )
    with pytest.raises(NotPossible, match="running"):
        books.admin.cancel(running.delivery_id, by(NOON))


def test_replay_is_a_new_round_with_the_payload_that_is_kept(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, outcomes.credentials(401, "401"))
    shown = books.admin.replay(accepted.delivery_id, by(NOON))
    assert (shown.state, shown.round) == (State.WAITING, 2)
    begun = books.begin(accepted)
    assert begun is not None and begun.body == b"{}"
    with pytest.raises(NotPossible, match="running"):
        books.admin.replay(accepted.delivery_id, by(NOON))


def test_replay_of_one_that_waits_brings_its_attempt_forward(books: Books) -> None:
    accepted = books.accept()
    books.attempt(accepted, RETRY)
    shown = books.admin.replay(accepted.delivery_id, by(NOON))
    assert (shown.round, shown.next_attempt_at) == (1, None)
    assert books.begin(accepted, turn=2) is None
    assert books.begin(accepted, turn=3) is not None


def test_replay_is_refused_after_the_deadline_and_without_the_payload(books: Books) -> None:
    expired = books.accept(deadline=NOON + timedelta(minutes=15))
    old = books.accept()
    books.attempt(expired, outcomes.credentials(401, "401"))
    books.attempt(old, outcomes.credentials(401, "401"))
    with pytest.raises(NotPossible, match="stopped working"):
        books.admin.replay(expired.delivery_id, by(NOON + timedelta(minutes=16)))
    books.admin.prune(NOON + timedelta(days=8))
    with pytest.raises(NotPossible, match="payload of the delivery was removed"):
        books.admin.replay(old.delivery_id, by(NOON))


def test_pruning_removes_payloads_first_and_deliveries_later(books: Books) -> None:
    done, waiting, held = books.accept(), books.accept(), books.accept()
    books.attempt(done, outcomes.done(200))
    books.attempt(held, UNKNOWN)
    pruned = books.admin.prune(NOON + timedelta(days=6))
    assert (pruned.deliveries, pruned.payloads) == (0, 0)
    pruned = books.admin.prune(NOON + timedelta(days=8))
    assert (pruned.deliveries, pruned.payloads) == (0, 1)
    pruned = books.admin.prune(NOON + timedelta(days=31))
    assert (pruned.deliveries, pruned.payloads) == (1, 0)
    with pytest.raises(NoSuchDelivery):
        books.show(done)
    assert books.begin(waiting) is not None, "what is open stays, however old"
    assert books.show(held).state is State.HELD


def test_pruning_gives_the_room_back(settings: Settings) -> None:
    books = Books(settings)
    body = b'{"x": "' + b"y" * 20_000 + b'"}'
    webhook = Webhook(Kind.BULK, "A", {})
    arrivals = [
        Arrival(uuid.uuid4().hex, uuid.uuid4().hex, "r", webhook, body, NOON) for _ in range(300)
    ]
    with books.database.write() as connection:
        accepted = books.ledger.accept(connection, arrivals)
    for one in accepted:
        books.attempt(one, outcomes.done(200))
    full = books.database.path.stat().st_size
    assert books.admin.prune(NOON + timedelta(days=31)).deliveries == 300
    assert books.database.path.stat().st_size < full / 5
    books.database.close()


def test_deliveries_are_found_by_state_stored_process_time_and_task(books: Books) -> None:
    first = books.accept(stp="A")
    books.later(hours=1)
    second = books.accept(stp="B")
    books.attempt(second, outcomes.done(200))

    def found(**criteria: object) -> list[str]:
        return [one.delivery_id for one in books.admin.search(Criteria(**criteria))]  # type: ignore[arg-type]

    assert found() == [second.delivery_id, first.delivery_id]
    assert found(states=[State.WAITING]) == [first.delivery_id]
    assert found(stp="b") == [second.delivery_id]
    assert found(since=NOON + timedelta(minutes=1)) == [second.delivery_id]
    assert found(task="tas", until=NOON + timedelta(minutes=1)) == [first.delivery_id]
    assert found(task="100%") == []
    assert books.admin.counts()[State.DONE] == 1


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(books: Books) -> None:
    accepted = books.accept()
    assert books.admin.show(accepted.delivery_id[:8].upper()).delivery_id == accepted.delivery_id
    for wrong in ("", "zz", "zzzz", "%", "~~~~", accepted.delivery_id[:3]):
        with pytest.raises(NoSuchDelivery):
            books.admin.show(wrong)
