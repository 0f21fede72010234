"""The three configuration files and the environment as entries: a text, and where it stands.

Nothing is interpreted here but the form of each file. Every reader is told the names that its
file may hold; another name is an error that tells the nearest known one.
"""

from __future__ import annotations

import ast
import configparser
import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from connector_proxy.addresses import STP, TARGET_NAME, address, kind_of
from connector_proxy.errors import ConfigurationError
from connector_proxy.intake import stp_name_issue

ENVIRONMENT_PREFIX = "CONNECTOR_PROXY_"
CONF_VARIABLE = ENVIRONMENT_PREFIX + "CONF"


@dataclass(frozen=True)
class Entry:
    """One value as somebody wrote it, where, and what there is to say about it."""

    text: str
    origin: str
    note: str = ""


Section = dict[str, Entry]


def fault(where: str, what: str) -> ConfigurationError:
    """The error that ``what`` is wrong at ``where`` (a file and line, or a variable)."""
    return ConfigurationError(f"{where}: {what}.")


class Findings:
    """What is to be told of a configuration: ``notes``, and faults, gathered so that all are told
    at once."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._faults: list[str] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep what is raised here, and go on behind it."""
        try:
            yield
        except ConfigurationError as error:
            self._faults.append(str(error))

    def tell(self) -> None:
        """Raise the faults, if there are any; one a line."""
        if self._faults:
            raise ConfigurationError("\n       ".join(dict.fromkeys(self._faults)))


def _unknown(where: str, name: str, known: Collection[str]) -> ConfigurationError:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}."
    return ConfigurationError(f"{where}: there is no setting '{name}' here; {hint}")


def read_text(path: Path, findings: Findings) -> str:
    """The text of a configuration file: UTF-8 with or without BOM, or, with a note, Windows-1252,
    which older editors write."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        advice = "copy it from the installation, or name the right folder with --conf"
        raise fault(str(path), f"the file is missing; {advice}") from None
    except OSError as error:
        raise fault(str(path), f"the file cannot be read ({error.strerror})") from None
    return _decoded(raw, path.name, findings).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes, name: str, findings: Findings) -> str:
    advice = "save the file with the encoding UTF-8"
    if b"\0" in raw:  # what Notepad calls Unicode
        raise fault(f"{name} line 1", f"this is not UTF-8; {advice}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{name} line {raw.count(bytes([10]), 0, error.start) + 1}"
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        raise fault(where, f"this is not UTF-8; {advice}") from None
    findings.notes.append(f"{where}: this is not UTF-8 and was read as Windows-1252; {advice}")
    return text


def read_ini(
    path: Path, known: Mapping[str, Collection[str]], secrets: Collection[str], findings: Findings
) -> dict[str, Section]:
    """The sections of an INI file by what they are for: ``DEFAULT``, the name of a stored process
    (``[stp:NAME]``), or another destination (``[upload]`` is ``upload:default``). Keys without
    case, no interpolation. ``known`` are the names that a section may hold, by the kind of
    destination; ``secrets`` the names whose values are never cut at a comment sign. What is wrong
    with single lines is gathered; a file that cannot be read is raised."""
    text = read_text(path, findings)
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", strict=True)
    try:
        parser.read_string(text, path.name)
    except configparser.Error as error:
        raise fault(f"{path.name} line {_line_of(error)}", _words_of(error)) from None
    lines = _line_numbers(text)
    sections: dict[str, Section] = {}
    for heading in parser.sections():
        where = f"{path.name} line {lines.get((heading, ''), 1)}"
        with findings.gathered():
            place = _section_name(heading, where, known)
            if place.lower() in {one.lower() for one in sections}:
                raise fault(where, f"the section [{heading}] stands twice; make them one")
            section, names = sections.setdefault(place, {}), known[kind_of(place)]
            for name, raw in parser.items(heading):
                where = f"{path.name} line {lines.get((heading, name), 1)}"
                with findings.gathered():
                    if name not in names:
                        raise _unknown(where, name, names)
                    section[name] = _ini_entry(raw or "", name, where, name in secrets)
    return sections


def _line_of(error: configparser.Error) -> int:
    faults = getattr(error, "errors", None)
    return int(faults[0][0] if faults else getattr(error, "lineno", None) or 1)


def _words_of(error: configparser.Error) -> str:
    if isinstance(error, configparser.DuplicateOptionError):
        return f"'{error.option}' stands twice in [{error.section}]; keep one"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"the section [{error.section}] stands twice; make them one"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "a section must come first; write [DEFAULT] above"
    return "this line cannot be understood; write key = value"


def _section_name(heading: str, where: str, kinds: Collection[str]) -> str:
    if heading == "DEFAULT":
        return heading
    kind, colon, name = (part.strip() for part in heading.partition(":"))
    kind = kind.lower()
    if kind not in kinds or (kind == STP and not colon):
        others = "".join(f", [{one}] or [{one}:NAME]" for one in kinds if one != STP)
        raise fault(where, f"[{heading}] is not known; write [DEFAULT], [stp:NAME]{others}")
    if kind != STP:
        if colon and not TARGET_NAME.fullmatch(name):
            raise fault(where, f"the name in [{heading}] must be up to 40 letters, digits and _ -")
        return address(kind, name)
    if issue := stp_name_issue(name):
        raise fault(where, f"the name of the stored process in [{heading}] {issue}")
    return name


def _line_numbers(text: str) -> dict[tuple[str, str], int]:
    """Line numbers of (section, key); the key is empty for the section's own line."""
    numbers: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := re.match(r"\s*\[(.+)\]", line):
            section = heading[1]
            numbers.setdefault((section, ""), number)
        elif option := re.match(r"\s*([^#;=:\s][^=:]*?)\s*[=:]", line):
            numbers.setdefault((section, option[1].lower()), number)
    return numbers


def _ini_entry(raw: str, name: str, where: str, secret: bool) -> Entry:
    """A value without the quotes around it and the comment behind it.

    ``#`` or ``;`` after a blank begins a comment. In a secret that could cut a password in two
    unnoticed, so there it is an error unless the value is quoted.
    """
    text = raw.strip()
    if "\n" in text:
        what = f"an indented line below {name} would become part of its value; write it in one line"
        raise fault(where, what)
    if quoted := re.fullmatch(r"""(["'])(.*?)\1(\s+[#;].*)?""", text, re.DOTALL):
        return Entry(quoted[2], where)
    comment = re.search(r"(?:^|\s)([#;])", text)
    if not comment:
        return Entry(text, where)
    if secret:
        advice = "put a comment on a line of its own, or a value that holds it in double quotes"
        raise fault(where, f"{name} has '{comment[1]}' after a blank; {advice}")
    note = f"{where}: what stands behind '{comment[1]}' is a comment and not part of {name}"
    return Entry(text[: comment.start()].rstrip(), where, note)


def read_py(path: Path, known: Collection[str], findings: Findings) -> Section:
    """``class svcConfig`` of serviceConfig.py, read as literals: the file is never executed.
    Names count without regard to case. What is wrong with single lines is gathered; a file that
    cannot be read is raised."""
    text = read_text(path, findings)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        where = f"{path.name} line {getattr(error, 'lineno', None) or 1}"
        raise fault(where, "this is not Python; compare with the file that was shipped") from None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "svcConfig":
            return dict(_assignments(node, path.name, known, findings))
    raise fault(path.name, "there is no 'class svcConfig'; copy the file that was shipped")


def _assignments(
    body: ast.ClassDef, file: str, known: Collection[str], findings: Findings
) -> Iterator[tuple[str, Entry]]:
    seen: set[str] = set()
    for node in body.body:
        if isinstance(node, ast.Pass) or _is_docstring(node):
            continue
        with findings.gathered():
            yield _assignment(node, f"{file} line {node.lineno}", known, seen)


def _assignment(
    node: ast.stmt, where: str, known: Collection[str], seen: set[str]
) -> tuple[str, Entry]:
    name = _assigned_name(node)
    if not name:
        raise fault(where, "only lines such as port = 8100 are understood here")
    if name not in known:
        raise _unknown(where, name, known)
    if name in seen:
        raise fault(where, f"'{name}' stands twice; keep one")
    seen.add(name)
    try:
        value = str(ast.literal_eval(cast(ast.Assign, node).value))
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise fault(where, f"{name} must be a plain value; this file is not run") from None
    return name, Entry(value.strip(), where)


def _assigned_name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        return target.id.lower() if isinstance(target, ast.Name) else ""
    return ""


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


_SAMPLE = re.compile(r"str\(\(SAS\d{3}\)[0-9A-F]+\)", re.IGNORECASE)


def without_sample(section: Section, findings: Findings) -> None:
    """Take the sample password of the published utility and its user out of ``section``: that
    utility sends neither."""
    password = section.get("stppassword")
    if password and _SAMPLE.fullmatch(password.text):
        section.pop("stppassword")
        section.pop("stpusername", None)
        findings.notes.append(
            f"{password.origin}: this password is the sample of the published utility, which never "
            "sent it; no credentials are sent. Write yours, or take both lines out"
        )


def read_environment(
    environment: Mapping[str, str], known: Collection[str], findings: Findings
) -> Section:
    """The settings among the environment variables: ``CONNECTOR_PROXY_`` and the name. What is
    wrong with single ones is gathered."""
    entries = {}
    for variable, text in environment.items():
        upper = variable.upper()
        if not upper.startswith(ENVIRONMENT_PREFIX) or upper == CONF_VARIABLE:
            continue
        name = upper.removeprefix(ENVIRONMENT_PREFIX).lower()
        where = f"environment variable {variable}"
        with findings.gathered():
            if name not in known:
                raise _unknown(where, name, known)
            entries[name] = Entry(text.strip(), where)
    return entries
