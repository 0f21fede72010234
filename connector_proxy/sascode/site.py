"""What an installation changes of what is shipped: the one line with its folder in each program,
and the settings in ``conf/config.sas``.

Facts only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from connector_proxy.sascode import lexer

CONFIG = "conf/config.sas"
_ROOT_LINE = re.compile(r"^%let cp_root = ([^;\n]*);", re.MULTILINE)
_SETTING = re.compile(
    r"""^[ \t]*%let\s+(\w+)\s*=\s*((?:"[^"]*"|'[^']*'|[^;"'])*);""", re.MULTILINE | re.IGNORECASE
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NOT_IN_ROOT = re.compile(r"[\x00-\x1f\x7f\u2028\u2029'\"&%;*?<>|]")
_ENCODINGS = {"wlatin1": "cp1252", "utf-8": "utf-8"}
"""SAS's words for encodings and those of Python."""


class Setting(NamedTuple):
    """One setting of ``conf/config.sas``; ``comment`` is what stands right before it."""

    name: str
    value: str
    line: int
    comment: str


def settings(text: str) -> dict[str, Setting]:
    """The settings of a configuration by their names in lower case; the last of a name wins."""
    comments = {one.line + one.text.count("\n"): one.text for one in _comments(text)}
    bare = _without_comments(text)
    found = {}
    for match in _SETTING.finditer(bare):
        line = bare.count("\n", 0, match.start(1)) + 1
        name, value = match[1].lower(), " ".join(match[2].split())
        found[name] = Setting(match[1], value, line, comments.get(line - 1, ""))
    return found


def _comments(text: str) -> list[lexer.Token]:
    return [token for token in lexer.tokens(text) if token.kind == "comment"]


def _without_comments(text: str) -> str:
    return "".join(
        re.sub(r"[^\n]", " ", token.text) if token.kind == "comment" else token.text
        for token in lexer.tokens(text)
    )


def roots(text: str) -> list[str]:
    """The folders in the lines that tell one; a program has one such line, other files none."""
    return [match[1].strip() for match in _ROOT_LINE.finditer(text)]


def root_lines(text: str) -> list[int]:
    """The numbers of those lines."""
    return [text.count("\n", 0, match.start()) + 1 for match in _ROOT_LINE.finditer(text)]


def with_root(text: str, root: str) -> str:
    """``text`` with ``root`` as its folder, where it tells one."""
    return _ROOT_LINE.sub(lambda match: f"%let cp_root = {root};", text)


def tidy_root(root: str) -> str:
    """``root`` without blanks around it and without a slash at its end."""
    root = root.strip()
    bare = root.rstrip("\\/")
    return root if not bare or _DRIVE.fullmatch(root) else bare


def root_issue(root: str) -> str:
    """What is wrong with a folder for SAS code, or nothing."""
    bad = _NOT_IN_ROOT.search(root)
    if bad:
        return f"holds the character {bad[0]!r}, which means something else in SAS code"
    if not (is_windows(root) or root.startswith("/")):
        return "is not absolute: write it with its drive, or from / on"
    return ""


def is_windows(root: str) -> bool:
    """Whether a folder is one of Windows: a drive letter, or a share."""
    return bool(_DRIVE.match(root)) or root.startswith("\\\\")


def joined(root: str, name: str) -> str:
    """The path of a file below ``root``, written as the system of ``root`` writes it."""
    mark = "\\" if is_windows(root) else "/"
    return f"{root.rstrip(mark)}{mark}{name.replace('/', mark)}"


def default_encoding(root: str) -> str:
    """The encoding that SAS most likely has where ``root`` is."""
    return "wlatin1" if is_windows(root) else "utf-8"


def encoded(text: str, root: str, encoding: str) -> bytes:
    """The bytes of a text with its root, for the system of ``root``. Raises
    ``UnicodeEncodeError`` where ``encoding`` (``wlatin1`` or ``utf-8``) lacks a character."""
    text = with_root(text, root)
    if is_windows(root):
        text = text.replace("\n", "\r\n")
    return text.encode(_ENCODINGS[encoding])
