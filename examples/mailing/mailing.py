"""A destination of connector-proxy: the rows of a bulk task go to a JSON API, 500 at a time.

Each row is acknowledged by the API once, or listed as failed with the reason.
"""

from __future__ import annotations

import time

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from connector_proxy import values
from connector_proxy.destinations.batches import Batch, Batches
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.keys import CREDENTIALS_INI, SERVICE_INI, Key
from connector_proxy.records import Delivery, Outcome, Payload
from connector_proxy.settings import Settings
from connector_proxy.staging import Files

AGAIN = Retry(
    5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, backoff_factor=0.1
)


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
        with Batches(delivery, files, settings, 500) as batches, requests.Session() as api:
            api.mount(settings.own["apiurl"], HTTPAdapter(max_retries=AGAIN))
            for batch in batches:
                if why := self._refusal(api, settings, batch):
                    batches.failed(batch, why)
                else:
                    batches.sent(batch)
            return batches.outcome()

    def _refusal(self, api: requests.Session, settings: Settings, batch: Batch) -> str:
        """Why the API does not take a batch; empty: it has. By its key it knows a repeated one."""
        time.sleep(1 / settings.own["persecond"])
        token = settings.own["apitoken"].reveal()
        headers = {"Idempotency-Key": batch.key, "Authorization": f"Bearer {token}"}
        try:
            answer = api.post(settings.own["apiurl"], json=batch.rows, headers=headers, timeout=30)
        except requests.RequestException as error:
            raise Unavailable(
                "The API does not answer.", code="api_down", cause=str(error)
            ) from None
        if answer.status_code in (401, 403):
            raise Refused("The API refuses the token.", code="api_denied", advice="Set apitoken.")
        return "" if answer.ok else f"HTTP status {answer.status_code}"

    def close(self) -> None:
        """Nothing stays open."""
