"""The command that looks at reports to CI 360 and sends them by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from connector_proxy.ci360.answer import Answered
from connector_proxy.ci360.byhand import ByHand
from connector_proxy.ci360.gateway import Gateway
from connector_proxy.ci360.letter import Letter
from connector_proxy.cli.common import conf_option, decision, end, loaded, local, note_option
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.masking import printable
from connector_proxy.records import Report, ReportKind, ReportState
from connector_proxy.settings import Settings


@click.command()
@conf_option
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be sent; send nothing.")
@click.option("--all", "send_all", is_flag=True, help="Send again what surely did not arrive.")
@note_option
def report(
    conf: Path | None, delivery_id: str | None, dry_run: bool, send_all: bool, note: str
) -> None:
    """Tell CI 360 by hand how delivery ID ended. Without ID: show what waits to be told, and what
    is not reported."""
    if (bool(delivery_id) and send_all) or (dry_run and not delivery_id):
        raise click.UsageError("Name a delivery, with or without --dry-run, or write --all.")
    settings = loaded(conf)
    database = Database(settings)
    try:
        database.set_up()
        queue = Queue(database.engine, settings)
        by_hand = ByHand(settings, database, queue)
        if send_all:
            click.echo(f"{by_hand.send_all(decision(note))} reports wait to be sent again")
        elif delivery_id and dry_run:
            for made in by_hand.preview(delivery_id, decision(note)):
                click.echo(_shown(made, settings))
        elif delivery_id:
            _send(by_hand.send(delivery_id, decision(note)))
        else:
            _list(Deliveries(settings, database, queue))
    except ConnectorProxyError as error:
        end(error)
    finally:
        database.close()


def _shown(made: Letter | Answered, settings: Settings) -> str:
    if isinstance(made, Answered):
        return f"nothing would be sent: {made.message} {made.advice}"
    body = json.dumps(dict(made.body), indent=2, ensure_ascii=False)
    return f"POST {Gateway(settings).url}{made.path}\n{printable_lines(body)}"


def printable_lines(text: str) -> str:
    """A text of several lines, each printable."""
    return "\n".join(map(printable, text.splitlines()))


def _send(reports: list[Report]) -> None:
    for one in reports:
        click.echo(_line(one))
        if one.advice:
            click.echo(f"  {one.advice}")
    if any(one.state is not ReportState.SENT for one in reports):
        sys.exit(1)


def _list(known: Deliveries) -> None:
    found = known.reports(ReportState.WAITING, ReportState.UNREPORTED)
    for one in found:
        click.echo(_line(one))
    states = [one.state for one in found]
    waiting, unreported = states.count(ReportState.WAITING), states.count(ReportState.UNREPORTED)
    click.echo(f"{waiting} waiting, {unreported} unreported")


def _line(one: Report) -> str:
    what = one.event if one.kind is ReportKind.EVENT else one.kind
    why = f"{one.code}: {one.message}" if one.code else ""
    return printable(
        f"{one.delivery_id}  {local(one.changed_at)}  {one.ended_as:<9} {what:<20} {one.state:<10} "
        f"{one.tries:>2}x  {why}"
    ).rstrip()
