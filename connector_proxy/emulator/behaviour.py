"""How the pretend SAS BI Web Services can be told to behave, and what it keeps of each call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

FAILURES: Mapping[str, str] = {
    "fault-1000": "user name or password wrong",
    "fault-2000": "missing prompt, or no permission on the stored process",
    "fault-3000": "SAS error: the stored process ended with SYSCC 1012",
    "fault-4000": "the stored process server cannot be reached",
    "fault-5000": "the stored process ran out of its time",
    "warning": "the stored process ends with SYSCC 4, a warning",
    "own-error": "the stored process reports an error of its own",
    "nothing-written": "the stored process writes nothing",
    "text": "the stored process writes text that is not XML",
    "cdata": "its answer comes as CDATA",
    "base64": "its answer comes as Base64",
    "html-502": "front end: bad gateway",
    "html-503": "front end: not ready, with Retry-After 7",
    "html-504": "front end: gave up waiting",
    "logon-page": "an HTML logon page with status 200",
    "logon-redirect": "a redirect to the logon page",
    "not-sasbiws": "XML of something else",
    "entities": "a reply that expands to gigabytes",
    "endless": "a reply of 64 MB",
    "refuse": "the port refuses connections",
    "slow-headers": "one byte of the headers a second",
    "slow-body": "one byte of the body a second",
    "cut-headers": "the connection is cut before an answer",
    "cut-body": "the connection is cut inside the answer",
}


@dataclass(frozen=True)
class Behaviour:
    """How the emulator behaves. ``delay`` and ``hang`` are in seconds; ``user`` empty means
    that no credentials are asked for; ``lrecl`` cuts the stream as ``infile lrecl=`` would."""

    fail: str = ""
    fault_status: int = 500
    acceptable_syscc: tuple[int, ...] = (0,)
    user: str = ""
    password: str = ""
    one_line: bool = False
    lrecl: int = 0
    delay: float = 0.0
    hang: float = 30.0
    fault_on_empty_instream: bool = False


@dataclass
class Recorded:
    """One request as it came; ``ran`` turns true when the stored process ran to its end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.time)
    stp_name: str = ""
    instream: bytes = b""
    ran: bool = False
