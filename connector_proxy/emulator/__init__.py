"""A pretend SAS BI Web Services, for trying things out and for tests.

Documented by SAS and followed here: both URL families (``/rest/`` and ``/services/``), the
suffix ``/dataTargets/<name>`` for one stream without its envelope, a request of ``streams``,
``instream`` and ``Value``, a reply of ``<name>Response`` and ``<name>Result``, an empty result
where nothing was written, the fault codes 1000 to 5000 and the layout of a SOAP fault, a fault
for any SYSCC that is not acceptable (0 alone by default), a fault hiding the streams, a stored
process that hangs on an empty ``instream``.

Observed with real servers by others: the root name is ignored where the call goes by path, ``+``
in a path is a blank, the stored process sees a document whose root is ``Table``, the base name
of a reply begins in lower case.

Inferred, and to be confirmed on a real server: that tags are case-sensitive, the body and the
HTTP status of a fault at ``/rest/`` (500, and 401 for fault 1000), the names in the reply for a
stored process with odd characters, and everything about non-XML output inside the envelope.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from connector_proxy.destinations import embedded
from connector_proxy.emulator import wire
from connector_proxy.emulator.behaviour import FAILURES, Behaviour, Recorded
from connector_proxy.emulator.handler import Handler
from connector_proxy.emulator.sascode import sas_code
from connector_proxy.emulator.wire import Ran, StoredProcess
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.settings import Settings

__all__ = [
    "FAILURES", "Behaviour", "Emulator", "Ran", "Recorded", "embedded_stored_process", "sas_code",
]  # fmt: skip


def embedded_stored_process(settings: Settings) -> StoredProcess:
    """The embedded stored process in the place of the bundled SAS code."""

    def run(instream: bytes) -> Ran:
        try:
            return Ran(embedded.run(instream, settings))
        except (Refused, Unavailable) as error:
            return Ran(embedded.result_document("error", code=error.code, message=str(error)))

    return run


class Emulator:
    """A server on ``host:port`` (0: a free one) that runs ``stored_process`` for each name of
    ``names`` (empty: every name). A context manager; ``behaviour`` may be changed while it runs,
    ``requests`` holds what came, ``record`` names a file that gets a line of JSON each."""

    def __init__(
        self,
        stored_process: StoredProcess,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        behaviour: Behaviour | None = None,
        names: frozenset[str] = frozenset(),
        record: Path | None = None,
    ) -> None:
        self.stored_process = stored_process
        self.behaviour = behaviour or Behaviour()
        self.names = names
        self.requests: list[Recorded] = []
        self._record = record
        self._writing = threading.Lock()
        self._server = _Server((host, port), self)
        self.port = int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    @property
    def stpurl(self) -> str:
        """A setting ``stpurl`` that leads here."""
        return self.url + "/SASBIWS/rest/storedProcesses/Shared Data/CI360/{{stpName}}"

    def behave(self, **changes: Any) -> None:
        """Change single items of ``behaviour``."""
        self.behaviour = replace(self.behaviour, **changes)

    def serve_forever(self) -> None:
        """Serve in this thread, until a KeyboardInterrupt."""
        self._server.serve_forever()

    def __enter__(self) -> Emulator:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def note(self, request: Recorded) -> None:
        """Keep a request in ``requests``."""
        self.requests.append(request)

    def write_record(self, request: Recorded) -> None:
        """Append the request to the file named by ``record``, when it has ended."""
        if self._record is None:
            return
        line = json.dumps(
            {
                "at": request.at,
                "stpName": request.stp_name,
                "occurrenceId": wire.element_text(request.instream, "occurrenceId"),
                "bytes": len(request.body),
                "ran": request.ran,
            }
        )
        with self._writing, self._record.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], emulator: Emulator) -> None:
        self._refuses = emulator.behaviour.fail == "refuse"
        super().__init__(address, type("BoundHandler", (Handler,), {"host": emulator}))

    def server_activate(self) -> None:
        if not self._refuses:  # bound, but never listening
            super().server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the emulator; everything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
