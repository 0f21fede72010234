"""Checks of an installation: all files there, one root folder, settings known, complete and used.

Facts only. What is shipped tells which settings there are and which of them are numbers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from connector_proxy.sascode import lexer, site, unit
from connector_proxy.sascode.findings import Files, Finding, is_program
from connector_proxy.sascode.program import Source
from connector_proxy.sascode.site import CONFIG, Setting

_EXPORT = "Export it anew: connector-proxy sas export."


def check(files: Files, shipped: Files, sources: Mapping[str, Source]) -> Iterator[Finding]:
    """All findings of an installation."""
    for file in shipped:
        if file not in files and file != "README.md":
            yield Finding(file, 0, "the file is missing", _EXPORT)
    yield from _roots(files, shipped)
    yield from _includes(files, sources)
    if CONFIG in files:
        yield from _only_settings(files[CONFIG])
        own = site.settings(files[CONFIG])
        yield from _settings(own, site.settings(shipped[CONFIG]))
        yield from _file_folder(own)


def _roots(files: Files, shipped: Files) -> Iterator[Finding]:
    found = {file: site.roots(text) for file, text in files.items() if is_program(file)}
    for file, roots in found.items():
        wanted = len(site.roots(shipped.get(file, "")))
        if file in shipped and len(roots) != wanted:
            yield Finding(
                file, 0, f"{len(roots)} lines begin with %let cp_root = instead of {wanted}",
                "Write it as: %let cp_root = C:\\SAS\\stored_process;",
            )  # fmt: skip
        for line, root in zip(site.root_lines(files[file]), roots, strict=True):
            if issue := site.root_issue(root):
                yield Finding(file, line, f"the root folder {issue}", "Name another folder.")
    everything = sorted({root for roots in found.values() for root in roots})
    if len(everything) > 1:
        what = f"the programs name different root folders: {', '.join(everything)}"
        yield Finding("code", 0, what, "Let cp_root be the same in all of them.")


def _includes(files: Files, sources: Mapping[str, Source]) -> Iterator[Finding]:
    for source in sources.values():
        for line, name in unit.includes(source.code):
            if name not in files:
                yield Finding(source.file, line, f"%include of {name}, which is missing", _EXPORT)


def _only_settings(text: str) -> Iterator[Finding]:
    for statement in lexer.statements(lexer.code(lexer.tokens(text))):
        if not statement or statement[0].low != "%let" or len(statement) < 3:
            yield Finding(
                CONFIG, statement[0].line if statement else 0,
                "something else than a setting stands here",
                "Only lines such as %let debug = 0; belong into this file, and comments.",
            )  # fmt: skip


def _settings(own: Mapping[str, Setting], shipped: Mapping[str, Setting]) -> Iterator[Finding]:
    for name, setting in own.items():
        if name not in shipped:
            nearest = difflib.get_close_matches(name, shipped, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else "remove the line"
            what = f"there is no setting {setting.name}: {hint}"
            yield Finding(CONFIG, setting.line, what, "Without it the shipped value is missing.")
        elif shipped[name].value.isdecimal() and not setting.value.isdecimal():
            what = f"{setting.name} is {setting.value or 'empty'}; it is a whole number"
            yield Finding(CONFIG, setting.line, what, f"Shipped is {shipped[name].value}.")
    for name, setting in shipped.items():
        if name not in own:
            yield Finding(
                CONFIG, 0, f"the setting {setting.name} is missing",
                f"Add the line: %let {setting.name} = {setting.value};",
            )  # fmt: skip


def _file_folder(own: Mapping[str, Setting]) -> Iterator[Finding]:
    setting = own.get("filefolder")
    below = re.sub(r"^&cp_root\b\.?", "", setting.value) if setting else ""
    if setting and below and (issue := site.root_issue(below)):
        yield Finding(
            CONFIG, setting.line, f"{setting.name} {issue}",
            r"Write it as: %let filefolder = \\server\share\files;",
        )  # fmt: skip


def expected(shipped: Files) -> frozenset[str]:
    """The names of all settings in lower case. One that is missing is found once, and not again
    wherever it is used."""
    return frozenset(site.settings(shipped.get(CONFIG, "")))


def check_used(files: Files, shipped: Files, sources: Mapping[str, Source]) -> Iterator[Finding]:
    """Settings that no program asks for: by ``&name``, or by the bare word in a list."""
    own = site.settings(files.get(CONFIG, ""))
    used = {word for one in sources.values() if one.file != CONFIG for word in _words(one.code)}
    for name, setting in own.items():
        if name in expected(shipped) and name not in used:
            what = f"no program uses the setting {setting.name}"
            yield Finding(CONFIG, setting.line, what, "Remove the line.")


def _words(code: Sequence[lexer.Token]) -> Iterator[str]:
    for token in code:
        if token.kind in ("word", "reference"):
            yield token.low.strip("&.")
        elif token.kind == "string":
            yield from (one.low.strip("&.") for one in lexer.tokens(token.text[1:-1]))
