"""The commands about deliveries, while the service runs or not."""

from __future__ import annotations

import click

from connector_proxy.cli import deciding, looking


@click.group("deliveries")
def deliveries() -> None:
    """Look at what was accepted, and decide what becomes of it."""


for command in (*looking.COMMANDS, *deciding.COMMANDS):
    deliveries.add_command(command)
