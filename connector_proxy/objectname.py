"""The name that a file gets in an object store: a template and the payload in, a name that cannot
leave its prefix out.

A name is legal in each store and on Windows and Linux: segments of letters of any
script, digits, blanks and ``_ . ( ) & + , ' @ = - ! ~``, none of them ``.`` or ``..``, none that
ends in a dot or blank, and no name of a device of Windows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector_proxy import platforms, sendparameters
from connector_proxy.errors import Detail, Unprocessable

FILE_NAME = "filename"
"""The placeholder for the name that the task gives; it alone may hold a slash."""
LONGEST_NAME, LONGEST_SEGMENT = 800, 200
"""Bytes in UTF-8: a store takes 1024 with its prefix, a file system 255 with an ending of ours."""
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SEGMENT = re.compile(r"[\w .()&+,'@=!~-]+")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9 +\-=._:/]")
"""What one of the stores refuses in the value of a tag."""
_OF_TASK = ("taskName", "taskId", "occurrenceId", "taskVersionId", "eventName")
_OF_TEXT = ("csv", "txt")
_ADVICE = "Correct the send parameter of the task, or objectname in serviceConfig.ini."


@dataclass(frozen=True)
class Named:
    """What an object is called below the prefix of its target, and its tags."""

    name: str
    tags: dict[str, str]


def named(payload: Mapping[str, Any], own: Mapping[str, Any], at: datetime) -> Named:
    """The name and the tags that the settings ``own`` of an upload give to the data file of a
    payload which was accepted ``at`` that moment. Raises ``Unprocessable``."""
    name = object_name(payload, own["objectname"], own["nameparameters"], at)

    def put_in(found: re.Match[str]) -> str:
        return _NOT_IN_TAGS.sub("_", value_of(payload, found[1].strip(), at))

    tags = {tag: PLACEHOLDER.sub(put_in, text)[:256] for tag, text in own["tags"].items()}
    return Named(_with_endings(name, own["content"], own["compress"]), tags)


def _with_endings(name: str, content: str, compress: str) -> str:
    """The name says what is inside: another form than the file's own, and how it is packed."""
    stem, dot, ending = name.rpartition(".")
    if content in ("parquet", "xpt") and ending.lower() != content:
        name = f"{stem if dot and ending.lower() in _OF_TEXT else name}.{content}"
    packed = {"gzip": ".gz", "zstd": ".zst"}.get(compress, "")
    return name if name.lower().endswith(packed) else name + packed


def object_name(
    payload: Mapping[str, Any], template: str, parameters: Sequence[str], at: datetime
) -> str:
    """What ``template`` makes of a payload that was accepted ``at`` that moment.

    ``{filename}`` is the first of ``parameters`` that the task gives; ``{date}`` the day in UTC;
    any other name a send parameter or a member of ``task``, as one segment: what may not stand in
    one becomes ``_``. Raises ``Unprocessable`` for a value that is missing and for a name that is
    not allowed.
    """
    path = f"sendParameters.{parameters[0]}"

    def put_in(found: re.Match[str]) -> str:
        if found[1].strip().casefold() == FILE_NAME:
            return _file_name(payload, parameters, path)
        return one_segment(value_of(payload, found[1].strip(), at))

    name = unicodedata.normalize("NFC", PLACEHOLDER.sub(put_in, template))
    if issue := name_issue(name):
        raise _unprocessable(path, issue)
    return name


def value_of(payload: Mapping[str, Any], name: str, at: datetime) -> str:
    """The value of one placeholder; raises ``Unprocessable`` where there is none."""
    if name.casefold() == "date":
        return at.strftime("%Y-%m-%d")
    for path, value in _candidates(payload, name):
        if isinstance(value, dict | list):
            raise _unprocessable(path, "must be text, not a list or object")
        return str(value).strip()
    raise _unprocessable(f"sendParameters.{name}", "is missing; the name of the file needs it")


def _candidates(payload: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    yield from sendparameters.written(payload, name)
    task = payload.get("task")
    for member in _OF_TASK:
        value = task.get(member) if isinstance(task, dict) else None
        if member.casefold() == name.casefold() and isinstance(value, str) and value.strip():
            yield f"task.{member}", value


def _file_name(payload: Mapping[str, Any], parameters: Sequence[str], path: str) -> str:
    for name in parameters:
        for where, value in sendparameters.written(payload, name):
            if isinstance(value, dict | list):
                raise _unprocessable(where, "must be text, not a list or object")
            return str(value).strip()
    known = ", ".join(parameters)
    raise _unprocessable(path, f"is missing; the name of the file comes from one of {known}")


def one_segment(text: str) -> str:
    """``text`` as a segment of a path."""
    plain = "".join(c if _SEGMENT.fullmatch(c) else "_" for c in unicodedata.normalize("NFC", text))
    return plain.strip(" .") or "_"


def name_issue(name: str) -> str:
    """What is wrong with the name of an object, or an empty text when it may be used."""
    if len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        return f"makes a name of more than {LONGEST_NAME} bytes"
    if name.startswith("/"):
        return "makes a name that begins with '/'"
    return next(filter(None, map(_segment_issue, name.split("/"))), "")


def _segment_issue(segment: str) -> str:
    if segment in ("", ".", ".."):
        return "makes a name with an empty part, '.' or '..' between slashes"
    if bad := next((c for c in segment if not _SEGMENT.fullmatch(c)), ""):
        return f"holds a character that is not allowed (U+{ord(bad):04X})"
    if segment != segment.strip() or segment.endswith("."):
        return "makes a name with a part that begins or ends with a blank, or ends with a dot"
    if platforms.is_device(segment):
        return "makes a name that Windows keeps for a device"
    if len(segment.encode()) > LONGEST_SEGMENT:
        return f"makes a name with a part of more than {LONGEST_SEGMENT} bytes"
    return ""


def _unprocessable(field: str, issue: str) -> Unprocessable:
    return Unprocessable(
        "The file cannot be named.", advice=_ADVICE, details=[Detail(field, issue)]
    )
