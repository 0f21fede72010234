"""What can go wrong in the runner itself, apart from what SAS would report in its log."""

from __future__ import annotations


class RunnerFault(Exception):
    """The program did something that the runner does not let pass; ``log`` is set by the session."""

    log: str = ""


class Unknown(RunnerFault):
    """Not in the subset: the message names the statement, option, function or format."""


class Fault(RunnerFault):
    """In the subset, but it relies on what SAS does not document, or SAS would only note it."""


class Killed(Exception):
    """Raised by a kill hook: the session dies here, as a process that is killed does."""


class StepError(Exception):
    """An ERROR in the log that ends a step; never leaves the session."""

    def __init__(self, message: str, code: int = 1012) -> None:
        super().__init__(message)
        self.code = code
