"""A payload in, the stream document and the request bytes for SASBIWS out.

Facts only. The rules for names and characters are those of SAS and XML 1.0: a SAS name has at
most 32 of ``A-Z a-z 0-9 _``, does not begin with a digit, and is unique without regard to case;
XML forbids most control characters, which JSON allows. SAS may receive the stream as one long
line, so a line break inside a value is written as a character reference.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from connector_proxy.intake import Path, shown_path
from connector_proxy.records import Payload, Renaming, Request, Stream

SAS_NAME_LENGTH = 32
_STEM = 25
"""Characters of a name that stay in front of any number."""

PLACEHOLDER = re.compile(r"\{\{\s*stpName\s*\}\}", re.IGNORECASE)
"""Where ``stpurl`` takes the name of the stored process."""

_LEGAL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_ILLEGAL_IN_NAME = re.compile(r"[^A-Za-z0-9_]")
_ILLEGAL_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAKS = str.maketrans({"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})
_RESERVED = frozenset({"_n_", "_error_", "_all_", "_numeric_", "_character_", "_char_", "_null_"})
"""Names that mean something else in a DATA step and cannot be a column."""

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSS_TEXT = (
    "http://docs.oasis-open.org/wss/2004/01/"
    "oasis-200401-wss-username-token-profile-1.0#PasswordText"
)


def encode(payload: Payload, stp_name: str) -> Stream:
    """Write a payload as ``<Table><InData>`` with one flat element a value, in document order.

    null, an empty list and an empty object are empty elements; true and false lower case;
    numbers as written. The second and later items of a list are numbered (``name_2``), the
    fields of an object in a list carry its number (``name_1_field``). A leaf name that already
    stands there takes its qualified name (``sendParameters_taskName``), then a number.
    ``stp_name`` becomes an element of its own where the payload has none of that name.
    """
    names = _Names()
    parts: list[str] = []
    blanked = 0
    for path, leaf, qualified, value in _members(payload):
        name = names.take(path, leaf, qualified)
        text, lost = _xml_text(value)
        blanked += lost
        parts.append(f"<{name}>{text}</{name}>" if text else f"<{name}/>")
    if "stpname" not in names.taken:
        parts.append(f"<stpName>{_xml_text(stp_name)[0]}</stpName>")
    document = f"<Table><InData>{''.join(parts)}</InData></Table>"
    return Stream(document.encode("ascii", "xmlcharrefreplace"), tuple(names.renamings), blanked)


_KEPT = 256
"""Characters of a name that are looked at: with half a megabyte of key above 10,000 leaves, whole
names would cost gigabytes."""

_Leaf = tuple[Path, str, str, Any]
"""One value without children: (path, leaf name, qualified name, value)."""


def _members(
    members: Payload, path: Path = (), leaf: str = "", qualified: str = ""
) -> Iterator[_Leaf]:
    """The leaves of an object; ``leaf`` and ``qualified`` stand before each of their names."""
    for key, child in members.items():
        yield from _leaves(child, (*path, key), (leaf + key)[:_KEPT], (qualified + key)[:_KEPT])


def _leaves(value: Any, path: Path, leaf: str, qualified: str) -> Iterator[_Leaf]:
    if isinstance(value, dict) and value:
        yield from _members(value, path, "", f"{qualified}_")
    elif isinstance(value, list) and value:
        for number, item in enumerate(value, start=1):
            yield from _item(item, (*path, number - 1), leaf, qualified, number)
    else:
        yield path, leaf, qualified, value


def _item(item: Any, path: Path, leaf: str, qualified: str, number: int) -> Iterator[_Leaf]:
    if isinstance(item, dict) and item:
        yield from _members(item, path, f"{leaf}_{number}_", f"{qualified}_{number}_")
    else:
        suffix = "" if number == 1 else f"_{number}"
        yield from _leaves(item, path, leaf + suffix, qualified + suffix)


class _Names:
    """Hands out element names that SAS can hold, each once."""

    def __init__(self) -> None:
        self.taken = set(_RESERVED)
        self.renamings: list[Renaming] = []
        self._numbers: dict[str, int] = {}

    def take(self, path: Path, leaf: str, qualified: str) -> str:
        name = self._free(legal_name(leaf), qualified)
        self.taken.add(name.lower())
        if name != path[-1]:
            self.renamings.append(Renaming(shown_path(path), name))
        return name

    def _free(self, name: str, qualified: str) -> str:
        if name.lower() not in self.taken:
            return name
        if len(qualified) <= SAS_NAME_LENGTH:
            outer = legal_name(qualified)
            if outer.lower() not in self.taken:
                return outer
        return self._numbered(name)

    def _numbered(self, name: str) -> str:
        # The count of all names that begin alike goes on where it stood: 100,000 stay linear.
        stem = name[:_STEM].lower()
        number = self._numbers.get(stem, 1)
        while True:
            number += 1
            numbered = f"{name[: SAS_NAME_LENGTH - len(str(number)) - 1]}_{number}"
            if numbered.lower() not in self.taken:
                self._numbers[stem] = number
                return numbered


def legal_name(text: str) -> str:
    """A SAS name made of any text: accents dropped, the rest that is not legal becomes ``_``."""
    if _LEGAL_NAME.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text.strip())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    name = _ILLEGAL_IN_NAME.sub("_", plain) or "_"
    return ("_" + name if name[0].isdigit() else name)[:SAS_NAME_LENGTH]


def _xml_text(value: Any) -> tuple[str, int]:
    """The text of one value, escaped, and how many illegal characters became a blank."""
    if isinstance(value, str):
        text = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if text.isprintable():  # nearly all are, and none of what follows is
            return text, 0
        text, lost = _ILLEGAL_IN_XML.subn(" ", text)
        return text.translate(_LINE_BREAKS), lost
    if isinstance(value, bool):
        return ("true" if value else "false"), 0
    return "", 0


def destination_url(template: str, stp_name: str) -> str:
    """The address of a stored process: ``stpurl`` with the name put in.

    The name is quoted as one path segment with nothing left unquoted. A deployed web service
    (``/SASBIWS/rest/<service>/…``, not ``…/storedProcesses/…``) knows its stored processes by
    their names without blanks. Blanks in the template become ``%20``; a ``%20`` stays.
    """
    if _is_deployed_service(template):
        stp_name = stp_name.replace(" ", "")
    before, after = PLACEHOLDER.split(template, maxsplit=1)
    safe = "%/:?&=;,+@()'!*~[]$"
    return quote(before, safe=safe) + quote(stp_name, safe="") + quote(after, safe=safe)


def _is_deployed_service(template: str) -> bool:
    path = urlsplit(template).path.lower()
    found = re.search(r"/sasbiws/(rest|services)/([^/]*)", path)
    return found is not None and found[2] != "storedprocesses"


def is_soap(url: str) -> bool:
    """Whether ``url`` belongs to the SOAP family (``/SASBIWS/services/``)."""
    return "/sasbiws/services/" in url.lower()


def is_raw(url: str) -> bool:
    """Whether ``url`` asks for one stream as it is, without an envelope
    (``/dataTargets/_WEBOUT``; ``/streams/_WEBOUT`` in SAS 9.3)."""
    return bool(re.search(r"/(datatargets|streams)/[^/]+/?$", urlsplit(url).path.lower()))


def build_request(
    template: str, stp_name: str, stream: Stream, user: str = "", password: str = ""
) -> Request:
    """The POST that hands ``stream`` to a stored process (SASBIWS developer's guide).

    REST: plain XML whose root is named after the stored process, with ``streams``,
    ``instream`` and ``Value``. SOAP 1.1: the same inside an envelope. Where a user is given,
    Basic authentication is sent at once, and SOAP carries a UsernameToken as well.
    """
    url = destination_url(template, stp_name)
    root = _root_name(stp_name)
    content = b"<%b><streams><instream><Value>%b</Value></instream></streams></%b>" % (
        root,
        stream.document,
        root,
    )
    headers = {"Accept": "*/*", "User-Agent": "connector-proxy"}
    if user:
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {token}"
    if is_soap(url):
        headers |= {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
        return Request(url, headers, _envelope(content, user, password))
    headers["Content-Type"] = "application/xml; charset=UTF-8"
    return Request(url, headers, content)


def _root_name(stp_name: str) -> bytes:
    """The name without blanks, as a legal XML name; SAS ignores it where it calls by path."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", stp_name.replace(" ", ""))
    return (name if re.match(r"[A-Za-z_]", name) else "_" + name).encode("ascii")


def _envelope(content: bytes, user: str, password: str) -> bytes:
    header = ""
    if user:
        header = (
            f'<s:Header><w:Security xmlns:w="{_WSSE}"><w:UsernameToken>'
            f"<w:Username>{_xml_text(user)[0]}</w:Username>"
            f'<w:Password Type="{_WSS_TEXT}">{_xml_text(password)[0]}</w:Password>'
            "</w:UsernameToken></w:Security></s:Header>"
        )
    opening = f'<s:Envelope xmlns:s="{_SOAP}">{header}<s:Body>'
    return opening.encode("ascii", "xmlcharrefreplace") + content + b"</s:Body></s:Envelope>"
