"""The commands for the service of Windows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from connector_proxy import platforms
from connector_proxy.cli.common import conf_option, end, loaded
from connector_proxy.errors import ConfigurationError

_name_option = click.option(
    "--name", default="connector-proxy", show_default=True, help="Name of the service in Windows."
)


@click.group("service")
def service() -> None:
    """Run as a service of Windows: install it, start it, stop it, look at it, remove it.

    From a command prompt with 'Run as administrator'.
    """
    if not platforms.WINDOWS:
        end(
            ConfigurationError(
                "These commands are for Windows.",
                advice="Here systemd runs the service: docs/install-linux.md.",
            )
        )


@service.command()
@_name_option
@conf_option
@click.option(
    "--user",
    default="",
    help="Account, DOMAIN\\name [default: one of the service's own, NT SERVICE\\NAME].",
)
def install(name: str, conf: Path | None, user: str) -> None:
    """Make the service; it starts with the machine, and again after a failure.

    The password of --user is asked for, or taken from the environment variable SERVICE_PASSWORD.
    """
    settings = loaded(conf)
    password = os.environ.get("SERVICE_PASSWORD")
    if user and not user.endswith("$") and not password:  # managed accounts have none
        password = click.prompt(f"Password of {user}", hide_input=True)
    _do(lambda windows: windows.install(name, user, password, settings))
    click.echo(f"The service {name} is installed. Start it: connector-proxy service start")


@service.command()
@_name_option
def start(name: str) -> None:
    """Start it."""
    _do(lambda windows: windows.start(name))
    click.echo(f"The service {name} is running.")


@service.command()
@_name_option
def stop(name: str) -> None:
    """Stop it; attempts in hand get drainseconds."""
    _do(lambda windows: windows.stop(name))
    click.echo(f"The service {name} has ended.")


@service.command()
@_name_option
def status(name: str) -> None:
    """Say how it stands; ends with 0 when it runs, otherwise with 3."""
    word = _do(lambda windows: windows.status(name))
    click.echo(f"The service {name} is {word}.")
    sys.exit(0 if word == "running" else 3)


@service.command()
@_name_option
def remove(name: str) -> None:
    """Take it out of Windows; configuration and deliveries stay."""
    _do(lambda windows: windows.remove(name))
    click.echo(f"The service {name} is removed.")


@service.command(hidden=True)
@_name_option
@conf_option
def run(name: str, conf: Path) -> None:
    """Be the service: the service manager of Windows calls this."""
    _do(lambda windows: windows.host(name, conf))


def _do(deed: Callable[[Any], Any]) -> Any:
    from connector_proxy import winservice  # pywin32 is there on Windows alone

    try:
        return deed(winservice)
    except ConfigurationError as error:
        end(error)
