"""The command line: every command takes ``--conf DIR``; without a command the service starts."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from connector_proxy import __version__, asjson, configuration, demo, platforms, secrethash
from connector_proxy.addresses import section_of
from connector_proxy.alerts import channels
from connector_proxy.cli.ci360 import emulate_ci360
from connector_proxy.cli.common import conf_option, end, loaded
from connector_proxy.cli.datasets import datasets
from connector_proxy.cli.deliveries import deliveries
from connector_proxy.cli.files import convert, fetch
from connector_proxy.cli.reports import report
from connector_proxy.cli.sas import sas
from connector_proxy.cli.winservice import service as windows_service
from connector_proxy.emulator import (
    FAILURES,
    Behaviour,
    Emulator,
    embedded_stored_process,
    sas_code,
)
from connector_proxy.errors import ConfigurationError, ConnectorProxyError
from connector_proxy.health.check import Check, Condition
from connector_proxy.health.start import run_checks
from connector_proxy.preview import preview as preview_lines
from connector_proxy.service import Service, opened, unusable_address, url
from connector_proxy.settings import Settings

_log = logging.getLogger("connector_proxy")


class _DefaultToServe(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "--version")):
            behind = next((name for name in args if name in self.commands), None)
            if behind:
                raise click.UsageError(f"Options stand behind the command: {behind} {args[0]} ...")
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultToServe)
@click.version_option(__version__, prog_name="connector-proxy")
def cli() -> None:
    """The webhook between SAS Customer Intelligence 360 and stored processes.

    Without a command: serve.
    """


cli.add_command(convert)
cli.add_command(datasets)
cli.add_command(deliveries)
cli.add_command(emulate_ci360)
cli.add_command(fetch)
cli.add_command(report)
cli.add_command(sas)
cli.add_command(windows_service)


@cli.command()
@conf_option
@click.option("--host", help="Address to listen on, instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port instead of the configured one.")
def serve(conf: Path | None, host: str | None, port: int | None) -> None:
    """Answer POST /ExecuteSTP until Ctrl-C or SIGTERM."""
    settings = loaded(conf)
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
    )
    try:
        service = opened(settings)
    except ConfigurationError as error:
        end(error)
    for number in platforms.STOP_SIGNALS:
        signal.signal(number, lambda *_: _stop(service))
    address = f"{url(settings.host, service.port)}/ExecuteSTP"
    click.echo(f"connector-proxy {__version__} listens at {address}")
    sys.stdout.flush()
    _log.info("started version=%s host=%s port=%d", __version__, settings.host, service.port)
    platforms.tell_manager(f"READY=1\nSTATUS=listens at {address}")
    service.run()
    _log.info("ended")


def _stop(service: Service) -> None:
    platforms.tell_manager("STOPPING=1")
    service.stop()


@cli.command()
@conf_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--alert", is_flag=True, help="Send a test by mail and to the webhook of alerts.")
def check(conf: Path | None, as_json: bool, alert: bool) -> None:
    """Show the effective configuration and try what the service will need.

    Credentials are sent to databases, to the gateway of CI 360 and, with --alert, to the mail
    server; never to SAS. Ends with 1 when something is at fault.
    """
    settings = loaded(conf)
    checks = [*run_checks(settings), *(channels.try_out(settings) if alert else ())]
    (_check_as_json if as_json else _check_as_text)(settings, checks)
    if any(one.condition is Condition.FAIL for one in checks):
        sys.exit(1)


def _check_as_text(settings: Settings, checks: list[Check]) -> None:
    click.echo(f"configuration folder: {settings.conf}")
    sections = {"": configuration.effective(settings), **configuration.overridden(settings)}
    for name, own in sections.items():
        if name:
            click.echo(section_of(name))
        for setting in own:
            click.echo(f"  {setting.name:<20} {setting.value:<50} {setting.origin}")
    for one in checks:
        click.echo(f"{one.condition.upper():<5} {one.name}: {one.message}")
        if one.advice:
            click.echo(f"      {one.advice}")
    faults = sum(one.condition is Condition.FAIL for one in checks)
    click.echo(f"{faults} at fault" if faults else "nothing is at fault")


def _check_as_json(settings: Settings, checks: list[Check]) -> None:
    report = {
        **configuration.as_json(settings),
        "checks": list(map(asjson.check, checks)),
    }
    click.echo(json.dumps(report, indent=2))


@cli.command()
@conf_option
@click.argument("payload", type=click.File("rb"))
def preview(conf: Path | None, payload: Any) -> None:
    """Show what would be sent for PAYLOAD, a file with a request body; - is standard input."""
    settings = loaded(conf)
    try:
        for line in preview_lines(payload.read(), settings):
            click.echo(line)
    except ConnectorProxyError as error:
        end(error)


@cli.command("demo")
@conf_option
@click.option("--rows", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--emulated", is_flag=True, help="Call a pretend SAS server over HTTP.")
@click.option("--loop", is_flag=True, help="Let a pretend CI 360 be told how it ended.")
def demo_command(conf: Path | None, rows: int, emulated: bool, loop: bool) -> None:
    """Show the main job on this machine: webhook in, stored process called, dataset out."""
    try:
        demo.run(loaded(conf), rows, emulated, loop, click.echo)
    except ConnectorProxyError as error:
        end(error)


@cli.command("hash-secret")
def hash_secret() -> None:
    """Show a secret as credentials.ini may hold it, so that nobody can read it there.

    Asks for it; where there is no terminal, reads the first line of standard input.
    """
    if sys.stdin.isatty():
        secret = click.prompt("Secret", hide_input=True, confirmation_prompt=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        end(ConfigurationError("There is no secret.", advice="Write it into standard input."))
    if len(secret) < secrethash.LONG_ENOUGH:
        least = f"less than {secrethash.LONG_ENOUGH} characters"
        click.echo(f"warning: {least}; take 20 letters or more that nobody can guess", err=True)
    click.echo(secrethash.hashed(secret))


def _numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    if not all(number.strip().isdecimal() for number in text.split(",")):
        raise click.BadParameter("write numbers, separated by commas")
    return tuple(map(int, text.split(",")))


def _emulator_options(command: Callable[..., None]) -> Callable[..., None]:
    listed = "\b\n" + "\n".join(f"{name}: {what}" for name, what in FAILURES.items())
    command.__doc__ = f"{command.__doc__}\n\n    What --fail can be:\n\n{listed}"
    options = (
        click.option("--host", default="127.0.0.1", show_default=True),
        click.option("--port", type=click.IntRange(0, 65535), default=7980, show_default=True),
        click.option("--fail", type=click.Choice(list(FAILURES)), default=None, metavar="HOW"),
        click.option("--delay", type=float, default=0.0, help="Seconds that the job takes."),
        click.option(
            "--hang", type=float, default=30.0, help="Seconds that an empty stream hangs."
        ),
        click.option(
            "--fault-on-empty", is_flag=True, help="Answer an empty stream with fault 2000."
        ),
        click.option("--fault-status", type=int, default=500, help="HTTP status of faults."),
        click.option(
            "--acceptable-syscc",
            default="0",
            callback=_numbers,
            help="SYSCC values that are no fault, separated by commas [default: 0].",
        ),
        click.option("--user", default="", help="Ask for Basic authentication as this user."),
        click.option("--password", default="", help="The password of --user."),
        click.option("--one-line", is_flag=True, help="Hand the stream over as one line."),
        click.option(
            "--lrecl",
            type=int,
            default=0,
            help="Cut lines of the stream at this length, as infile lrecl= does.",
        ),
        click.option("--name", "names", multiple=True, help="Known stored process; repeatable."),
        click.option("--record", type=click.Path(path_type=Path), help="A line of JSON a call."),
        click.option(
            "--code",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Run the SAS code that sas export wrote to DIR, in the interpreter of the tests "
            "(in a checkout only).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command("emulate-sas")
@conf_option
@_emulator_options
def emulate_sas(
    conf: Path | None,
    host: str,
    port: int,
    fail: str | None,
    delay: float,
    hang: float,
    fault_on_empty: bool,
    fault_status: int,
    acceptable_syscc: tuple[int, ...],
    user: str,
    password: str,
    one_line: bool,
    lrecl: int,
    names: tuple[str, ...],
    record: Path | None,
    code: Path | None,
) -> None:
    """Pretend to be SAS BI Web Services, with the embedded stored process behind it."""
    behaviour = Behaviour(
        fail=fail or "",
        delay=delay,
        hang=hang,
        fault_on_empty_instream=fault_on_empty,
        fault_status=fault_status,
        acceptable_syscc=acceptable_syscc,
        user=user,
        password=password,
        one_line=one_line,
        lrecl=lrecl,
    )
    settings = loaded(conf)
    try:
        emulator = Emulator(
            sas_code(code) if code else embedded_stored_process(settings),
            host=host,
            port=port,
            behaviour=behaviour,
            names=frozenset(names),
            record=record,
        )
    except ConfigurationError as error:
        end(error)
    except OSError as error:
        end(unusable_address(host, port, error))
    click.echo(f"stpurl = {emulator.stpurl}")
    place = f"it runs the SAS code in {code}" if code else f"datasets go to {settings.outputfolder}"
    click.echo(f"Ready; {place}. Ctrl-C ends it.")
    sys.stdout.flush()
    try:
        emulator.serve_forever()
    except KeyboardInterrupt:
        click.echo("ended")


def main() -> None:
    """The console script. A console that lacks a letter shows a question mark for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    cli()
