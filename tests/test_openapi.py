"""The OpenAPI document is what the code answers: address by address, and answer by answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector_proxy import outcomes
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from connector_proxy.web import openapi
from tests.conftest import Service, StubCarrier
from tests.crashing import triggered

SECRET = "a secret of the page"
CONFIGURATION = """
[checks]
ignored_auth.enabled = false  # ten wrong secrets, and the right one is not listened to any more
positive_data_acceptance.enabled = false  # 409 and 422 have reasons that no schema can tell

[[operations]]
include-name = "POST /ExecuteSTP"
# The document says that a webhook of a delivery that was cancelled is answered with 502, of a held one
# with 504; 500 it does not describe, and is not allowed here either.
checks.not_a_server_error.enabled = false
# What CI 360 sends besides the names of the files is taken as it comes.
checks.negative_data_rejection.enabled = false
"""
ENDS = {
    "Done": outcomes.done(200, {"rows": 3}),
    "Refused": outcomes.credentials(401, "401", "the words of the other side"),
    "Held": outcomes.unknown(0, "no answer"),
    "Waiting": outcomes.unreachable(0, "connection refused"),
}


@pytest.fixture
def service(start: Callable[..., Service], settings: Settings, carrier: StubCarrier) -> Service:
    """Nobody waits for a verdict, so that no webhook is answered with how it ended."""
    carrier.deed = lambda stp_name, body: ENDS.get(stp_name, ENDS["Done"])
    service = start(replace(settings, waitseconds=0, opssecret=Secret(SECRET)), carrier)
    for name in ENDS:
        for _ in range(3):
            service.post(triggered(name))
    return service


def test_every_address_of_the_code_is_described_and_no_other(service: Service) -> None:
    in_code = {
        (re.sub(r"<(?:\w+:)?(\w+)>", _camel, rule.rule), method.lower())
        for rule in service.parts.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/ops")
    }
    described = {
        (path, method)
        for path, methods in openapi.document()["paths"].items()
        for method in methods
    }
    assert in_code == described


def _operations() -> Iterator[dict[str, Any]]:
    for methods in openapi.document()["paths"].values():
        yield from methods.values()


def _camel(found: re.Match[str]) -> str:
    first, *rest = found[1].split("_")
    return "{" + first + "".join(word.title() for word in rest) + "}"


def test_every_reference_and_link_leads_somewhere() -> None:
    document = openapi.document()
    text = json.dumps(document)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document["components"]["schemas"]
    ids = [one["operationId"] for one in _operations()]
    assert len(ids) == len(set(ids))
    for operation in _operations():
        for answer in operation["responses"].values():
            assert {link["operationId"] for link in answer.get("links", {}).values()} <= set(ids)


@pytest.mark.timeout(180)
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_described(
    service: Service, tmp_path: Path
) -> None:
    """Schemathesis sends what the document allows and what it does not."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    run = subprocess.run(
        [
            Path(sys.executable).with_name("st"), "run", f"{service.url}/openapi.json",
            "--header", f"Authorization: Bearer {SECRET}",
            "--max-examples", "15", "--seed", "1", "--max-time", "30", "--warnings", "off",
            "--no-shrink", "--continue-on-failure",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested and int(tested[1]) == len(list(_operations())) - 1, "all but the document itself"
    states = {one.state for one in service.deliveries.search(limit=None)}
    assert len(states) >= 4, "it met deliveries of many states"
