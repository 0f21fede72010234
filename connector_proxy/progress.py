"""How far a long work is: bar, rate and time left, on a line of its own."""

from __future__ import annotations

import sys
import time

import click

_EVERY_SECONDS = 0.1


class Progress:
    """A line on a terminal that is written anew as the work goes on; nothing where the output
    goes elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._what, self._since, self._begun_with, self._last = "", 0.0, 0, 0.0

    def tell(self, what: str, done: int, total: int | None) -> None:
        """``what`` is done at the moment; so many bytes of all, or of an unknown number, are."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._since, self._begun_with = what, now, done
        if self._shown and now - self._last > _EVERY_SECONDS:
            self._last = now
            self._write(self.line(done, total))

    def line(self, done: int, total: int | None) -> str:
        """The line in words. What was there before the work began counts for no rate."""
        seconds = max(time.monotonic() - self._since, 0.001)
        rate = (done - self._begun_with) / seconds
        told = f"{self._what:<11} {done / 1e6:,.0f} MB  {rate / 1e6:,.0f} MB/s"
        if not total:
            return told
        part = min(done / total, 1.0)
        left = f"  {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        return f"{self._what:<11} [{'#' * round(20 * part):<20}] {part:4.0%} {told[11:]}{left}"

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            self._write("")
            click.echo("\r", nl=False, err=True)

    def _write(self, text: str) -> None:
        click.echo(f"\r{text:<79}", nl=False, err=True)
