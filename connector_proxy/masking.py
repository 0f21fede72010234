"""What may be shown of texts that can hold a secret or data of customers, in the log or to an
administrator."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from connector_proxy import secrethash
from connector_proxy.ci360 import token
from connector_proxy.records import Payload
from connector_proxy.settings import Settings
from connector_proxy.values import Secret

MASK = "<masked>"
_MASKS: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    ("http", re.compile(r"(\bhttps?:(?:\\?/){2})[^\s/@<>\\]+@", re.IGNORECASE), rf"\1{MASK}@"),
    ("http", re.compile(r"[^\s<>]+"), lambda word: _without_query(word[0])),
    ("x-amz-", re.compile(r"(\bX-Amz-[\w-]{1,40}(?:=|%3D))[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("sig", re.compile(r"(\b(?:sig|signature)=)[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("token", re.compile(r"(\btoken=)[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("basic", re.compile(r"\b(Basic\s+)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1{MASK}"),
    ("bearer", re.compile(r"\b(Bearer\s+)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1{MASK}"),
    ("/files/", re.compile(r"(/files/[0-9a-f]{32}\.)[\w-]+"), rf"\1{MASK}"),
)
"""What a text must hold for a look, the secret, and what is shown instead. Somebody else writes
these texts, so no pattern may look at a letter again and again."""

_URL = re.compile(r"\bhttps?:\\?/", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_QUESTION, _EQUALS = re.compile(r"\?|%3F", re.IGNORECASE), re.compile("=|%3D", re.IGNORECASE)
_SIGNED = re.compile(r"X-Amz-|\b(sig|signature|token)=", re.IGNORECASE)
_ECHO = re.compile(r"X-Amz-|Authorization[\"'\\]*(?:[:=]|%|&)|UsernameToken|InData", re.IGNORECASE)
"""The beginning of headers, credentials or stream of our own request, without blanks."""

_TELLING = frozenset(
    (
        "guid", "eventtype", "eventname", "eventdesignedid", "channeltype", "stpname", "taskid",
        "taskname", "responsetrackingcode", "generatedtimestamp", "externaltenantid",
    )
)  # fmt: skip
"""Members of an event that say which one it is, and nothing of the customer."""

_LEAST, _LONG = 2, 6
_FOREIGN_LENGTH = 2000


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the query strings of URLs, without credentials and ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    lower = text.lower()
    for sign, pattern, shown in _MASKS:
        if sign in lower:
            text = pattern.sub(shown, text)
    return text


def masked(value: Any, secrets: Iterable[str] = ()) -> Any:
    """A value of JSON with every text in it masked."""
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        return {name: masked(member, secrets) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [masked(member, secrets) for member in value]
    return value


def foreign(text: str, secrets: Iterable[str], private: Iterable[str] = ()) -> str:
    """What another program said, on one line of at most 2,000 characters.

    It may hold our request in any shape, wrapped or encoded: whatever stands behind the
    beginning of a query string, of credentials, of the stream or of one of the ``private`` texts
    is left out altogether.
    """
    text = " ".join(text.split())
    start = min(_quotes(text, tuple(private)), default=None)
    if start is not None:
        text = f"{text[:start]}?{MASK} (the rest is left out)"
    return shorten(mask(text, secrets), _FOREIGN_LENGTH)


def _quotes(text: str, private: Sequence[str]) -> Iterator[int]:
    """Where ``text`` begins to quote our request. A line that was broken inside of a word is
    found, too; short texts only where they are words."""
    places = [place for place, letter in enumerate(text) if letter != " "]
    squeezed = text.replace(" ", "")
    yield from _queries(text)
    for found in (_SIGNED.search(text), _words(private, text)):
        if found:
            yield found.start()
    if echo := _ECHO.search(squeezed):
        yield places[echo.start()]
    for one in private:
        place = squeezed.find(one.replace(" ", "")) if len(one) >= _LONG else -1
        if place >= 0:
            yield places[place]


def _without_query(word: str) -> str:
    """A word without what stands behind the question mark of a URL in it."""
    url = _URL.search(word)
    mark = word.find("?", url.end()) if url else -1
    return f"{word[: mark + 1]}{MASK}" if 0 <= mark < len(word) - 1 else word


def _queries(text: str) -> Iterator[int]:
    """Where the first word with a query string has its question mark."""
    for word in _WORD.finditer(text):
        mark = _QUESTION.search(word[0])
        if mark and _EQUALS.search(word[0], mark.end()):
            yield word.start() + mark.start()
            return


def _words(private: Sequence[str], text: str) -> re.Match[str] | None:
    """The first of the ``private`` texts that stands there as a word, in any case."""
    lower = text.lower()
    words = "|".join(re.escape(one) for one in private if one.lower() in lower)
    return re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE) if words else None


def shown_payload(payload: Payload) -> Payload:
    """A payload as it may be shown: of a task without the query strings of its URLs, of an event
    with the names of its members and the values of those alone that say which event it is."""
    if _is_event(payload):
        return {name: _shown(name, member) for name, member in payload.items()}
    shown: Payload = masked(payload)
    return shown


def _is_event(payload: Payload) -> bool:
    return "presignedUrls" not in payload


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(key, member) for key, member in value.items()}
    if isinstance(value, list):
        return [_shown(name, member) for member in value]
    hidden = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    return MASK if hidden and not _tells(name) else value


def _tells(name: str) -> bool:
    return name.strip().lower() in _TELLING


def private_texts(payload: Payload) -> list[str]:
    """Every text of an event that ``shown_payload`` leaves out, in the shapes in which another
    program may quote it; the longest first. A task has none: its data is in its files."""
    if not _is_event(payload):
        return []
    found = {
        " ".join(shape.split())
        for value in _leaves("", payload)
        for shape in _shapes(str(value))
        if len(shape.strip()) >= _LEAST
    }
    return sorted(found, key=len, reverse=True)


def _leaves(name: str, value: Any) -> Iterator[Any]:
    """The values that ``_shown`` hides."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(key, member)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(name, member)
    elif _shown(name, value) == MASK:
        yield value


def secrets_of(settings: Settings) -> list[str]:
    """Every secret text of the configuration, in the shapes in which it may come back."""
    shapes: dict[str, None] = {}
    for own in settings.each():
        shapes |= _of_destination(own)
    for presented in secrethash.split(settings.basicpassword.reveal()):
        shapes |= _of_password(settings.basicuser.reveal(), presented)
    for secret in (settings.bearertoken, settings.headervalue, settings.opssecret):
        for presented in secrethash.split(secret.reveal()):
            shapes |= dict.fromkeys(_shapes(presented))
    if password := settings.smtppassword.reveal():
        shapes |= _of_password(settings.smtpuser.reveal(), password) | _of_mail(settings)
    if address := settings.alerturl.reveal():
        path = address.partition("://")[2].partition("/")[2]
        shapes |= dict.fromkeys((address, path or address))
    shapes |= _of_gateway(settings.tenantid.reveal(), settings.gatewaysecret.reveal())
    return sorted(shapes, key=len, reverse=True)


def _of_destination(own: Settings) -> dict[str, None]:
    """The secrets that a stored process or another destination may have of its own."""
    shapes: dict[str, None] = {}
    if password := own.stppassword.reveal():
        shapes |= _of_password(own.stpusername.reveal(), password)
    for url in filter(None, (own.queueurl, own.datasettable)):
        shapes[url.reveal()] = None
        password = unquote(urlsplit(url.reveal()).password or "")
        shapes |= dict.fromkeys(_shapes(password) if password else ())
    for secret in own.own.values():
        if isinstance(secret, Secret) and secret:
            text = secret.reveal()
            signed = [value for name, value in parse_qsl(text) if name == "sig"]  # sastoken
            for one in (text, *signed):
                shapes |= dict.fromkeys(_shapes(one))
    return shapes


def _of_gateway(tenant: str, secret: str) -> dict[str, None]:
    """The secret of an access point, what it signs with, and the token that it makes."""
    if not secret:
        return {}
    made = (token.key(secret).decode(), token.token(tenant, secret))
    return dict.fromkeys((*_shapes(secret), *made))


def _of_password(user: str, password: str) -> dict[str, None]:
    """A password, and user and password as Basic authentication sends them."""
    shapes = dict.fromkeys([base64.b64encode(f"{user}:{password}".encode()).decode()])
    for shape in _shapes(password):
        shapes |= {shape: None, " ".join(shape.split()): None}
    return shapes


def _of_mail(settings: Settings) -> dict[str, None]:
    """User and password as SMTP sends them: PLAIN (RFC 4616) and LOGIN."""
    user, password = settings.smtpuser.reveal(), settings.smtppassword.reveal()
    sent = (f"\0{user}\0{password}", password)
    return dict.fromkeys(base64.b64encode(one.encode()).decode() for one in sent)


def _shapes(text: str) -> tuple[str, ...]:
    """``text`` as it may stand in HTML, in our own SOAP request, in a URL, in JSON."""
    xml = escape(text, quote=False).encode("ascii", "xmlcharrefreplace").decode()
    return (
        text,
        escape(text),
        escape(text, quote=False),
        xml,
        quote(text, safe=""),
        json.dumps(text)[1:-1],
    )


_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))},
    **{ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): " ", 0x2028: "\\u2028", 0x2029: "\\u2029"},
}


def printable(text: str) -> str:
    """``text`` on one line, whatever it holds."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def shorten(text: str, length: int = 80) -> str:
    """``text`` for a log line: at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."
