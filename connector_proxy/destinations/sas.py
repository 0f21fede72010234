"""A stored process on a SAS 9.4 server, called through SAS BI Web Services."""

from __future__ import annotations

from connector_proxy.destinations.streams import stream_of
from connector_proxy.records import Delivery, Outcome, Payload
from connector_proxy.reply import read_reply
from connector_proxy.sasbiws import Caller
from connector_proxy.settings import Settings
from connector_proxy.staging import Files
from connector_proxy.stream import build_request, is_raw


class Sas:
    """Sends the stream with one POST and reads the reply."""

    name = "sas"
    repeatable = False

    def __init__(self, pool_size: int) -> None:
        self._caller = Caller(pool_size)

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome:
        """Call the stored process, which reads the files from where the stream says; see
        ``Destination``."""
        stp_name = delivery.stp_name
        stream = stream_of(payload, stp_name)
        user, password = settings.stpusername.reveal(), settings.stppassword.reveal()
        request = build_request(settings.stpurl, stp_name, stream, user, password)
        reply = self._caller.post(
            request,
            connect_timeout=settings.connecttimeout,
            read_timeout=settings.readtimeout,
            ca_bundle=settings.cabundle,
        )
        return read_reply(
            reply.status,
            reply.headers,
            reply.body,
            raw=is_raw(request.url),
            complete=reply.complete,
            delimited=reply.delimited,
        )

    def close(self) -> None:
        """Close the pooled connections."""
        self._caller.close()
