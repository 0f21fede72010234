"""The ends that a call of a stored process can have, each with its words and its advice.

Facts only. ``status`` is the HTTP status that came, ``why`` our own words, ``said`` what the other
side said: it is kept shortened, for the log only; the message of a stored process is shown where it
is harmless.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector_proxy.records import Outcome, Verdict

KEPT = 8000
"""Characters of a foreign answer that are kept as they came; the log masks and shortens them."""

_SHOWN, _LONGEST_WORD = 300, 40
_MARKS = ",:;()+#!-"
_WORD = re.compile(rf"[\w.{_MARKS}]+\??|[\w{_MARKS}]*\w/\w[\w.{_MARKS}]*\??")
_OWN_ADVICE = (
    "The words are those of the stored process; stored_process/README.md explains the codes of "
    "the bundled ones. Run the task again when the cause is mended."
)
_OWN_ADVICE_HIDDEN = "Its message stands in the log of connector-proxy under this delivery id."


def done(status: int, result: Mapping[str, str | int] | None = None) -> Outcome:
    """It ran; ``result`` is what it says of itself."""
    return Outcome(Verdict.DONE, "done", status=status, result=result or {})


def credentials(status: int, why: str, said: bytes | str = "") -> Outcome:
    """The server does not accept user or password."""
    return Outcome(
        Verdict.REFUSED,
        "credentials",
        f"The SAS server does not accept the credentials ({why}).",
        "Set stpusername and stppassword in credentials.ini to a user who may run the stored "
        "process, or switch on the anonymous web user of SAS BI Web Services.",
        cause=kept(said),
        status=status,
    )


def logon_page(status: int, why: str, said: bytes | str = "") -> Outcome:
    """A page for people, or a redirect to one."""
    return Outcome(
        Verdict.REFUSED,
        "logon_page",
        f"The address asks for a logon instead of running the stored process: {why}.",
        "Check stpurl (it must lead to /SASBIWS/rest/ or /SASBIWS/services/) and the "
        "credentials in credentials.ini.",
        cause=kept(said),
        status=status,
    )


def not_callable(status: int, why: str, said: bytes | str) -> Outcome:
    """SAS knows no such stored process, or may not run it so."""
    return Outcome(
        Verdict.REFUSED,
        "not_callable",
        f"SAS cannot call the stored process ({why}).",
        "Compare stpName and stpurl with the folder and name in SAS Management Console, and "
        "see that the user may execute it.",
        cause=kept(said),
        status=status,
    )


def sas_error(status: int, said: str) -> Outcome:
    """Fault 3000, or one that is not known: the program ended with an error of SAS."""
    syscc = re.search(r"SYSCC=\s*(\d{1,5})", said)
    return Outcome(
        Verdict.REFUSED,
        "sas_error",
        f"The stored process ended with an error{f' (SYSCC {syscc[1]})' if syscc else ''}.",
        "SAS's own message stands in the log of connector-proxy under this delivery id. "
        "Note that a mere warning (SYSCC 4) is a fault unless the web service accepts it.",
        cause=kept(said),
        status=status,
    )


def own_error(status: int, code: str, said: str) -> Outcome:
    """An error that the stored process reports. One code may be repeated: ``download_failed``
    says that a file store did not answer and that nothing was saved."""
    if code == "download_failed":
        return Outcome(
            Verdict.RETRY,
            "download_failed",
            "The stored process could not download a file to its end; nothing was saved.",
            "It is tried again, as long as the presigned URLs work.",
            cause=kept(said),
            status=status,
        )
    shown = f" (code {code})" if re.fullmatch(r"\w{1,32}", code) else ""
    words = " ".join(said.split())
    harmless = is_harmless(words)
    tail = f": {words}" if harmless else "."
    return Outcome(
        Verdict.REFUSED,
        "stored_process_error",
        f"The stored process reported an error of its own{shown}{tail}",
        _OWN_ADVICE if harmless else _OWN_ADVICE_HIDDEN,
        cause=kept(said),
        status=status,
    )


def is_harmless(words: str) -> bool:
    """Whether the message of a stored process may be shown outside of the log.

    At most 300 characters: letters and digits of any script, single blanks, and
    ``. , : ; ( ) _ + # ! -``; a ``?`` only where a word ends; a ``/`` only once inside a word
    without a dot before it (``conf/config.sas``, but no path and no address). No word has more
    than 40 characters, as keys and digests do. Hence no quotes, no ``@``, no ``=`` and ``&`` of a
    query string, no URL.
    """
    return len(words) <= _SHOWN and all(
        len(word) <= _LONGEST_WORD and _WORD.fullmatch(word) for word in words.split(" ")
    )


def not_sasbiws(status: int, said: bytes, why: str = "") -> Outcome:
    """Something else answered."""
    return Outcome(
        Verdict.REFUSED,
        "not_sasbiws",
        f"The answer is not one of SAS BI Web Services (HTTP status {status}"
        f"{', ' + why if why else ''}).",
        "Check stpurl; the beginning of the answer stands in the log of connector-proxy.",
        cause=kept(said),
        status=status,
    )


def busy(status: int, retry_after: int | None) -> Outcome:
    """A front end that is not ready; ``retry_after`` is the wait it asks for, in seconds."""
    return Outcome(
        Verdict.RETRY,
        "busy",
        f"The SAS server is not ready (HTTP status {status}).",
        "Nothing was carried out; it is tried again.",
        status=status,
        retry_after=retry_after,
    )


def unreachable(status: int, why: str, said: str = "") -> Outcome:
    """A front end answered, and the SAS server behind it could not be reached."""
    return Outcome(
        Verdict.RETRY,
        "sas_unreachable",
        f"The SAS server cannot be reached ({why}).",
        "See that the metadata server and the stored process server are running.",
        cause=kept(said),
        status=status,
    )


def unknown(status: int, why: str, said: str = "") -> Outcome:
    """It was sent, and nobody can tell how it ended."""
    return Outcome(
        Verdict.UNKNOWN,
        "outcome_unknown",
        f"Nobody can tell whether the stored process ran to its end ({why}).",
        "Look at its log and its dataset before the task is sent again.",
        cause=kept(said),
        status=status,
    )


def kept(words: bytes | str) -> str:
    """The first ``KEPT`` characters of ``words``."""
    if isinstance(words, bytes):
        words = words[: 4 * KEPT].decode("utf-8", "replace")
    return words[:KEPT]
