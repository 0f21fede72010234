"""The commands about deliveries as an administrator types them, beside a service that runs or
without one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector_proxy import outcomes
from connector_proxy.cli import cli
from connector_proxy.database import FILE, Database
from connector_proxy.emulator import Emulator
from connector_proxy.instance import WORKING, InstanceLock
from connector_proxy.lookup import Criteria
from connector_proxy.records import Outcome, State
from connector_proxy.settings import Settings
from tests.conftest import Service, StubCarrier, another, payload
from tests.crashing import Gate, ServiceProcess, arrived, triggered, wait_until

Command = Callable[..., Result]
COMMANDS = (
    "list",
    "show",
    "audit",
    "replay",
    "resolve",
    "cancel",
    "pause",
    "resume",
    "prune",
    "recover",
)

ENDS = {
    "Done": outcomes.done(200, {"rows": 3}),
    "Refused": outcomes.credentials(401, "401", "the words of the other side"),
    "Held": outcomes.unknown(0, "no answer"),
    "Waiting": outcomes.unreachable(0, "connection refused"),
}
"""What the stub says for each stored process."""


@pytest.fixture
def command(conf: Path) -> Command:
    """Runs ``connector-proxy deliveries …``; ``answer`` is what is typed when it asks."""

    def run(*words: str, answer: str = "", **environment: str) -> Result:
        arguments = ["deliveries", *words, "--conf", str(conf)]
        return CliRunner().invoke(cli, arguments, input=answer, env=environment)

    return run


@pytest.fixture
def ends(carrier: StubCarrier) -> dict[str, Outcome]:
    """What the stub says; a test may change it."""
    mine = dict(ENDS)
    carrier.deed = lambda stp_name, body: mine[stp_name]
    return mine


@pytest.fixture
def service(
    start: Callable[..., Service], settings: Settings, carrier: StubCarrier, ends: object
) -> Service:
    return start(settings, carrier)


@pytest.fixture
def ids(service: Service) -> dict[str, str]:
    """One delivery of each stored process, by its name."""
    return {name: service.post(triggered(name)).headers and _id(service, name) for name in ENDS}


def _id(service: Service, stp: str) -> str:
    return service.deliveries.search(Criteria(stp=stp))[0].delivery_id


def state(service: Service, delivery_id: str, wanted: State) -> None:
    wait_until(f"it is {wanted}", lambda: service.deliveries.show(delivery_id).state is wanted)


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def said_no(result: Result) -> str:
    """The words of a command that refuses: on the error stream, with exit code 1."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") >= 2, "there is an advice"
    assert isinstance(result.exception, SystemExit)
    return result.stderr


# -- list ---------------------------------------------------------------------------------


def test_list_says_that_none_matches(command: Command, ids: dict[str, str]) -> None:
    assert lines(command("list", "--stp", "nobody"))[0] == "none matches; of all there are"


def test_list_says_that_there_are_none(command: Command) -> None:
    assert lines(command("list")) == ["no deliveries"]
    assert lines(command("list", "--json")) == []


def test_list_shows_the_latest_first_and_counts(command: Command, ids: dict[str, str]) -> None:
    heading, *shown, counts = lines(command("list"))
    assert heading.split("  ")[0] == "id"
    assert heading.split() == ["id", "accepted", "state", "tries", "stored", "process", "task"]
    assert [line.split()[0] for line in shown] == list(reversed(ids.values()))
    by_name = {name: next(line for line in shown if line.startswith(ids[name])) for name in ids}
    assert "  waiting  1x     Waiting         SandboxOutbound  next 20" in by_name["Waiting"]
    assert by_name["Done"].endswith("  done     1x     Done            SandboxOutbound")
    assert by_name["Refused"].endswith(
        "  refused  1x     Refused         SandboxOutbound  credentials"
    )
    assert by_name["Held"].endswith(
        "  held     1x     Held            SandboxOutbound  outcome_unknown"
    )
    assert counts == "1 waiting, 1 done, 1 refused, 1 held"


def test_list_shows_what_is_paused_by_whom_and_why(
    command: Command, service: Service, ends: dict[str, Outcome]
) -> None:
    for _ in range(5):
        service.post(triggered("Waiting"))
    command("pause", "Done")
    shown = lines(command("list"))
    assert sum(line.endswith("  paused") for line in shown) == 1, "four wait for their moment"
    assert "Waiting is paused (by failures), 5 wait: The SAS server cannot be reached" in shown[-1]
    assert shown[-2] == "Done is paused (by administrator), 0 wait"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], {"Done", "Refused", "Held", "Waiting"}),
        (["--state", "done"], {"Done"}),
        (["--state", "refused", "--state", "held"], {"Refused", "Held"}),
        (["--state", "running"], set()),
        (["--stp", "HELD"], {"Held"}),
        (["--stp", "Hel"], set()),
        (["--task", "outBOUND"], {"Done", "Refused", "Held", "Waiting"}),
        (["--task", "spring"], set()),
        (["--limit", "1"], {"Waiting"}),
        (["--since", "1m", "--state", "done"], {"Done"}),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_list_narrows_down(
    words: list[str], found: set[str], command: Command, ids: dict[str, str]
) -> None:
    records = [json.loads(line) for line in lines(command("list", "--json", *words))]
    assert {record["stpName"] for record in records} == found
    assert {record["deliveryId"] for record in records} == {ids[name] for name in found}
    assert all(record["attempts"] == 1 for record in records)


def test_since_is_a_while_ago_or_a_moment(
    command: Command, settings: Settings, ids: object
) -> None:
    with closing(sqlite3.connect(settings.datafolder / FILE)) as file, file:
        file.execute("UPDATE deliveries SET accepted_at = accepted_at - 2 * 3600 * 1000")

    def count(since: str) -> int:
        return len(lines(command("list", "--json", "--since", since)))

    now = datetime.now().astimezone()
    assert [count(since) for since in ("30m", "119m", "1h", "0m")] == [0] * 4
    assert [count(since) for since in ("121m", "3h", "7d", "99999d", "2020-01-01")] == [4] * 5
    for hours, expected in ((1, 0), (3, 4)):
        moment = now - timedelta(hours=hours)
        assert count(moment.isoformat()) == expected
        assert count(f"{moment:%Y-%m-%dT%H:%M}") == expected, "without a zone it is local time"
        assert count(f"{moment:%Y-%m-%d %H:%M:%S}") == expected


@pytest.mark.parametrize(
    "since", ["", "yesterday", "7", "-1d", "1w", "2026-13-01", "123456d", "0001-01-01"]
)
@pytest.mark.parametrize("name", ["list", "replay"])
def test_since_that_is_none_is_refused(name: str, since: str, command: Command) -> None:
    result = command(name, "--since", since)
    assert result.exit_code == 2
    assert "write 30m, 12h, 7d, or a moment such as 2026-11-22T06:00" in result.stderr


# -- show ---------------------------------------------------------------------------------


def test_show_tells_every_attempt_and_what_the_other_side_said(
    command: Command, service: Service, ids: dict[str, str], ends: dict[str, Outcome]
) -> None:
    one = ids["Refused"]
    ends["Refused"] = outcomes.done(200)
    command("replay", one, "--yes")
    state(service, one, State.DONE)
    shown = "\n".join(lines(command("show", one[:8].upper())))
    assert f"deliveryId            {one}" in shown
    assert "state                 done" in shown
    assert "round                 2" in shown
    assert "attempt 1: " in shown
    assert ": refused (credentials, HTTP 401)" in shown
    assert "    said: the words of the other side" in shown
    assert "    advice: Set stpusername" in shown
    assert "attempt 2: " in shown


def test_show_tells_what_the_stored_process_says_of_itself(
    command: Command, service: Service, ends: dict[str, Outcome]
) -> None:
    digest = "0f" * 32
    ends["Done"] = outcomes.done(200, {"rows": 3, "rejectedRows": 1, "unreadableValues": 2, "sha256": digest})  # fmt: skip
    ends["Refused"] = outcomes.own_error(200, "bad_data", "Line 2 has 4 values.")
    for name in ("Done", "Refused"):
        service.post(triggered(name))
    done = command("show", _id(service, "Done")).output
    assert f'{{"rows": 3, "rejectedRows": 1, "unreadableValues": 2, "sha256": "{digest}"}}' in done
    refused = command("show", _id(service, "Refused")).output
    assert refused.count("of its own (code bad_data): Line 2 has 4 values.") == 2


def test_show_as_json_is_the_record_that_http_shows(
    command: Command, service: Service, ids: dict[str, str]
) -> None:
    for name, one in ids.items():
        record: dict[str, Any] = json.loads(command("show", one, "--json").output)
        assert record["stpName"] == name
        assert [attempt["number"] for attempt in record["attempts"]] == [1]
        assert "the words of the other side" not in json.dumps(record)
    assert record["attempts"][0]["nextAttemptAt"] == record["nextAttemptAt"]


def test_list_and_show_work_without_a_service(
    command: Command, service: Service, ids: dict[str, str]
) -> None:
    service.stop()
    assert lines(command("list"))[-1] == "1 waiting, 1 done, 1 refused, 1 held"
    assert json.loads(command("show", ids["Held"][:6], "--json").output)["state"] == "held"


@pytest.mark.parametrize("wrong", ["ffffffff", "", "abc", "%", "zzzz", "x" * 500])
@pytest.mark.parametrize("name", ["show", "replay", "resolve", "cancel"])
def test_an_id_that_nothing_has_is_refused(name: str, wrong: str, command: Command) -> None:
    more = {"resolve": ["--done"], "replay": ["--yes"]}.get(name, [])
    if name == "replay" and not wrong:
        assert command(name, wrong, *more).exit_code == 2
    else:
        short = len(wrong) < 4
        words = "Write at least 4 characters" if short else "There is no delivery with this id"
        assert words in said_no(command(name, wrong, *more))


def test_the_beginning_of_two_ids_is_refused(
    command: Command, service: Service, settings: Settings, ids: dict[str, str]
) -> None:
    with closing(sqlite3.connect(settings.datafolder / FILE)) as file, file:
        for number, one in enumerate((ids["Done"], ids["Held"])):
            new = f"abcdef{number:026x}"
            file.execute("UPDATE deliveries SET delivery_id = ? WHERE delivery_id = ?", (new, one))
    assert "write more of it" in said_no(command("show", "abcdef"))
    assert "write more of it" in said_no(command("cancel", "abcdef"))
    assert command("show", "abcdef" + "0" * 25 + "1").exit_code == 0


def test_show_marks_rounds_and_tells_moments_in_local_time(
    command: Command, service: Service, ids: dict[str, str], ends: dict[str, Outcome]
) -> None:
    one = ids["Refused"]
    ends["Refused"] = outcomes.done(200)
    command("replay", one, "--yes", "--note", "mended")
    state(service, one, State.DONE)
    shown = lines(command("show", one))
    accepted = service.deliveries.show(one).accepted_at.astimezone().isoformat(" ", "seconds")
    assert f"acceptedAt            {accepted}" in shown
    story = [line.partition("  ")[2] for line in shown if line.startswith(accepted[:10])]
    assert [line.partition(":")[0].partition(" by ")[0] for line in story] == [
        "accepted", "attempt 1", "replayed", "attempt 2",
    ]  # fmt: skip
    assert shown.index("round 2") == shown.index("    note: mended") + 1
    assert "+00:00" not in "".join(shown) or accepted.endswith("+00:00")


# -- audit --------------------------------------------------------------------------------


def test_audit_shows_what_was_changed_by_whom_and_why(
    command: Command, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines(command("audit")) == ["nothing was changed"]
    monkeypatch.setenv("LOGNAME", "jo")
    monkeypatch.setenv("SUDO_USER", "kim")
    command("cancel", ids["Held"], "--note", "wrong audience")
    command("pause", "Done", "--note", "maintenance")
    pause, cancel = lines(command("audit"))
    assert pause.endswith("  cli jo (sudo by kim)  pause Done: 0 wait; maintenance")
    assert f"cancel {ids['Held']} (Held): held before, cancelled; wrong audience" in cancel
    assert lines(command("audit", ids["Held"][:8])) == [cancel]
    assert lines(command("audit", "--limit", "1")) == [pause]
    record = json.loads(lines(command("audit", "--json"))[1])
    assert record["note"] == "wrong audience"
    assert record["deliveryId"] == ids["Held"]


# -- replay -------------------------------------------------------------------------------


def test_replay_asks_before_it_does(
    command: Command,
    service: Service,
    carrier: StubCarrier,
    ids: dict[str, str],
    ends: dict[str, Outcome],
) -> None:
    ends["Refused"] = outcomes.done(200)
    result = command("replay", ids["Refused"][:8], answer="n\n")
    assert result.exit_code == 1
    assert "Refused will run for 1 delivery that is refused\n" in result.output
    assert "Carry out 1 delivery again? [y/N]" in result.output
    assert command("replay", ids["Refused"], answer="").exit_code == 1, "nobody answers"
    assert (service.deliveries.show(ids["Refused"]).round, len(carrier.seen)) == (1, 4)
    result = command("replay", ids["Refused"], answer="y\n")
    assert lines(result)[-1] == "1 delivery placed in the queue"
    state(service, ids["Refused"], State.DONE)
    assert len(carrier.seen) == 5


def test_replay_takes_all_that_are_selected(
    command: Command,
    service: Service,
    carrier: StubCarrier,
    ids: dict[str, str],
    ends: dict[str, Outcome],
) -> None:
    for _ in range(2):
        service.post(triggered("Refused"))
    ends |= {"Refused": outcomes.done(200), "Held": outcomes.done(200)}
    result = command(
        "replay", "--state", "refused", "--since", "1h", "--stp", "refused", answer="y\n"
    )
    assert "Carry out 3 deliveries again?" in result.output
    assert lines(result)[-1] == "3 deliveries placed in the queue"
    wait_until("they are done", lambda: service.deliveries.counts()[State.DONE] == 4)
    assert service.deliveries.show(ids["Held"]).state is State.HELD
    nothing = command("replay", "--state", "refused")
    assert lines(nothing) == ["0 deliveries placed in the queue"], "it does not ask for nothing"
    assert lines(command("replay", "--since", "1h", "--yes")) == ["1 delivery placed in the queue"]
    state(service, ids["Held"], State.DONE)
    assert len(carrier.seen) == 10, "done and waiting ones are left alone without --state"


def test_replay_says_which_ones_it_cannot_do(
    command: Command,
    settings: Settings,
    service: Service,
    ids: dict[str, str],
    ends: dict[str, Outcome],
) -> None:
    without = service.deliveries.search(Criteria(stp="Refused"))[0].delivery_id
    with closing(sqlite3.connect(settings.datafolder / FILE)) as file, file:
        file.execute("UPDATE deliveries SET payload_kept = 0 WHERE delivery_id = ?", (without,))
    ends["Held"] = outcomes.done(200)
    result = command("replay", "--state", "refused", "--state", "held", "--yes")
    assert result.exit_code == 1
    assert f"{without}: The payload of the delivery was removed (keeppayloaddays)." in result.stderr
    assert "1 delivery placed in the queue" in result.stdout
    state(service, ids["Held"], State.DONE)


@pytest.mark.parametrize(
    "words", [[], ["--yes"], ["--stp", "A"], ["abcd", "--state", "held"], ["abcd", "--since", "1h"], ["--state", "lost"]]
)  # fmt: skip
def test_replay_without_a_clear_choice_is_refused(words: list[str], command: Command) -> None:
    assert command("replay", *words).exit_code == 2


def test_what_somebody_resolved_is_replayed_by_its_id_only(
    command: Command, service: Service, ids: dict[str, str], ends: dict[str, Outcome]
) -> None:
    command("resolve", ids["Held"], "--refused")
    ends |= {"Refused": outcomes.done(200), "Held": outcomes.done(200)}
    assert lines(command("replay", "--since", "1h", "--yes")) == ["1 delivery placed in the queue"]
    assert service.deliveries.show(ids["Held"]).state is State.REFUSED
    assert command("replay", ids["Held"], "--yes").exit_code == 0
    state(service, ids["Held"], State.DONE)


def test_replay_says_that_a_stored_process_is_paused(command: Command, ids: dict[str, str]) -> None:
    command("pause", "Refused")
    result = command("replay", ids["Refused"], "--yes")
    assert result.exit_code == 1
    assert "The stored process is paused (by administrator)." in result.stderr
    assert 'connector-proxy deliveries resume "Refused"' in result.stderr
    command("pause", "Waiting")
    shown = lines(command("show", ids["Waiting"]))
    assert any(line.startswith("its stored process is paused (by administrator)") for line in shown)


# -- deciding -----------------------------------------------------------------------------


def test_resolve_wants_one_answer(command: Command, ids: dict[str, str]) -> None:
    assert command("resolve", ids["Held"]).exit_code == 2
    assert command("resolve", ids["Held"], "--done", "--refused").exit_code == 2


@pytest.mark.parametrize(("option", "becomes"), [("--done", "done"), ("--refused", "refused")])
def test_resolve_ends_a_held_delivery(
    option: str, becomes: str, command: Command, ids: dict[str, str]
) -> None:
    one = ids["Held"]
    assert lines(command("resolve", one[:6], option, "--note", "log of 08:16")) == [
        f"{one} is {becomes}"
    ]
    record = json.loads(command("show", one, "--json").output)
    assert (record["state"], record["note"], record["code"]) == (
        becomes,
        "log of 08:16",
        "resolved",
    )
    assert "only a held one is resolved" in said_no(command("resolve", one, option))


def test_resolve_wants_to_know_how_it_ended(command: Command, ids: dict[str, str]) -> None:
    result = command("resolve", ids["Held"])
    assert (result.exit_code, "Say --done or --refused" in result.stderr) == (2, True)
    for name in ("Done", "Refused", "Waiting"):
        words = said_no(command("resolve", ids[name], "--done"))
        assert f"The delivery is {name.lower()}; only a held one is resolved" in words


def test_cancel_ends_what_waits_or_is_held(
    command: Command, service: Service, carrier: StubCarrier, ids: dict[str, str]
) -> None:
    for name in ("Waiting", "Held"):
        one = ids[name]
        assert lines(command("cancel", one, "--note", "wrong audience")) == [f"{one} is cancelled"]
        record = json.loads(command("show", one, "--json").output)
        assert (record["state"], record["note"]) == ("cancelled", "wrong audience")
        assert "nextAttemptAt" not in record
    for name in ("Done", "Refused"):
        words = said_no(command("cancel", ids[name]))
        assert f"The delivery is {name.lower()}; only one that waits or is held" in words
    assert "The delivery is cancelled" in said_no(command("cancel", ids["Held"]))


def test_what_runs_is_neither_cancelled_nor_replayed(
    command: Command, start: Callable[..., Service], settings: Settings, carrier: StubCarrier
) -> None:
    gate = Gate()

    def waits(stp_name: str, body: bytes) -> Outcome:
        gate(body)
        return outcomes.done(200)

    carrier.deed = waits
    service = start(replace(settings, waitseconds=0), carrier)
    answer = service.post(triggered())
    wait_until("it runs", lambda: service.record(answer)["state"] == "running")
    one = answer.json()["deliveryId"]
    try:
        assert "it cannot be replayed now" not in command("show", one).output
        assert "The delivery is running" in said_no(command("cancel", one))
        result = command("replay", one, "--yes")
        assert (result.exit_code, "it cannot be replayed now" in result.stderr) == (1, True)
    finally:
        gate.open()
    assert service.ended(answer)["state"] == "done"


# -- pausing ------------------------------------------------------------------------------


def test_pause_and_resume(
    command: Command,
    service: Service,
    carrier: StubCarrier,
    ids: dict[str, str],
    ends: dict[str, Outcome],
) -> None:
    assert lines(command("pause", "WAITING")) == ["WAITING is paused; 1 delivery waits"]
    answer = service.post({**another(payload()), "sendParameters": {"stpName": "waiting"}})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    wait_until("it is put aside", lambda: service.record(answer).get("paused"))
    assert lines(command("pause", "Waiting")) == ["Waiting is paused; 2 deliveries wait"]
    ends |= {"Waiting": outcomes.done(200), "waiting": outcomes.done(200)}
    assert lines(command("resume", "waiting")) == ["waiting runs; 2 deliveries placed in the queue"]
    state(service, ids["Waiting"], State.DONE)
    assert service.ended(answer)["state"] == "done"
    assert lines(command("resume", "Unknown")) == ["Unknown runs; 0 deliveries placed in the queue"]
    assert lines(command("pause", "upload:archive")) == [
        "upload:archive is paused; 0 deliveries wait"
    ]


# -- prune and recover --------------------------------------------------------------------


def test_prune_removes_what_is_old(
    command: Command, settings: Settings, ids: dict[str, str]
) -> None:
    assert lines(command("prune")) == ["removed: 0 deliveries, 0 payloads"]
    with closing(sqlite3.connect(settings.datafolder / FILE)) as file, file:
        file.execute("UPDATE deliveries SET changed_at = changed_at - 31 * 86400000")
    assert lines(command("prune")) == ["removed: 2 deliveries, 2 payloads"]
    assert lines(command("list"))[-1] == "1 waiting, 1 held", "what is open stays"


def test_recover_is_refused_while_the_instance_is_alive(
    command: Command, settings: Settings
) -> None:
    database = Database(settings)
    database.set_up()
    lock = InstanceLock(database, "lost", WORKING)
    assert lock.take()
    assert "The instance lost is alive" in said_no(command("recover", "LOST"))
    lock.free()
    database.close()
    assert lines(command("recover", "LOST")) == [
        "LOST had nothing in hand, or is no name of an instance"
    ]


def test_recover_lets_another_instance_go_on(tmp_path: Path) -> None:
    gate = Gate()
    with Emulator(gate) as sas:
        lost = ServiceProcess(tmp_path, stpurl=sas.stpurl, instance="lost", concurrency=1)
        other = ServiceProcess(tmp_path, stpurl=sas.stpurl, instance="other", concurrency=1)
        try:
            lost.start()
            in_hand, waiting = lost.accept(triggered()), lost.accept(triggered())
            wait_until("the stored process is called", lambda: arrived(sas))
            refused = lost.command("deliveries", "recover", "lost")
            assert (refused.returncode, "is alive" in refused.stderr) == (1, True)
            lost.kill_both()
            gate.open()
            other.start()
            other.ends_as(waiting, State.DONE)
            assert other.record(in_hand)["state"] == "running", "nobody said that it is lost"
            recovered = other.command("deliveries", "recover", "Lost")
            assert recovered.stdout.startswith("1 delivery of Lost placed in the queue"), recovered
            other.ends_as(in_hand, State.HELD)
            assert arrived(sas).total() == 2
        finally:
            gate.open()
            lost.end()
            other.end()


# -- faults -------------------------------------------------------------------------------

_ARGUMENTS = {"show": ["abcd"], "replay": ["abcd"], "resolve": ["abcd", "--done"], "cancel": ["abcd"], "pause": ["A"], "resume": ["A"], "recover": ["a"]}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_a_fault_in_words(name: str, command: Command, conf: Path) -> None:
    arguments = [name, *_ARGUMENTS.get(name, [])]
    url = "postgresql+psycopg://jo:hunter2@127.0.0.1:1/deliveries"
    words = said_no(command(*arguments, CONNECTOR_PROXY_QUEUEURL=url))
    assert "cannot be kept in the database deliveries on 127.0.0.1:1" in words
    assert "hunter2" not in words
    (conf.parent / "data").mkdir()
    (conf.parent / "data" / FILE).write_bytes(b"no database" * 1000)
    assert "the file is damaged" in said_no(command(*arguments))
    (conf / "serviceConfig.ini").write_text("[DEFAULT]\nkeepdayz = 3\n", "utf-8")
    assert "did you mean 'keepdays'" in said_no(command(*arguments))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, command: Command) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0
    assert "--conf" in result.output
