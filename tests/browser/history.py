"""Fourteen made-up days: tasks as marketers name them, more of them by day than by night, and a
stored process that gets slower."""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector_proxy import rows
from connector_proxy.database import Database
from connector_proxy.records import State, Verdict
from connector_proxy.tables import attempts, deliveries

TASKS = {
    "Download File": ("Spring audience", "Loyalty members", "Lapsed buyers", "Suppression list"),
    "Append Row": ("Basket left", "Newsletter opened", "Address changed"),
    "Score Customers": ("Churn score", "Next best offer"),
}
_USUAL_MS = {"Download File": 4200, "Append Row": 90, "Score Customers": 1500}
_ENDS = (
    (State.DONE, 960, "done", ""),
    (State.REFUSED, 22, "bad_data", "Line 17 has 5 values, and the metadata names 6 columns."),
    (State.EXPIRED, 9, "url_expired", "The presigned URLs stopped working before it was carried out."),
    (State.CANCELLED, 9, "cancelled", "An administrator cancelled this delivery."),
)  # fmt: skip


def write(database: Database, now: datetime, seed: int = 360) -> None:
    """Fill a database that nobody uses."""
    chance = random.Random(seed)
    made = list(_days(chance, now))
    with database.write() as connection:
        connection.execute(sa.insert(deliveries), [one for one, _ in made])
        connection.execute(sa.insert(attempts), [each for _, tried in made for each in tried])


def _days(chance: random.Random, now: datetime) -> Iterator[tuple[dict[str, Any], Any]]:
    for hours in range(14 * 24):
        at = now - timedelta(hours=hours, minutes=30)
        busy = 0.3 + max(0.0, math.sin((at.hour - 6) / 14 * math.pi)) * (1.0 if at.weekday() < 5 else 0.35)  # fmt: skip
        for _ in range(round(chance.gauss(11, 2) * busy)):
            moment = at + timedelta(minutes=chance.uniform(-29, 29))
            if moment < now - timedelta(minutes=1):
                yield _delivery(chance, moment, slower=max(0.0, 1 - hours / 20))


def _delivery(chance: random.Random, at: datetime, slower: float) -> tuple[dict[str, Any], Any]:
    stp = chance.choice(list(TASKS))
    state, _, code, message = chance.choices(_ENDS, [weight for _, weight, _, _ in _ENDS])[0]
    tries = 1 if chance.random() < 0.93 else 2
    own = uuid.UUID(int=chance.getrandbits(128)).hex
    ms = round(chance.lognormvariate(math.log(_USUAL_MS[stp]), 0.5))
    ms = round(ms * (1 + 2 * slower)) if stp == "Score Customers" else ms
    result = {"rows": chance.randrange(200, 90_000), "columns": 6} if state is State.DONE else {}
    row = {
        "delivery_id": own, "identity": own, "request_id": own, "kind": "bulk", "run": "",
        "stp_key": rows.stp_key(stp), "stp_name": stp, "task_name": chance.choice(TASKS[stp]),
        "occurrence_id": str(uuid.UUID(own)), "tracking_code": "", "state": state, "round": 1,
        "turn": 2, "tries": tries, "probing": False, "paused": False, "accepted_at": rows.ms(at),
        "changed_at": rows.ms(at) + ms, "next_attempt_at": None, "deadline": None,
        "fetched_at": None, "attempt_count": tries, "verdict": _verdict(state), "code": code,
        "message": message, "advice": "", "result": json.dumps(result), "note": "",
        "payload_kept": False,
    }  # fmt: skip
    tried = [_attempt(own, number, at, ms, state, code, last=number == tries) for number in range(1, tries + 1)]  # fmt: skip
    return row, tried


def _verdict(state: State) -> str:
    return str({State.DONE: Verdict.DONE, State.EXPIRED: Verdict.EXPIRED}.get(state, Verdict.REFUSED))  # fmt: skip


def _attempt(
    own: str, number: int, at: datetime, ms: int, state: State, code: str, *, last: bool
) -> dict[str, Any]:
    started = rows.ms(at) + (number - 1) * 5000
    return {
        "delivery_id": own, "number": number, "round": 1, "instance": "sasproxy1",
        "started_at": started, "ended_at": started + ms, "destination": "sas",
        "verdict": _verdict(state) if last else str(Verdict.RETRY),
        "code": code if last else "sas_unreachable", "status": 200 if last else 0,
        "milliseconds": ms if last else 5, "message": "", "advice": "", "cause": "",
        "next_at": None,
    }  # fmt: skip
