"""What one setting is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_INI = "serviceConfig.ini"
CREDENTIALS_INI = "credentials.ini"
SERVICE_PY = "serviceConfig.py"


@dataclass(frozen=True)
class Key:
    """One setting: the file it stands in, how its text is understood, its value without a word
    of the administrator, whether ``[stp:NAME]`` may change it, and its sentence.

    ``parse`` takes the text and the folder that relative paths count from, and raises
    ``ValueError`` with what to write instead.
    """

    name: str
    file: str
    parse: Callable[[str, Path], Any]
    default: str
    per_stp: bool
    sentence: str
