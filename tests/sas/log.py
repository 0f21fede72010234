"""The SAS log: NOTE, WARNING and ERROR lines, redirected by PROC PRINTTO."""

from __future__ import annotations

from collections.abc import Callable


class Log:
    """Lines in the order of writing. ``severity`` is told of each WARNING (4) and ERROR (8).

    ``everything`` keeps what went to any destination; ``lines`` what went to the session's log.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.everything: list[str] = []
        self.redirect: Callable[[str], None] | None = None

    def write(self, line: str) -> None:
        """One line as it is."""
        for part in line.split("\n"):
            self.everything.append(part)
            if self.redirect:
                self.redirect(part)
            else:
                self.lines.append(part)

    def note(self, text: str) -> None:
        """A NOTE line."""
        self.write(f"NOTE: {text}")

    def warning(self, text: str) -> None:
        """A WARNING line; whoever writes it raises the return code himself."""
        self.write(f"WARNING: {text}")

    def error(self, text: str) -> None:
        """An ERROR line; whoever writes it raises the return code himself."""
        self.write(f"ERROR: {text}")
