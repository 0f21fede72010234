"""How destinations are called: a stored process by its name, another one by its kind and a name,
``upload:archive``. A stored process has no colon in its name, so that each name says what it is."""

from __future__ import annotations

import re

STP, UPLOAD = "stp", "upload"
"""The kinds that come with this package."""
TARGET_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""The name of one destination among several of its kind, and that of a kind."""
_DEFAULT = "default"


def address(kind: str, name: str = "") -> str:
    """The name of a destination of that kind; the one without a name is ``default``."""
    return f"{kind}:{name or _DEFAULT}".lower()


def kind_of(name: str) -> str:
    """The kind of a destination."""
    return name.partition(":")[0] if ":" in name else STP


def section_of(name: str) -> str:
    """The section of serviceConfig.ini that describes a destination; empty for none at all."""
    if kind_of(name) == STP:
        return f"[stp:{name}]" if name else ""
    return f"[{name.removesuffix(':' + _DEFAULT)}]"
