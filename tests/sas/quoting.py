"""Characters that a macro quoting function has masked.

SAS keeps masked characters as other bytes until the text reaches the word scanner. Here each
printable ASCII character has a twin in a private plane of Unicode. Letters are masked as well,
so that a masked mnemonic operator (AND, EQ ...) is no operator.
"""

from __future__ import annotations

_PLANE = 0xF0000
_MASK = {code: _PLANE + code for code in [*range(0x20, 0x7F), 0x09, 0x0A, 0x0D]}
_UNMASK = {twin: code for code, twin in _MASK.items()}
_KEEP_TRIGGERS = {code: twin for code, twin in _MASK.items() if chr(code) not in "&%"}


def mask(text: str) -> str:
    """All of ``text`` masked, as %SUPERQ, %NRSTR and %NRBQUOTE do."""
    return text.translate(_MASK)


def mask_but_triggers(text: str) -> str:
    """As %STR and %BQUOTE do: ``&`` and ``%`` stay what they are."""
    return text.translate(_KEEP_TRIGGERS)


def unmask(text: str) -> str:
    """The characters themselves."""
    return text if text.isascii() else text.translate(_UNMASK)


def is_masked(char: str) -> bool:
    """Whether one character is a twin."""
    return ord(char) in _UNMASK


def has_masked(text: str) -> bool:
    """Whether any character of ``text`` is masked."""
    return not text.isascii() and any(ord(char) in _UNMASK for char in text)


def strip(text: str) -> str:
    """Without leading and trailing blanks that are not masked."""
    return text.strip(" \t\r\n")
