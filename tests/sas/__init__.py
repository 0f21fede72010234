"""A test-only interpreter for the subset of SAS that stored_process/ is written in.

It is written from the SAS documentation, not from that code; see README.md in this folder.
"""

from tests.sas.datasets import Column, Dataset
from tests.sas.errors import Fault, Killed, RunnerFault, StepError, Unknown
from tests.sas.session import Run, Session, members, read, write
from tests.sas.values import MISSING, SpecialMissing

__all__ = [
    "MISSING",
    "Column",
    "Dataset",
    "Fault",
    "Killed",
    "Run",
    "RunnerFault",
    "Session",
    "SpecialMissing",
    "StepError",
    "Unknown",
    "members",
    "read",
    "write",
]
