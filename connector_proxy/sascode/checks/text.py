"""Checks of a file as text: characters, lines, what is never closed.

Facts only.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector_proxy.sascode import lexer, site
from connector_proxy.sascode.findings import Files, Finding, is_program

LONGEST_LINE = 100
_LONGEST_OF_WORDS = 120


def check(files: Files) -> Iterator[Finding]:
    """All findings of all files."""
    for file, text in files.items():
        free = _lines_of_the_site(file, text)
        for number, line in enumerate(text.split("\n"), start=1):
            yield from _line(file, number, line, number in free)
        if text and not text.endswith("\n"):
            yield Finding(file, text.count("\n") + 1, "the last line has no line end")
        if is_program(file):
            yield from _unclosed(file, text)


def _lines_of_the_site(file: str, text: str) -> set[int]:
    """Lines whose value an administrator writes: they may hold any letter, and be long."""
    free = set(site.root_lines(text))
    if file == site.CONFIG:
        free |= {setting.line for setting in site.settings(text).values()}
    return free


def _line(file: str, number: int, line: str, free: bool) -> Iterator[Finding]:
    if line.startswith("\ufeff"):
        yield Finding(
            file, number, "the file begins with a byte order mark, which SAS takes for code",
            "Save it without one (in Notepad: ANSI, or UTF-8 without BOM).",
        )  # fmt: skip
        line = line[1:]
    control = next((c for c in line if c < " " or c == "\x7f"), "")
    if control:
        yield Finding(file, number, f"a control character ({control!r}) stands in this line")
    foreign = next((c for c in line if c > "\x7f"), "")
    if foreign and not free:
        yield Finding(
            file, number, f"{foreign!r} is not ASCII, and is another character in another encoding"
        )
    if line.endswith(" "):
        yield Finding(file, number, "the line ends with a blank")
    longest = LONGEST_LINE if file.startswith(("code/", "conf/")) else _LONGEST_OF_WORDS
    if len(line) > longest and not free and not line.startswith("|"):  # a table has no line end
        yield Finding(file, number, f"the line has {len(line)} characters, more than {longest}")


def _unclosed(file: str, text: str) -> Iterator[Finding]:
    found = lexer.tokens(text)
    for token in found:
        if token.kind == "comment" and "/*" in token.text[2:]:
            what = "the comment that opens in this line goes on over another one"
            yield Finding(file, token.line, what, "Close it; what stands between is not read.")
    last = (found or [lexer.Token("space", "", 1)])[-1]
    if last.kind == "open":
        what = "the comment" if last.text == "/*" else f"the quote {last.text}"
        yield Finding(
            file, last.line, f"{what} that opens in this line is never closed, or not in this line",
            "Close it where it opens. SAS would read everything behind it as text.",
        )  # fmt: skip
