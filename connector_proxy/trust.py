"""Which certificates are trusted, whoever is called, and how a proxy is called on the way."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import urllib3


def context(bundle: Path | None) -> ssl.SSLContext:
    """Those in the PEM file ``bundle`` alone; without one those of the system, and the well-known
    ones besides: on Windows the system's store is filled only on demand."""
    made = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    if not bundle:
        made.load_verify_locations(certifi.where())
    return made


def pool(trusted: ssl.SSLContext, proxy: str) -> urllib3.PoolManager:
    """Connections that trust these certificates, by way of ``proxy`` where there is one."""
    if not proxy:
        return urllib3.PoolManager(ssl_context=trusted)
    return urllib3.ProxyManager(proxy, ssl_context=trusted, proxy_ssl_context=trusted)
