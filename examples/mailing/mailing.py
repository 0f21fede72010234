"""A destination of connector-proxy: the rows of a bulk task go to a JSON API, 500 at a time.

Each row is acknowledged by the API once, or listed as failed with the reason.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from connector_proxy import dataset, values
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.keys import CREDENTIALS_INI, SERVICE_INI, Key
from connector_proxy.records import Delivery, Outcome, Payload, Verdict
from connector_proxy.settings import Settings
from connector_proxy.staging import Files

AGAIN = Retry(
    5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, backoff_factor=0.1
)


def lines(data: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The rows of a data file, each with the number of its first line."""
    rows, line = csv.reader(data, strict=True), 1
    for row in rows:
        yield line, row
        line = rows.line_num + 1


def as_csv(row: list[str]) -> str:
    """A row as it stands in a data file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()


class Mailing:
    """Sections ``[mailing]`` and ``[mailing:NAME]`` hold its settings."""

    name, repeatable = "mailing", True  # what was acknowledged is not sent again
    keys = (
        Key("apiurl", SERVICE_INI, values.needed_url, "", True, "Address that takes rows."),
        Key("apitoken", CREDENTIALS_INI, values.secret, "", True, "Its bearer token."),
        Key("persecond", SERVICE_INI, values.number(0.1, 1000), "5", True, "Requests a second."),
    )

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome:
        """Send each batch that no earlier attempt has sent; list the rows of those that fail."""
        if files is None:
            raise Refused("An event has no rows.", code="no_file", advice="Send bulk tasks.")
        names = [column.name for column in dataset.read_metadata(files.metadata.read_bytes())]
        report = settings.outputfolder / f"{delivery.delivery_id}.failed.csv"
        total = failed = 0
        with (
            requests.Session() as api,
            files.data.with_name("mailing.sent").open("a+", buffering=1) as note,
            files.data.open(encoding="utf-8", newline="") as data,
            report.open("w", encoding="utf-8", newline="") as listed,
        ):
            api.mount(settings.own["apiurl"], HTTPAdapter(max_retries=AGAIN))
            note.seek(0)
            sent = set(note.read().split())
            failures = csv.writer(listed)
            failures.writerow(("line", "reason", "row"))
            rows = lines(data)
            for number, batch in enumerate(iter(lambda: list(islice(rows, 500)), [])):
                total += len(batch)
                if str(number) in sent:
                    continue
                key = f"{delivery.delivery_id}-{number}"
                if why := self._send(api, settings, key, names, [row for _, row in batch]):
                    failed += len(batch)
                    failures.writerows((line, why, as_csv(row)) for line, row in batch)
                else:
                    note.write(f"{number}\n")
        result: dict[str, str | int] = {"rows": total, "rejectedRows": failed}
        if not failed:
            report.unlink()
            return Outcome(Verdict.DONE, "done", result=result)
        result["rejects"] = report.name  # with rowevent each of them is told to CI 360
        words = f"The API did not take {failed} of {total} rows; {report.name} lists them."
        advice = "Mend the cause, then replay the delivery."
        return Outcome(Verdict.REFUSED, "rows_failed", words, advice, result=result)

    def _send(
        self,
        api: requests.Session,
        settings: Settings,
        key: str,
        names: list[str],
        batch: list[list[str]],
    ) -> str:
        """Why the API does not take a batch; empty: it has. By ``key`` it knows a repeated one."""
        time.sleep(1 / settings.own["persecond"])
        token = settings.own["apitoken"].reveal()
        headers = {"Idempotency-Key": key, "Authorization": f"Bearer {token}"}
        rows = [dict(zip(names, row, strict=True)) for row in batch]
        try:
            answer = api.post(settings.own["apiurl"], json=rows, headers=headers, timeout=30)
        except requests.RequestException as error:
            raise Unavailable(
                "The API does not answer.", code="api_down", cause=str(error)
            ) from None
        if answer.status_code in (401, 403):
            raise Refused("The API refuses the token.", code="api_denied", advice="Set apitoken.")
        return "" if answer.ok else f"HTTP status {answer.status_code}"

    def close(self) -> None:
        """Nothing stays open."""
