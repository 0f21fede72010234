"""Which certificates are trusted, whoever is called."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi


def context(bundle: Path | None) -> ssl.SSLContext:
    """Those in the PEM file ``bundle`` alone; without one those of the system, and the well-known
    ones besides: on Windows the system's store is filled only on demand."""
    made = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    if not bundle:
        made.load_verify_locations(certifi.where())
    return made
