"""What a check found: where, what, and what to do.

Facts only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Files = Mapping[str, str]
"""A copy of the SAS side: the text of each file by its name below the folder (``code/x.sas``), its
lines ended by LF."""

OUR_FAULT = "Take the file that was shipped (sas diff shows what differs), or put it right."


class Finding(NamedTuple):
    """``line`` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    message: str
    advice: str = OUR_FAULT


def is_program(file: str) -> bool:
    """Whether a file holds SAS code."""
    return file.lower().endswith(".sas")
