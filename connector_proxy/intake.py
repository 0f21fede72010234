"""Raw bytes of a request in, a checked ``Webhook`` out, or an error that names the JSON path.

Facts only: no socket, file, clock or Flask. The Content-Type is never asked, since the agent of
the general access point sends ``text/plain`` unless somebody set a header on the endpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

from connector_proxy import presigned, sendparameters
from connector_proxy.addresses import TARGET_NAME, UPLOAD, address
from connector_proxy.errors import Detail, NotJson, Unprocessable
from connector_proxy.records import Kind, Number, Payload, Webhook

Path = tuple[str | int, ...]
"""Where a value stands in a payload: keys and indexes from the top."""

MAX_DEPTH = 100
"""Levels of nesting that a payload may have; real ones have five."""

STP_NAME = re.compile(r"[\w .()&+,'@=-]{1,128}")
"""A stored process name: letters of any script, digits, and what SAS folders commonly hold.
No slash, no ``?#%``: whatever could lead to another address stays out."""

_URLS = ("dataFile", "metadataFile")


def read_webhook(
    raw: bytes,
    *,
    query: Mapping[str, str] | None = None,
    default_stp: str = "",
    allowed_stps: Collection[str] = (),
) -> Webhook:
    """Understand one request of the connector, bulk or triggered.

    ``query`` is the query string of the request, ``default_stp`` the stored process for
    payloads that name none, ``allowed_stps`` the only names accepted (empty: every one).
    Raises ``NotJson`` or ``Unprocessable``. Unknown members are kept (SAS's guideline for
    connectors: validate early, tolerate new members).
    """
    payload = parse(raw)
    kind = _kind(payload)
    stp_name = _stp_name(payload, query or {}, default_stp, allowed_stps)
    return _webhook(kind, stp_name, payload)


def read_upload(raw: bytes, query: Mapping[str, str] | None = None) -> Webhook:
    """Understand one request of the connector whose files go to an object store; the target is
    the one that ``uploadTarget`` names, else ``default``. Raises as ``read_webhook``."""
    payload = parse(raw)
    return _webhook(_kind(payload), upload_target(payload, query or {}), payload)


def upload_target(payload: Payload, query: Mapping[str, str]) -> str:
    """The destination ``upload:NAME`` that a payload asks for, in lower case."""
    path, value = next(sendparameters.written(payload, "uploadTarget", query), ("", ""))
    name = str(value).strip()
    if name and not TARGET_NAME.fullmatch(name):
        issue = "must be up to 40 letters, digits and _ -"
        raise _unprocessable("The target of the upload cannot be used", [path], issue)
    return address(UPLOAD, name)


def _webhook(kind: Kind, stp_name: str, payload: Payload) -> Webhook:
    return Webhook(
        kind=kind,
        stp_name=stp_name,
        payload=payload,
        task_name=_text_at(payload, "task", "taskName") or _text_at(payload, "eventName"),
        occurrence_id=_text_at(payload, "task", "occurrenceId")
        if kind is Kind.BULK
        else _text_at(payload, "guid"),
        tracking_code=_text_at(payload, "contactResponse", "responseTrackingCode"),
        deadline=_deadline(payload) if kind is Kind.BULK else None,
    )


def identity(webhook: Webhook, raw: bytes, how: str) -> str:
    """What makes two webhooks the same delivery, as a digest in hexadecimal.

    ``how`` is the setting of that name: ``occurrence`` takes ``task.occurrenceId`` or ``guid``
    with the stored process (the body where there is none), ``body`` the bytes of the body with
    the stored process. The name of the stored process counts without regard to case.
    """
    stp = webhook.stp_name.lower()
    known = webhook.occurrence_id if how == "occurrence" else ""
    parts = (
        (webhook.kind, known.encode("utf-8", "surrogatepass"), b"") if known else ("body", b"", raw)
    )
    digest = hashlib.sha256()
    for part in (parts[0].encode(), stp.encode(), *parts[1:]):
        digest.update(b"%d:%s" % (len(part), part))
    return digest.hexdigest()


def file_urls(payload: Payload) -> dict[str, str]:
    """The addresses of the two files of a bulk task: ``data`` and ``metadata``."""
    return {name[:-4]: _text_at(payload, "presignedUrls", name) for name in _URLS}


def _deadline(payload: Payload) -> datetime | None:
    """When the first of the two presigned URLs stops working."""
    known = (presigned.expires_at(_text_at(payload, "presignedUrls", name)) for name in _URLS)
    return min((moment for moment in known if moment), default=None)


def parse(raw: bytes) -> Payload:
    """Parse one JSON object strictly (RFC 8259, UTF-8 with or without BOM).

    Numbers become ``Number``, the text as written. Raises ``NotJson`` for another encoding,
    broken JSON, NaN and Infinity, text behind the object, a key that stands twice in one
    object (its path is named), nesting beyond ``MAX_DEPTH``, and anything but an object.
    """
    text = _decoded(raw)
    try:
        payload = _STRICT.decode(text)
    except _DuplicateKeyError:
        raise _not_json("a key stands twice in one object", _first_duplicate(text)) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"The body is not JSON: {error.msg} ({place}).") from None
    except _ConstantError as error:
        raise NotJson(f"The body is not JSON: {error} is not a JSON number.") from None
    except RecursionError:
        raise _not_json(f"nested deeper than {MAX_DEPTH} levels", ()) from None
    if not isinstance(payload, dict):
        raise NotJson("The body is JSON, but not an object: it must begin with '{'.")
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(payload)
    return payload


def _decoded(raw: bytes) -> str:
    if not raw.strip():
        raise NotJson("The body is empty; a JSON object is expected.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8 (byte {error.start}).") from None


class _DuplicateKeyError(Exception):
    pass


class _ConstantError(Exception):
    pass


class _Pairs(list[tuple[str, Any]]):
    """An object with its duplicate keys, for telling where they are."""


def _object(pairs: list[tuple[str, Any]]) -> Payload:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKeyError
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise _ConstantError(constant)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=Number,
    parse_float=Number,
    parse_constant=_refuse_constant,
)
_PAIRS = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str)


def _first_duplicate(text: str) -> Path:
    """Where it stands; nowhere when the text is broken behind it, too."""
    try:
        return next(_duplicates(_PAIRS.decode(text)), ())
    except (ValueError, RecursionError):
        return ()


def _duplicates(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, _Pairs):
        seen = set()
        for key, child in value:
            here = (*path, key)
            if key in seen:
                yield here
            seen.add(key)
            yield from _duplicates(child, here)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _duplicates(child, (*path, index))


def _check_depth(payload: Payload) -> None:
    level: list[tuple[Path, Any]] = [((), payload)]
    for _ in range(MAX_DEPTH):
        level = [nested for path, value in level for nested in _nested(path, value)]
        if not level:
            return
    raise _not_json(f"nested deeper than {MAX_DEPTH} levels", level[0][0])


def _nested(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in members:
        if isinstance(child, dict | list):
            yield (*path, step), child


def _not_json(issue: str, path: Path) -> NotJson:
    field = shown_path(tuple(map(_harmless, path))) or "(body)"
    return NotJson(
        f"The body is not clean JSON: {issue} at '{field}'.", details=[Detail(field, issue)]
    )


def shown_path(path: Path) -> str:
    """A path such as ``trace.points[0].name``, in printable ASCII and at most 120 characters:
    it stands in answers and logs, and a key may be anything at all."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{_printable(step[:120])}"
        if len(text) > 121:
            return text[1:118] + "..."
    return text.removeprefix(".")


def _harmless(step: str | int) -> str | int:
    """A step for an answer: a key that is no name may be a secret or somebody's address."""
    return step if isinstance(step, int) or re.fullmatch(r"[\w ]{1,40}", step) else "(odd key)"


def _printable(key: str) -> str:
    if key.isascii() and key.isprintable():
        return key
    key = key.encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in key)


def _kind(payload: Payload) -> Kind:
    """Tell bulk from triggered: ``presignedUrls`` is bulk, ``guid`` and ``eventType`` triggered."""
    urls = payload.get("presignedUrls")
    if urls is not None:
        missing = [f"presignedUrls.{name}" for name in _URLS if not _text_at(urls, name)]
        if missing:
            raise _unprocessable(
                "The payload lacks a presigned URL",
                missing,
                "is missing",
                "Let the connector send the whole payload of the bulk task, with both files.",
            )
        return Kind.BULK
    missing = [name for name in ("guid", "eventType") if not _text_at(payload, name)]
    if not missing:
        return Kind.TRIGGERED
    raise _unprocessable(
        "The payload is neither a bulk task (presignedUrls) nor an event (guid, eventType)",
        ["presignedUrls", *missing],
        "is missing",
        "Let the connector send the payload of the task as it is; a custom body is not one.",
    )


def _stp_name(
    payload: Payload, query: Mapping[str, str], default: str, allowed: Collection[str]
) -> str:
    path, value = next(_stp_candidates(payload, query, default), ("", ""))
    if not path:
        raise _unprocessable(
            "The payload names no stored process and defaultstp is not set",
            ["sendParameters.stpName"],
            f"is missing; {sendparameters.LOOKED_IN}",
        )
    if isinstance(value, dict | list):
        raise _unprocessable(
            "The stored process name cannot be used", [path], "must be text, not a list or object"
        )
    name = str(value).strip()
    issue = stp_name_issue(name)
    if issue:
        raise _unprocessable("The stored process name cannot be used", [path], issue)
    if allowed and name.lower() not in {one.lower() for one in allowed}:
        raise _unprocessable(
            "The stored process is not allowed here",
            [path],
            f"'{name}' is not among allowedstps",
            "Correct the name in the task, or add it to allowedstps in serviceConfig.ini.",
        )
    return name


def _stp_candidates(
    payload: Payload, query: Mapping[str, str], default: str
) -> Iterator[tuple[str, Any]]:
    yield from sendparameters.written(payload, "stpName", query)
    if default:
        yield "defaultstp", default


def destination_issue(name: str) -> str:
    """What is wrong with the name of a destination (a stored process, or a kind and a name such
    as ``upload:archive``), or an empty text when it may be used."""
    kind, colon, own = name.partition(":")
    if not colon:
        return stp_name_issue(name)
    legal = TARGET_NAME.fullmatch(kind) and TARGET_NAME.fullmatch(own)
    return "" if legal else "is none of a stored process, and none such as upload:archive"


def stp_name_issue(name: str) -> str:
    """What is wrong with a stored process name, or an empty text when it may be used."""
    if not name:
        return "is empty"
    if len(name) > 128:
        return "is longer than 128 characters"
    squeezed = name.replace(" ", "")  # as a deployed web service knows it
    if ".." in squeezed or not squeezed.strip("."):
        return "may not hold '..' nor consist of a dot"
    if not STP_NAME.fullmatch(name):
        bad = next(c for c in name if not STP_NAME.fullmatch(c))
        return f"holds a character that is not allowed (U+{ord(bad):04X})"
    return ""


def _text_at(value: Any, *path: str) -> str:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value.strip() if isinstance(value, str) else ""


def _unprocessable(message: str, fields: list[str], issue: str, advice: str = "") -> Unprocessable:
    details = [Detail(field, issue) for field in fields]
    return Unprocessable(message + ".", advice=advice, details=details)
