"""All checks of a copy of the SAS side, as far as they go without SAS.

Facts only: texts in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector_proxy.sascode import lexer, program, unit
from connector_proxy.sascode.checks import formats, macros, maps, site, steps, text, variables
from connector_proxy.sascode.checks.formats import Widths
from connector_proxy.sascode.findings import Files, Finding, is_program
from connector_proxy.sascode.program import Source
from connector_proxy.sascode.site import CONFIG


def check(files: Files, shipped: Files, widths: Widths) -> list[Finding]:
    """What is wrong with ``files``, in the order of files and lines; ``shipped`` is the copy that
    belongs to this release.

    A program with something that is never closed is not looked at further, and neither is what the
    programs have to do with each other: what SAS would read of it nobody can tell.
    """
    sources = {
        file: program.read(file, source)
        for file, source in files.items()
        if _readable(file, source)
    }
    found = [*text.check(files), *maps.check(files), *site.check(files, shipped, sources)]
    for source in sources.values():
        found += [*steps.check(source), *formats.check(source, widths)]
    if len(sources) == sum(map(is_program, files)):
        found += _together(files, shipped, sources)
    return sorted(set(found), key=lambda one: (one.file, one.line, one.message))


def _readable(file: str, source: str) -> bool:
    return is_program(file) and all(token.kind != "open" for token in lexer.tokens(source))


def _together(files: Files, shipped: Files, sources: dict[str, Source]) -> Iterator[Finding]:
    yield from site.check_used(files, shipped, sources)
    settings = site.expected(shipped)
    for together in unit.units(sources):
        configured = any(source.file == CONFIG for source in together)
        yield from macros.check(together)
        yield from variables.check(together, settings if configured else ())
    yield from macros.check_used(sources.values())
