"""What commands share: the configuration, the operations on deliveries, the end with a message."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from connector_proxy import moments
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import ConfigurationError, ConnectorProxyError
from connector_proxy.loading import load
from connector_proxy.records import Decision, State
from connector_proxy.service import administration
from connector_proxy.settings import Settings

conf_option = click.option(
    "--conf",
    type=click.Path(path_type=Path),
    help="Configuration folder [default: CONNECTOR_PROXY_CONF, else conf/ of the installation].",
)
note_option = click.option("--note", default="", help="Why; it is kept in the audit trail.")
STATES = click.Choice([str(state) for state in State])


def loaded(conf: Path | None) -> Settings:
    """The settings; ends the process where they cannot be used."""
    try:
        return load(conf)
    except ConfigurationError as error:
        end(error)


def on_deliveries(conf: Path | None, deed: Callable[[Deliveries], None]) -> None:
    """Do ``deed``; say what went wrong and end with 1 where it could not be done."""
    settings = loaded(conf)
    try:
        with administration(settings) as known:
            deed(known)
    except ConnectorProxyError as error:
        end(error)


def decision(note: str = "") -> Decision:
    """What the user of this command decides now."""
    return Decision("cli", _user(), datetime.now(UTC), note)


def _user() -> str:
    """The user of the operating system, and who became it by sudo."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        name = "unknown"
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})" if before not in ("", name) else name


def since(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """A moment, or so long ago: 30m, 12h, 7d."""
    if text is None:
        return None
    try:
        return moments.parse(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def local(moment: datetime | None) -> str:
    """A moment in local time, with its distance from UTC; empty for none."""
    return moment.astimezone().isoformat(" ", "seconds") if moment else ""


def how_many(count: int) -> str:
    """So many deliveries, in words."""
    return "1 delivery" if count == 1 else f"{count} deliveries"


def end(error: ConnectorProxyError) -> NoReturn:
    """Say what happened and what to do, and end with 1."""
    click.echo(f"error: {error}", err=True)
    for detail in error.details:
        click.echo(f"  {detail.field}: {detail.issue}", err=True)
    click.echo(f"  {error.advice}", err=True)
    sys.exit(1)
