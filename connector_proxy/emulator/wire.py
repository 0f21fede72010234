"""What goes over the wire of the pretend SAS BI Web Services: requests taken apart, replies
written. Plain values in, plain values out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus, urlsplit
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from connector_proxy.destinations import embedded


@dataclass(frozen=True)
class Ran:
    """What a fake stored process left behind: its ``_WEBOUT``, SYSCC and SYSMSG."""

    webout: bytes
    syscc: int = 0
    message: str = ""
    content_type: str = "text/xml;charset=utf-8"


StoredProcess = Callable[[bytes], Ran]
"""Takes the bytes of ``instream``."""


@dataclass(frozen=True)
class Call:
    """One call taken apart: family, name, the one stream asked for, deployed service or not."""

    soap: bool
    stp_name: str
    target: str
    by_path: bool


def call_of(path: str) -> Call | None:
    """The call that a path asks for, or None when there is no service."""
    parts = [unquote_plus(part) for part in urlsplit(path).path.split("/") if part]
    if len(parts) < 3 or parts[0] != "SASBIWS" or parts[1] not in ("rest", "services"):
        return None
    target = ""
    if len(parts) > 4 and parts[-2] in ("dataTargets", "streams"):
        target = parts[-1]
        parts = parts[:-2]
    by_path = parts[2] == "storedProcesses"
    return Call(parts[1] == "services", parts[-1], target, by_path)


class Fault(Exception):
    """A fault with its code (1000 to 5000), and SYSCC where a program ran."""

    def __init__(self, code: int, message: str, syscc: int = 0) -> None:
        super().__init__(message)
        self.code, self.syscc = code, syscc


def as_told(ran: Ran, fail: str) -> Ran:
    """What the stored process left, changed as the switch says."""
    match fail:
        case "fault-3000":
            return Ran(b"", 1012, "File WORK.INDATA.DATA does not exist.")
        case "warning":
            return replace(ran, syscc=4, message="The variable name was truncated.")
        case "own-error":
            return Ran(embedded.result_document("error", code="9", message="No such library."))
        case "nothing-written":
            return replace(ran, webout=b"", content_type="text/plain")
        case "text":
            return Ran(b"12 rows & 3 columns", content_type="text/plain")
    return ran


def _base_name(stp_name: str) -> str:
    """What a reply is named after: no blanks, the first letter in lower case (observed), and
    what no XML name may hold replaced (inferred)."""
    name = re.sub(r"[^\w.-]", "_", stp_name.replace(" ", ""))
    return name[:1].lower() + name[1:] if name[:1].isalpha() else "_" + name


def _streams(ran: Ran, form: str) -> str:
    if not ran.webout:
        return ""
    text = ran.webout.decode()
    kind = ran.content_type
    if form == "base64":
        kind, value = "application/octet-stream", base64.b64encode(ran.webout).decode()
    elif form == "cdata":
        value = f"<![CDATA[{text}]]>"
    elif "xml" in kind:
        value = text[text.find("?>") + 2 :] if text.startswith("<?xml") else text
    else:
        value = escape(text)
    stream = f"<_WEBOUT contentType={quoteattr(kind)}><Value>{value}</Value></_WEBOUT>"
    return f"<Streams>{stream}</Streams>"


def _soap(content: str) -> str:
    namespace = "http://schemas.xmlsoap.org/soap/envelope/"
    return (
        f'<soapenv:Envelope xmlns:soapenv="{namespace}"><soapenv:Body>{content}'
        "</soapenv:Body></soapenv:Envelope>"
    )


def result_document(call: Call, ran: Ran, form: str) -> str:
    """The reply of a stored process that ran; ``form`` is how its output is wrapped."""
    base = _base_name(call.stp_name)
    result = f"<{base}Result>{_streams(ran, form)}</{base}Result>"
    document = f"<{base}Response>{result}</{base}Response>"
    return _soap(document) if call.soap else document


def fault_document(fault: Fault, soap: bool) -> str:
    """The body of a fault; its form at ``/rest/`` is inferred."""
    words = quoteattr(str(fault))
    inner = f'<Fault code="{fault.code}"><Exception message={words}>'
    if fault.syscc:
        inner += f"<SYSCC>{fault.syscc}</SYSCC><SYSMSG>{escape(str(fault))}</SYSMSG>"
    inner += "</Exception></Fault>"
    if not soap:
        return inner
    return _soap(
        "<soapenv:Fault><faultcode>soapenv:Server</faultcode>"
        f"<faultstring>{escape(str(fault))}</faultstring><detail>{inner}</detail></soapenv:Fault>"
    )


def instream(body: bytes, call: Call) -> bytes:
    """What the stored process reads: the bytes of the children of ``Value``, or nothing."""
    element: etree._Element | None = _content(body, call)
    for name in ("streams", "instream", "Value"):
        element = _child(element, name)
    return _inner_bytes(element)


def _content(body: bytes, call: Call) -> etree._Element:
    """The element that holds ``streams``; its name must fit where a service is called."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        raise Fault(2000, "the request is not well-formed XML") from None
    content: etree._Element | None = root
    if call.soap:
        inside = _child(root, "Body")
        content = next(_elements(inside), None) if inside is not None else None
    if content is None:
        raise Fault(2000, "the request has no content")
    if not call.by_path and etree.QName(content).localname != call.stp_name.replace(" ", ""):
        raise Fault(2000, "the request is not named after the stored process")
    return content


def _child(element: etree._Element | None, name: str) -> etree._Element | None:
    if element is None:
        return None
    return next((e for e in element.iterchildren(f"{{*}}{name}")), None)


def _inner_bytes(value: etree._Element | None) -> bytes:
    if value is None:
        return b""
    children = [deepcopy(child) for child in _elements(value)]
    for child in children:
        etree.cleanup_namespaces(child)  # those of the envelope are not the stream's
    return (
        b"".join(etree.tostring(child, with_tail=False) for child in children)
        or (value.text or "").encode()
    )


def _elements(value: etree._Element) -> Iterator[etree._Element]:
    return (child for child in value if isinstance(child.tag, str))


def element_text(document: bytes, name: str) -> str:
    """The text of an element of a stream, or nothing."""
    try:
        return etree.fromstring(document).findtext(f".//{name}") or ""
    except (etree.XMLSyntaxError, ValueError):
        return ""
