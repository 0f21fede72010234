"""Secrets that others present to us: one or several, each as it is or hashed.

A hashed secret is ``scrypt:N:R:P:SALT:HASH`` (RFC 7914): the base-2 logarithm of its cost, block
size and parallelism, then salt and hash as base64 of URLs. Checking one takes a tenth of a
second and 16 MB on purpose; a value that was once found good is known again by a quick digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

_COST, _BLOCK, _PARALLEL = 14, 8, 5
"""As the password storage cheat sheet of OWASP has it for 16 MB."""

_SALT_BYTES, _HASH_BYTES = 16, 32
_MAX_MEMORY = 128 * 1024 * 1024
_MAX_COST, _MAX_BLOCK, _MAX_PARALLEL = 16, 8, 16
_SIGN = "scrypt:"
_HASHED = re.compile(
    r"scrypt:(\d{1,2}):(\d{1,2}):(\d{1,2}):([\w-]{16,86}):([\w-]{22,86})", re.ASCII
)


@dataclass(frozen=True)
class _Hashed:
    cost: int
    block: int
    parallel: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def matches(self, presented: bytes) -> bool:
        size = len(self.digest)
        made = _scrypt(presented, self.salt, (self.cost, self.block, self.parallel), size)
        return hmac.compare_digest(made, self.digest)


def _scrypt(text: bytes, salt: bytes, cost: tuple[int, int, int], size: int) -> bytes:
    return hashlib.scrypt(
        text, salt=salt, n=1 << cost[0], r=cost[1], p=cost[2], maxmem=_MAX_MEMORY, dklen=size
    )


def hashed(secret: str) -> str:
    """``secret`` as a text that cannot be turned back; another one each time."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(secret.encode(), salt, (_COST, _BLOCK, _PARALLEL), _HASH_BYTES)
    return f"{_SIGN}{_COST}:{_BLOCK}:{_PARALLEL}:{_text(salt)}:{_text(digest)}"


def split(text: str) -> tuple[str, ...]:
    """The secrets in ``text``, separated by commas.

    Raises ``ValueError`` where one begins like a hashed secret and is none.
    """
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in found:
        if is_hashed(one):
            _parse(one)
    return found


def is_hashed(secret: str) -> bool:
    """Whether one of the secrets that ``split`` gives is hashed."""
    return secret.startswith(_SIGN)


_MOST_LOOKED_AT = 4
LONG_ENOUGH = 16
"""Characters of a secret that nobody guesses, where it is made of random ones."""


def shortest(text: str) -> int:
    """The number of characters of the shortest plain secret in ``text``; very large where all are
    hashed."""
    return min((len(one) for one in split(text) if not is_hashed(one)), default=sys.maxsize)


def _parse(text: str) -> _Hashed:
    found = _HASHED.fullmatch(text)
    if found:
        cost, block, parallel = map(int, found.groups()[:3])
        known = 1 <= cost <= _MAX_COST and 1 <= block <= _MAX_BLOCK
        if known and 1 <= parallel <= _MAX_PARALLEL:
            try:
                return _Hashed(cost, block, parallel, _bytes(found[4]), _bytes(found[5]))
            except binascii.Error:
                pass
    raise ValueError("a hashed secret is damaged; make it anew with connector-proxy hash-secret")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


class TooBusy(Exception):
    """Too many different values are looked at already; nothing is known of this one."""


class Presented:
    """Tells whether what somebody presents is one of the secrets in a text (see ``split``).

    Every comparison looks at all of them and takes the same time for each. For a hashed secret
    the one value that was found good is remembered as a digest with a key of this process, so
    that it costs its tenth of a second once, and any other value nothing from then on. Until then
    a few values are looked at, one after the other; who comes with the same one waits with it.
    """

    def __init__(self, text: str) -> None:
        self._key = secrets.token_bytes(32)
        known = split(text)
        self._good = [self._quick(one.encode()) for one in known if not is_hashed(one)]
        self._hashed = [_parse(one) for one in known if is_hashed(one)]
        self._slowly = threading.Lock()  # one at a time: wrong ones must not take all memory
        self._looked_at: dict[bytes, Future[bool]] = {}
        self._changing = threading.Lock()

    def matches(self, presented: bytes) -> bool:
        """Whether ``presented`` is one of the secrets; no secret matches an empty one. Raises
        ``TooBusy`` where too many other values are looked at."""
        quick = self._quick(presented)
        return bool(presented) and (self._is_good(quick) or self._matches_hashed(presented, quick))

    def _is_good(self, quick: bytes) -> bool:
        return sum(hmac.compare_digest(quick, good) for good in self._good) > 0

    def _matches_hashed(self, presented: bytes, quick: bytes) -> bool:
        if not self._hashed:
            return False
        with self._changing:
            looked_at = self._looked_at.get(quick)
            mine = looked_at is None
            if looked_at is None:
                if len(self._looked_at) >= _MOST_LOOKED_AT:
                    raise TooBusy
                looked_at = self._looked_at[quick] = Future()
        if not mine:
            return looked_at.result()
        good = False
        try:
            with self._slowly:
                good = self._is_good(quick) or self._is_hashed(presented, quick)
        finally:
            looked_at.set_result(good)
            with self._changing:
                self._looked_at.pop(quick)
        return good

    def _is_hashed(self, presented: bytes, quick: bytes) -> bool:
        for one in self._hashed:
            if one.matches(presented):
                self._good.append(quick)
                self._hashed.remove(one)
                return True
        return False

    def _quick(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._key).digest()
