"""The command that pretends to be CI 360: its gateway, and the agent that sends webhooks."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any

import click

from connector_proxy.ci360.attributes import IDENTITIES
from connector_proxy.cli.common import end
from connector_proxy.emulator.agent import PARALLEL, TIMEOUT, Agent, Sent, runs
from connector_proxy.emulator.gateway import FAILURES, LIMIT, PretendGateway
from connector_proxy.errors import ConfigurationError
from connector_proxy.masking import MASK, printable

TENANT, SECRET = "emulated-tenant", "emulated-client-secret-0123456789abcdef"
_LISTED = "\b\n" + "\n".join(f"{name}: {what}" for name, what in FAILURES.items())


@click.command("emulate-ci360", epilog=f"What --fail can be:\n\n{_LISTED}")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8360, show_default=True)
@click.option("--tenant", default=TENANT, show_default=True)
@click.option("--secret", default=SECRET, show_default=True, help="Empty: no token is asked for.")
@click.option("--event", "events", multiple=True, help="An external event that exists; repeatable.")
@click.option("--fail", type=click.Choice(list(FAILURES)), default=None, metavar="HOW")
@click.option("--limit", type=int, default=LIMIT, show_default=True, help="Requests in 5 minutes.")
@click.option("--to", "url", default="", help="Send webhooks there, http://host:port/ExecuteSTP.")
@click.option("--payload", type=click.File("rb"), help="What is sent: a file with a request body.")
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="Runs of it.")
@click.option("--double", type=click.IntRange(0), default=0, help="So many of them come twice.")
@click.option("--parallel", type=click.IntRange(1, 1000), default=PARALLEL, show_default=True)
@click.option("--timeout", type=click.FloatRange(0.1), default=TIMEOUT, show_default=True)
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Repeatable.")
def emulate_ci360(
    host: str,
    port: int,
    tenant: str,
    secret: str,
    events: tuple[str, ...],
    fail: str | None,
    limit: int,
    url: str,
    payload: Any,
    times: int,
    double: int,
    parallel: int,
    timeout: float,
    headers: tuple[str, ...],
) -> None:
    """Pretend to be CI 360: take events until Ctrl-C, and send webhooks as its agent does."""
    if bool(url) != bool(payload):
        raise click.UsageError("--to and --payload belong together.")
    document = _document(payload) if payload else {}
    agent = Agent(url, headers=_headers(headers), parallel=parallel, timeout=timeout)
    try:
        gateway = PretendGateway(
            tenant, secret, frozenset(events), host=host, port=port, fail=fail or "", limit=limit
        )
    except OSError as error:
        end(ConfigurationError(f"Cannot listen at {host}:{port} ({error.strerror})."))
    gateway.on_event = lambda event: click.echo(_event(event))
    with gateway:
        for name, value in (
            ("gatewayurl", gateway.url),
            ("tenantid", tenant),
            ("gatewaysecret", secret),
        ):
            click.echo(f"{name} = {value}")
        click.echo(f"external events: {', '.join(events) or 'none (--event)'}. Ctrl-C ends it.")
        sys.stdout.flush()
        if payload:
            click.echo(_sent(agent.send(runs(document, times, min(double, times)))))
            sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo(f"ended; {len(gateway.received.events)} events came")


def _document(payload: Any) -> Mapping[str, Any]:
    try:
        document = json.load(payload)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise click.BadParameter("the payload is no JSON object")
    return document


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition(":") for text in texts]
    if not all(sign and name.strip() for name, sign, _ in pairs):
        raise click.BadParameter("write a header as NAME:VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _event(event: Mapping[str, str]) -> str:
    """An event on a line, without whom it is about."""
    shown = {name: MASK if name in IDENTITIES else value for name, value in event.items()}
    return printable("event " + json.dumps(shown, ensure_ascii=False))


def _sent(sent: Sent) -> str:
    answers = ", ".join(f"{count} {what}" for what, count in sorted(sent.answers.items()))
    return (
        f"sent {sent.answers.total()} webhooks: {answers}; {len(sent.deliveries)} deliveries, "
        f"the slowest answer after {sent.slowest:.2f} s"
    )
