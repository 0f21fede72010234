"""Failed tries to get in, counted by address."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connector_proxy.access import plain

_PREFIX = 64
"""Of an IPv6 address: a household or a machine gets as many addresses as it likes."""


@dataclass
class _Failed:
    since: float
    count: int = 0


class Tries:
    """Who failed ``most`` times within ``seconds`` is not listened to until they are over.

    At most ``addresses`` are remembered; those that failed last stay. Safe to use from many
    threads.
    """

    def __init__(
        self,
        most: int = 10,
        seconds: float = 60.0,
        addresses: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self._seconds = seconds
        self._addresses = addresses
        self._clock = clock
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._changing = threading.Lock()

    def wait(self, address: str) -> int:
        """Seconds until ``address`` may try again; 0: now."""
        if not self._failed:  # as nearly always
            return 0
        found = self._failed.get(_who(address))
        if found is None or found.count < self.most:
            return 0
        return max(0, math.ceil(found.since + self._seconds - self._clock()))

    def failed(self, address: str) -> int:
        """Count one more; returns how many there are now."""
        who, now = _who(address), self._clock()
        with self._changing:
            found = self._failed.pop(who, None)
            if found is None or now - found.since >= self._seconds:
                found = _Failed(now)
            found.count += 1
            self._failed[who] = found
            while len(self._failed) > self._addresses:
                self._failed.popitem(last=False)
            return found.count


def _who(address: str) -> str:
    try:
        known = plain(ipaddress.ip_address(address))
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    return str(ipaddress.ip_network((int(known), _PREFIX), strict=False))
