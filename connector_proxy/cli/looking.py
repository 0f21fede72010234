"""The commands that look at deliveries, and at what administrators changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click

from connector_proxy import asjson, masking
from connector_proxy.cli.common import STATES, conf_option, local, on_deliveries, since
from connector_proxy.deliveries import Deliveries
from connector_proxy.lookup import Criteria
from connector_proxy.records import Change, Delivery, State
from connector_proxy.timeline import Step, timeline

_LONGEST = 40


@click.command("list")
@conf_option
@click.option("--state", "states", type=STATES, multiple=True, help="Repeatable.")
@click.option("--stp", default="", help="Name of the stored process.")
@click.option("--since", "accepted_since", callback=since, help="30m, 12h, 7d, or a moment.")
@click.option("--task", default="", help="Text in the name of the task.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON record a line.")
def list_command(
    conf: Path | None,
    states: tuple[str, ...],
    stp: str,
    accepted_since: datetime | None,
    task: str,
    limit: int,
    as_json: bool,
) -> None:
    """Show deliveries, the latest first, and what is paused."""
    criteria = Criteria([State(one) for one in states], stp, task, since=accepted_since)

    def show(known: Deliveries) -> None:
        found = known.search(criteria, limit=limit)
        if as_json:
            for delivery in found:
                click.echo(json.dumps(asjson.delivery(delivery, with_attempts=False)))
            return
        _echo_table(("id", "accepted", "state", "tries", "stored process", "task", ""), found)
        if not found and criteria != Criteria([]):
            click.echo("none matches; of all there are")
        for line in _summary(known):
            click.echo(line)

    on_deliveries(conf, show)


def _echo_table(heading: Sequence[str], found: Iterable[Delivery]) -> None:
    """Columns as wide as what stands in them; no heading above nothing."""
    lines = [heading, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if len(lines) > 1 else ():
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cells(one: Delivery) -> tuple[str, ...]:
    tail = one.code if one.state not in (State.DONE, State.WAITING) else ""
    if one.state is State.WAITING:
        tail = f"next {local(one.next_attempt_at)}" if one.next_attempt_at else ""
    return (
        one.delivery_id,
        local(one.accepted_at),
        str(one.state),
        f"{one.attempt_count}x",
        masking.printable(masking.shorten(one.stp_name, _LONGEST)),
        masking.printable(masking.shorten(one.task_name, _LONGEST)),
        "paused" if one.paused else tail,
    )


def _summary(known: Deliveries) -> Iterator[str]:
    counts = known.counts()
    there = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    yield there or "no deliveries"
    for one in known.stored_processes():
        if one.paused_by:
            why = f": {one.why}" if one.why else ""
            yield f"{one.stp_name} is paused (by {one.paused_by}), {one.waiting} wait{why}"


@click.command("show")
@conf_option
@click.argument("delivery_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As a JSON record.")
def show_command(conf: Path | None, delivery_id: str, as_json: bool) -> None:
    """Show a delivery with every attempt; the beginning of its id is enough. Moments are in local
    time, in JSON in UTC."""

    def show(known: Deliveries) -> None:
        delivery = known.show(delivery_id)
        if as_json:
            click.echo(json.dumps(asjson.delivery(delivery, with_attempts=True), indent=2))
            return
        for line in (*_record_lines(delivery), *_story_lines(known, delivery)):
            click.echo(masking.printable(line))

    on_deliveries(conf, show)


def _record_lines(delivery: Delivery) -> Iterator[str]:
    moments = {
        "acceptedAt": delivery.accepted_at,
        "changedAt": delivery.changed_at,
        "nextAttemptAt": delivery.next_attempt_at,
        "deadline": delivery.deadline,
        "fetchedAt": delivery.fetched_at,
    }
    for name, value in asjson.delivery(delivery, with_attempts=False).items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        yield f"{name:<22}{local(moments.get(name)) or text}"


def _story_lines(known: Deliveries, delivery: Delivery) -> Iterator[str]:
    if delivery.paused:
        yield _pause_of(known, delivery.stp_name)
    seen = 0
    for step in timeline(delivery, known.changes(delivery_id=delivery.delivery_id)):
        if step.round > max(seen, 1):
            yield f"round {step.round}"
        seen = step.round or seen
        yield from _step_lines(step)


def _step_lines(step: Step) -> Iterator[str]:
    yield f"{local(step.at)}  {step.title}"
    for label, words in step.details:
        yield f"    {label}{': ' if label else ''}{words}"
    if step.then:
        yield f"    next attempt: {local(step.then)}"


def _pause_of(known: Deliveries, stp_name: str) -> str:
    """Why a delivery waits outside of the queue, and what ends that."""
    paused = (one for one in known.stored_processes() if one.stp_name.lower() == stp_name.lower())
    by = next((one.paused_by for one in paused), "")
    how = "one delivery a minute is tried, and " if by == "failures" else ""
    return (
        f"its stored process is paused (by {by}): {how}"
        f'connector-proxy deliveries resume "{stp_name}" ends that'
    )


@click.command("audit")
@conf_option
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON record a line.")
def audit_command(conf: Path | None, delivery_id: str | None, limit: int, as_json: bool) -> None:
    """Show what administrators changed, the latest first: everything, or of one delivery."""

    def show(known: Deliveries) -> None:
        whole = known.show(delivery_id).delivery_id if delivery_id else ""
        found = known.changes(delivery_id=whole, limit=limit)
        for one in found:
            record = json.dumps(asjson.change(one)) if as_json else _change_line(one)
            click.echo(masking.printable(record))
        if not found and not as_json:
            click.echo("nothing was changed")

    on_deliveries(conf, show)


def _change_line(one: Change) -> str:
    by = one.decision
    about = f"{one.delivery_id} ({one.stp_name})" if one.delivery_id else one.stp_name
    note = f"; {by.note}" if by.note else ""
    return f"{local(by.at)}  {by.door} {by.who}  {one.action} {about}: {one.outcome}{note}"


COMMANDS = (list_command, show_command, audit_command)
