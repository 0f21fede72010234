"""What every command shares: the configuration, and the end with a message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from connector_proxy.errors import ConfigurationError, ConnectorProxyError
from connector_proxy.settings import Settings, load

conf_option = click.option(
    "--conf",
    type=click.Path(path_type=Path),
    help="Configuration folder [default: CONNECTOR_PROXY_CONF, else conf/ of the installation].",
)


def loaded(conf: Path | None) -> Settings:
    """The settings; ends the process where they cannot be used."""
    try:
        return load(conf)
    except ConfigurationError as error:
        end(error)


def end(error: ConnectorProxyError) -> NoReturn:
    """Say what happened and what to do, and end with 1."""
    click.echo(f"error: {error}", err=True)
    for detail in error.details:
        click.echo(f"  {detail.field}: {detail.issue}", err=True)
    click.echo(f"  {error.advice}", err=True)
    sys.exit(1)
