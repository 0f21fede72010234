"""The commands that decide what becomes of deliveries and stored processes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from connector_proxy import masking
from connector_proxy.cli.common import (
    STATES,
    conf_option,
    decision,
    how_many,
    note_option,
    on_deliveries,
    since,
)
from connector_proxy.deliveries import RESOLVED, Deliveries
from connector_proxy.errors import NotPossible
from connector_proxy.intake import destination_issue
from connector_proxy.lookup import Criteria
from connector_proxy.records import Delivery, State

_FAILED = [State.REFUSED, State.HELD]


@click.command()
@conf_option
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option(
    "--state", "states", type=STATES, multiple=True, help="All of this state; repeatable."
)
@click.option("--stp", default="", help="Only of this stored process.")
@click.option(
    "--since",
    "accepted_since",
    callback=since,
    help="Only accepted since: 30m, 12h, 7d, or a moment.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@note_option
def replay(
    conf: Path | None,
    delivery_id: str | None,
    states: tuple[str, ...],
    stp: str,
    accepted_since: datetime | None,
    yes: bool,
    note: str,
) -> None:
    """Carry out again, at once: one delivery, or all that --state and --since select; without
    --state those that are refused or held. What somebody resolved is replayed by its id only."""
    if bool(delivery_id) == bool(states or accepted_since) or (delivery_id and stp):
        raise click.UsageError("Name a delivery, or select some with --state and --since.")

    def deed(known: Deliveries) -> None:
        if delivery_id:
            chosen = [known.show(delivery_id)]
        else:
            wanted = [State(one) for one in states] or _FAILED
            found = known.search(Criteria(states=wanted, stp=stp, since=accepted_since), limit=None)
            chosen = [one for one in found if one.code != RESOLVED]
        _ask(f"{_what(chosen)}Carry out {how_many(len(chosen))} again?", yes, chosen)
        replayed = 0
        for delivery in chosen:
            try:
                known.replay(delivery.delivery_id, decision(note))
                replayed += 1
            except NotPossible as error:
                click.echo(f"{delivery.delivery_id}: {error} {error.advice}", err=True)
        click.echo(f"{how_many(replayed)} placed in the queue")
        if replayed < len(chosen):
            raise SystemExit(1)

    on_deliveries(conf, deed)


def _ask(question: str, yes: bool, chosen: list[Delivery]) -> None:
    if chosen and not yes:
        click.confirm(question, abort=True)


def _what(chosen: list[Delivery]) -> str:
    """Which stored processes will run, and how the deliveries stand now."""
    counted = Counter((one.stp_name, str(one.state)) for one in chosen)
    return "".join(
        f"{masking.shorten(stp_name, 40)} will run for {how_many(count)} "
        f"that {'is' if count == 1 else 'are'} {state}\n"
        for (stp_name, state), count in sorted(counted.items())
    )


@click.command()
@conf_option
@click.argument("delivery_id", metavar="ID")
@click.option("--done", is_flag=True, help="It ran to its end.")
@click.option("--refused", is_flag=True, help="It did not.")
@note_option
def resolve(conf: Path | None, delivery_id: str, done: bool, refused: bool, note: str) -> None:
    """End a held delivery, as you found out in the log of the stored process."""
    if done == refused:
        raise click.UsageError("Say --done or --refused.")
    state = State.DONE if done else State.REFUSED

    def deed(known: Deliveries) -> None:
        delivery = known.resolve(delivery_id, state, decision(note))
        click.echo(f"{delivery.delivery_id} is {delivery.state}")

    on_deliveries(conf, deed)


@click.command()
@conf_option
@click.argument("delivery_id", metavar="ID")
@note_option
def cancel(conf: Path | None, delivery_id: str, note: str) -> None:
    """End a delivery that waits or is held, without carrying it out."""

    def deed(known: Deliveries) -> None:
        delivery = known.cancel(delivery_id, decision(note))
        click.echo(f"{delivery.delivery_id} is {delivery.state}")

    on_deliveries(conf, deed)


@click.command()
@conf_option
@click.argument("stp")
@note_option
def pause(conf: Path | None, stp: str, note: str) -> None:
    """Let deliveries for the stored process STP wait, until you resume it."""
    issue = destination_issue(stp)
    if issue:
        raise click.BadParameter(f"the name {issue}")

    def deed(known: Deliveries) -> None:
        waiting = known.pause(stp, decision(note))
        click.echo(f"{stp} is paused; {how_many(waiting)} wait" + "s" * (waiting == 1))

    on_deliveries(conf, deed)


@click.command()
@conf_option
@click.argument("stp")
@note_option
def resume(conf: Path | None, stp: str, note: str) -> None:
    """Let the stored process STP run again."""

    def deed(known: Deliveries) -> None:
        going_on = known.resume(stp, decision(note))
        click.echo(f"{stp} runs; {how_many(going_on)} placed in the queue")

    on_deliveries(conf, deed)


@click.command()
@conf_option
def prune(conf: Path | None) -> None:
    """Remove what is older than keepdays and keeppayloaddays now; the service does it hourly."""

    def deed(known: Deliveries) -> None:
        pruned = known.prune(datetime.now(UTC), decision())
        click.echo(f"removed: {how_many(pruned.deliveries)}, {pruned.payloads} payloads")

    on_deliveries(conf, deed)


@click.command()
@conf_option
@click.argument("instance")
@note_option
def recover(conf: Path | None, instance: str, note: str) -> None:
    """Take over the work of INSTANCE, which will not come back."""

    def deed(known: Deliveries) -> None:
        taken = known.recover(instance, decision(note))
        click.echo(
            f"{how_many(taken)} of {instance} placed in the queue; what it had begun will be held"
            if taken
            else f"{instance} had nothing in hand, or is no name of an instance"
        )

    on_deliveries(conf, deed)


COMMANDS = (replay, resolve, cancel, pause, resume, prune, recover)
