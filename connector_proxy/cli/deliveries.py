"""The commands that look at deliveries and decide about them, while the service runs or not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from connector_proxy import asjson, masking
from connector_proxy.cli.common import conf_option, end, loaded
from connector_proxy.deliveries import RESOLVED, Deliveries
from connector_proxy.errors import ConnectorProxyError, NotPossible
from connector_proxy.intake import stp_name_issue
from connector_proxy.records import Attempt, Delivery, State
from connector_proxy.service import administration

_STATES = click.Choice([str(state) for state in State])
_FAILED = [State.REFUSED, State.HELD]
_AGO = {"m": "minutes", "h": "hours", "d": "days"}


@click.group("deliveries")
def deliveries() -> None:
    """Look at what was accepted, and decide what becomes of it."""


def _since(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """A moment, or so long ago: 30m, 12h, 7d."""
    if text is None:
        return None
    if found := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return datetime.now(UTC) - timedelta(**{_AGO[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # some moments are in no calendar but Python's
        raise click.BadParameter(
            "write 30m, 12h, 7d, or a moment such as 2026-11-22T06:00"
        ) from None


def _on_deliveries(conf: Path | None, deed: Callable[[Deliveries], None]) -> None:
    """Do ``deed``; say what went wrong and end with 1 where it could not be done."""
    settings = loaded(conf)
    try:
        with administration(settings) as known:
            deed(known)
    except ConnectorProxyError as error:
        end(error)


@deliveries.command("list")
@conf_option
@click.option("--state", "states", type=_STATES, multiple=True, help="Repeatable.")
@click.option("--stp", default="", help="Name of the stored process.")
@click.option("--since", callback=_since, help="30m, 12h, 7d, or a moment.")
@click.option("--task", default="", help="Text in the name of the task.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON record a line.")
def list_command(
    conf: Path | None,
    states: tuple[str, ...],
    stp: str,
    since: datetime | None,
    task: str,
    limit: int,
    as_json: bool,
) -> None:
    """Show deliveries, the latest first, and what is paused."""

    def show(known: Deliveries) -> None:
        found = known.search(
            states=[State(one) for one in states], stp=stp, since=since, task=task, limit=limit
        )
        if as_json:
            for delivery in found:
                click.echo(json.dumps(asjson.delivery(delivery, with_attempts=False)))
            return
        for delivery in found:
            click.echo(masking.printable(_line(delivery)))
        if not found and (states or stp or since or task):
            click.echo("none matches; of all there are")
        counts = known.counts()
        click.echo(
            ", ".join(f"{count} {state}" for state, count in counts.items() if count)
            or "no deliveries"
        )
        for stored_process in known.stored_processes():
            if stored_process.paused_by:
                click.echo(
                    f"{stored_process.stp_name} is paused (by {stored_process.paused_by}), "
                    f"{stored_process.waiting} wait"
                    f"{': ' if stored_process.why else ''}{stored_process.why}"
                )

    _on_deliveries(conf, show)


def _line(one: Delivery) -> str:
    tail = one.code if one.state not in (State.DONE, State.WAITING) else ""
    if one.state is State.WAITING:
        tail = (
            "paused"
            if one.paused
            else f"next {_local(one.next_attempt_at)}"
            if one.next_attempt_at
            else ""
        )
    return (
        f"{one.delivery_id}  {_local(one.accepted_at)}  {one.state:<9} {one.attempt_count:>2}x  "
        f"{masking.shorten(one.stp_name, 40)}  {masking.shorten(one.task_name, 40)}  {tail}"
    ).rstrip()


def _local(moment: datetime | None) -> str:
    return moment.astimezone().isoformat(" ", "seconds") if moment else ""


@deliveries.command("show")
@conf_option
@click.argument("delivery_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As a JSON record.")
def show_command(conf: Path | None, delivery_id: str, as_json: bool) -> None:
    """Show a delivery with every attempt; the beginning of its id is enough."""

    def show(known: Deliveries) -> None:
        delivery = known.show(delivery_id)
        if as_json:
            click.echo(json.dumps(asjson.delivery(delivery, with_attempts=True), indent=2))
            return
        record = asjson.delivery(delivery, with_attempts=False)
        for name, value in record.items():
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            click.echo(f"{name:<22}{masking.printable(text)}")
        if delivery.paused:
            click.echo(_pause_of(known, delivery.stp_name))
        for attempt in delivery.attempts:
            for line in _attempt_lines(attempt):
                click.echo(masking.printable(line))

    _on_deliveries(conf, show)


def _pause_of(known: Deliveries, stp_name: str) -> str:
    """Why a delivery waits outside of the queue, and what ends that."""
    paused = (one for one in known.stored_processes() if one.stp_name.lower() == stp_name.lower())
    by = next((one.paused_by for one in paused), "")
    how = "one delivery a minute is tried, and " if by == "failures" else ""
    return (
        f"its stored process is paused (by {by}): {how}"
        f'connector-proxy deliveries resume "{stp_name}" ends that'
    )


def _attempt_lines(one: Attempt) -> Iterable[str]:
    yield (
        f"attempt {one.number}: {_local(one.started_at)}, {one.milliseconds} ms, "
        f"{one.destination or '-'} on {one.instance}: {one.verdict} ({one.code}"
        f"{f', HTTP {one.status}' if one.status else ''})"
    )
    for label, text in (
        ("", one.message),
        ("said: ", one.cause),
        ("advice: ", one.advice),
        ("next attempt: ", _local(one.next_at)),
    ):
        if text:
            yield f"    {label}{text}"


@deliveries.command()
@conf_option
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option(
    "--state", "states", type=_STATES, multiple=True, help="All of this state; repeatable."
)
@click.option("--stp", default="", help="Only of this stored process.")
@click.option("--since", callback=_since, help="Only accepted since: 30m, 12h, 7d, or a moment.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def replay(
    conf: Path | None,
    delivery_id: str | None,
    states: tuple[str, ...],
    stp: str,
    since: datetime | None,
    yes: bool,
) -> None:
    """Carry out again, at once: one delivery, or all that --state and --since select; without
    --state those that are refused or held. What somebody resolved is replayed by its id only."""
    if bool(delivery_id) == bool(states or since) or (delivery_id and stp):
        raise click.UsageError("Name a delivery, or select some with --state and --since.")

    def deed(known: Deliveries) -> None:
        if delivery_id:
            chosen = [known.show(delivery_id)]
        else:
            found = known.search(
                states=[State(one) for one in states] or _FAILED, stp=stp, since=since, limit=None
            )
            chosen = [one for one in found if one.code != RESOLVED]
        _ask(f"{_what(chosen)}Carry out {_how_many(len(chosen))} again?", yes, chosen)
        replayed = 0
        for delivery in chosen:
            try:
                known.replay(delivery.delivery_id, datetime.now(UTC))
                replayed += 1
            except NotPossible as error:
                click.echo(f"{delivery.delivery_id}: {error} {error.advice}", err=True)
        click.echo(f"{_how_many(replayed)} placed in the queue")
        if replayed < len(chosen):
            raise SystemExit(1)

    _on_deliveries(conf, deed)


def _ask(question: str, yes: bool, chosen: list[Delivery]) -> None:
    if chosen and not yes:
        click.confirm(question, abort=True)


def _what(chosen: list[Delivery]) -> str:
    """Which stored processes will run, and how the deliveries stand now."""
    counted = Counter((one.stp_name, str(one.state)) for one in chosen)
    return "".join(
        f"{masking.shorten(stp_name, 40)} will run for {_how_many(count)} "
        f"that {'is' if count == 1 else 'are'} {state}\n"
        for (stp_name, state), count in sorted(counted.items())
    )


def _how_many(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count} deliveries"


@deliveries.command()
@conf_option
@click.argument("delivery_id", metavar="ID")
@click.option("--done", is_flag=True, help="It ran to its end.")
@click.option("--refused", is_flag=True, help="It did not.")
@click.option("--note", default="", help="What you found out.")
def resolve(conf: Path | None, delivery_id: str, done: bool, refused: bool, note: str) -> None:
    """End a held delivery, as you found out in the log of the stored process."""
    if done == refused:
        raise click.UsageError("Say --done or --refused.")
    state = State.DONE if done else State.REFUSED

    def deed(known: Deliveries) -> None:
        delivery = known.resolve(delivery_id, state, note, datetime.now(UTC))
        click.echo(f"{delivery.delivery_id} is {delivery.state}")

    _on_deliveries(conf, deed)


@deliveries.command()
@conf_option
@click.argument("delivery_id", metavar="ID")
@click.option("--note", default="", help="Why.")
def cancel(conf: Path | None, delivery_id: str, note: str) -> None:
    """End a delivery that waits or is held, without carrying it out."""

    def deed(known: Deliveries) -> None:
        delivery = known.cancel(delivery_id, note, datetime.now(UTC))
        click.echo(f"{delivery.delivery_id} is {delivery.state}")

    _on_deliveries(conf, deed)


@deliveries.command()
@conf_option
@click.argument("stp")
def pause(conf: Path | None, stp: str) -> None:
    """Let deliveries for the stored process STP wait, until you resume it."""
    issue = stp_name_issue(stp)
    if issue:
        raise click.BadParameter(f"the name {issue}")

    def deed(known: Deliveries) -> None:
        waiting = known.pause(stp, datetime.now(UTC))
        click.echo(f"{stp} is paused; {_how_many(waiting)} wait" + "s" * (waiting == 1))

    _on_deliveries(conf, deed)


@deliveries.command()
@conf_option
@click.argument("stp")
def resume(conf: Path | None, stp: str) -> None:
    """Let the stored process STP run again."""

    def deed(known: Deliveries) -> None:
        going_on = known.resume(stp, datetime.now(UTC))
        click.echo(f"{stp} runs; {_how_many(going_on)} placed in the queue")

    _on_deliveries(conf, deed)


@deliveries.command()
@conf_option
def prune(conf: Path | None) -> None:
    """Remove what is older than keepdays and keeppayloaddays now; the service does it hourly."""

    def deed(known: Deliveries) -> None:
        pruned = known.prune(datetime.now(UTC))
        click.echo(f"removed: {_how_many(pruned.deliveries)}, {pruned.payloads} payloads")

    _on_deliveries(conf, deed)


@deliveries.command()
@conf_option
@click.argument("instance")
def recover(conf: Path | None, instance: str) -> None:
    """Take over the work of INSTANCE, which will not come back."""

    def deed(known: Deliveries) -> None:
        taken = known.recover(instance)
        click.echo(
            f"{_how_many(taken)} of {instance} placed in the queue; what it had begun will be held"
            if taken
            else f"{instance} had nothing in hand, or is no name of an instance"
        )

    _on_deliveries(conf, deed)
