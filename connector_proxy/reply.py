"""Status, headers and body of a stored process's answer in, an ``Outcome`` out.

Facts only. The table is that of the BI Web Services guide with the gaps closed by caution: what
was sent and has no clear end is ``unknown``, never ``retry``; HTML is never a success.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from itertools import islice

from lxml import etree

from connector_proxy import outcomes
from connector_proxy.records import Outcome

_OWN_NUMBERS = ("rows", "columns", "rejectedRows", "unreadableValues")
_OWN_TEXT = re.compile(r"[\w .,()-]{1,128}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def read_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    raw: bool,
    complete: bool = True,
    delimited: bool = True,
) -> Outcome:
    """Judge one reply.

    ``status`` is the HTTP status, ``body`` the bytes received (``complete``: all there were,
    ``delimited``: it was told how many), ``raw`` tells that one stream was asked for without its
    envelope. Header names are matched as the mapping given does. Never raises for anything a
    server may send.
    """
    by_status = _by_status(status, headers, body)
    if by_status:
        return by_status
    if not complete:
        return outcomes.not_sasbiws(status, body, "it is too long")
    if (headers.get("Content-Encoding") or "identity").lower() != "identity":
        return outcomes.not_sasbiws(status, b"", "it is compressed, which was not asked for")
    root = _parsed(body, headers.get("Content-Type", ""))
    if root is None and not delimited and 200 <= status < 300:
        return outcomes.unknown(status, "its answer may have been cut")
    fault = _fault(root, status, raw) if root is not None else None
    if fault:
        return fault
    if _is_html(headers, body):
        return _html(status, body)
    if not 200 <= status < 300:
        return outcomes.not_sasbiws(status, body)
    return _raw(status, headers, body, root) if raw else _envelope(status, body, root)


def _by_status(status: int, headers: Mapping[str, str], body: bytes) -> Outcome | None:
    if status in (401, 403):
        return outcomes.credentials(status, "HTTP status " + str(status), body)
    if status == 404:
        return outcomes.not_callable(status, "there is no stored process at that address", body)
    if status in (429, 503):
        return outcomes.busy(status, _seconds(headers.get("Retry-After", "")))
    if status == 502:
        return outcomes.unreachable(status, "the front end has no connection to the SAS server")
    if status == 504:
        return outcomes.unknown(status, "the front end stopped waiting for the stored process")
    if 300 <= status < 400:
        return outcomes.logon_page(status, "it redirects to another page")
    return None


def _seconds(text: str) -> int | None:
    """Retry-After in seconds, at most a day; None for its form with a date."""
    return min(int(text), 86_400) if re.fullmatch(r"\d{1,9}", text.strip()) else None


def _parsed(body: bytes, content_type: str = "") -> etree._Element | None:
    """The root of an XML body without a DOCTYPE, or None. Entities are never expanded, and
    libxml2's own limits (256 levels, 10 MB a text) stay on. The charset of the content type
    counts where the document does not tell its own."""
    body = body.lstrip(b" \r\n\t")
    if not body.startswith((b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    charset = re.search(r"charset=[\"']?([\w-]{1,40})", content_type)
    for encoding in (None, charset[1]) if charset else (None,):
        try:
            root = etree.fromstring(body, _parser(encoding))
        except (etree.XMLSyntaxError, ValueError, LookupError):
            continue
        return None if root.getroottree().docinfo.doctype else root
    return None


def _parser(encoding: str | None) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, encoding=encoding
    )


def _elements(root: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    for element in root.iter(etree.Element):
        yield _local(element), element


def _text(element: etree._Element) -> str:
    return "".join(element.itertext(etree.Element)).strip()


def _fault(root: etree._Element, status: int, raw: bool) -> Outcome | None:
    """The outcome of a fault document, whichever family it came from.

    What a stored process writes is no fault of the web service: below ``Value``, and in a raw
    stream whose root is no fault and no envelope.
    """
    if raw and _local(root) not in ("Fault", "Exception", "Envelope"):
        return None
    faults = list(islice(_faults(root), 16))
    if not faults:
        return None
    code = next((_fault_code(e) for e in faults if _fault_code(e)), 0)
    return _by_fault_code(code, status, "\n".join(dict.fromkeys(_fault_words(faults[0]))))


def _faults(root: etree._Element) -> Iterator[etree._Element]:
    """Faults in document order, those below ``Value`` left out."""
    walk = etree.iterwalk(root, events=("start",))
    for _, element in walk:
        if not isinstance(element.tag, str):
            continue
        if _local(element) == "Value":
            walk.skip_subtree()
        elif _local(element) in ("Fault", "Exception"):
            yield element


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _fault_code(element: etree._Element) -> int:
    for name, value in element.attrib.items():
        if etree.QName(name).localname.lower() == "code" and value.strip().isdecimal():
            return int(value.strip()[:9])
    found = re.search(r"\b([1-5]000)\b", _text_of_child(element, "faultcode"))
    return int(found[1]) if found else 0


def _text_of_child(element: etree._Element, name: str) -> str:
    return next((_text(child) for child in element if _is(child, name)), "")


def _is(element: etree._Element, name: str) -> bool:
    return isinstance(element.tag, str) and _local(element).lower() == name.lower()


def _fault_words(fault: etree._Element) -> Iterator[str]:
    """What SAS says in a fault and the faults inside it."""
    for element in islice(fault.iter(etree.Element), 500):
        name = _local(element).lower()
        if name in ("syscc", "sysmsg"):
            yield f"{name.upper()}={_text(element)}"
        elif name == "faultstring":
            yield _text(element)
        for attribute, value in element.attrib.items():
            if attribute.lower().endswith("message"):
                yield value


def _by_fault_code(code: int, status: int, words: str) -> Outcome:
    match code:
        case 1000:
            return outcomes.credentials(status, "fault 1000", words)
        case 2000:
            return outcomes.not_callable(status, "fault 2000: name, prompt or payload", words)
        case 4000:
            return outcomes.unreachable(
                status, "fault 4000: metadata or stored process server", words
            )
        case 5000:
            return outcomes.unknown(
                status, "fault 5000: the stored process ran out of its time", words
            )
    return outcomes.sas_error(status, words)


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    start = body[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return "html" in headers.get("Content-Type", "").lower() or start.startswith(
        (b"<!doctype html", b"<html")
    )


def _html(status: int, body: bytes) -> Outcome:
    lower = body[:65536].lower()
    if 200 <= status < 300 or b"password" in lower or b"saslogon" in lower:
        return outcomes.logon_page(status, "it answered with a page for people", body)
    return outcomes.not_sasbiws(status, body)


def _envelope(status: int, body: bytes, root: etree._Element | None) -> Outcome:
    """A reply with its envelope: some element's name ends in ``Response``."""
    if root is None or not any(name.endswith("Response") for name, _ in _elements(root)):
        return outcomes.not_sasbiws(status, body)
    value = next((e for name, e in _elements(root) if name == "Value"), None)
    if value is None:
        return outcomes.done(status)
    document = _own_document(value)
    if document is None and _text(value).startswith("<"):
        return outcomes.not_sasbiws(status, body, "the output inside it is XML that is cut")
    return _own_outcome(status, document)


def _own_document(value: etree._Element) -> etree._Element | None:
    """What the stored process wrote, from below ``Value``: elements, text, CDATA or Base64."""
    child = next((e for e in value if isinstance(e.tag, str)), None)
    if child is not None:
        return child
    text = _text(value)
    stream = value.getparent()
    kind = stream.get("contentType", "") if stream is not None else ""
    if kind and "text" not in kind.lower() and "xml" not in kind.lower():
        try:
            return _parsed(base64.b64decode("".join(text.split()), validate=True))
        except (binascii.Error, ValueError):
            return None
    declaration = re.match(r"<\?xml[^>]*\?>", text)  # of the bytes that it once was
    return _parsed(text[declaration.end() if declaration else 0 :].encode("utf-8"))


def _raw(
    status: int, headers: Mapping[str, str], body: bytes, root: etree._Element | None
) -> Outcome:
    """One stream as it is. XML that cannot be read is not an answer; other text may be one."""
    claims_xml = "xml" in headers.get("Content-Type", "").lower() and bool(body.strip())
    if root is None and (claims_xml or body.lstrip().startswith(b"<")):
        return outcomes.not_sasbiws(status, body)
    return _own_outcome(status, root)


def _own_outcome(status: int, document: etree._Element | None) -> Outcome:
    """Judge by what the stored process says of itself (``stpResult``), if it says anything.

    Without such a document a reply without a fault counts as done: SAS sends one for every
    stored process that kept SYSCC acceptable.
    """
    if document is None:
        return outcomes.done(status)
    own = next((e for name, e in _elements(document) if name.lower() == "stpresult"), None)
    if own is None:
        if document.get("status", "").lower() == "error":
            return outcomes.own_error(status, "", _text(document))
        return outcomes.done(status)
    facts = {_local(child).lower(): _text(child) for child in own.iter(etree.Element)}
    if facts.get("status", "").lower() != "ok":
        return outcomes.own_error(status, facts.get("code", ""), facts.get("message", ""))
    return outcomes.done(status, _own_result(facts))


def _own_result(facts: Mapping[str, str]) -> dict[str, str | int]:
    result: dict[str, str | int] = {}
    for name in _OWN_NUMBERS:
        if re.fullmatch(r"\d{1,15}", facts.get(name.lower(), "")):
            result[name] = int(facts[name.lower()])
    if _OWN_TEXT.fullmatch(facts.get("dataset", "")):
        result["dataSet"] = facts["dataset"]
    if _SHA256.fullmatch(facts.get("sha256", "")):
        result["sha256"] = facts["sha256"].lower()
    return result
