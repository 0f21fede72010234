"""What others' tools say of the SAS code. They see little, and what they see is real.

sas-lexer has wheels for Python 3.11 and 3.12 and for some machines; it is asked for where CI runs
(requirements-test.txt). Elsewhere our own lexer alone reads the files (tests/test_sas_checks.py).
"""

from __future__ import annotations

import platform
import sys

import pytest

from connector_proxy.sascode import folder

PROGRAMS = [name for name in folder.shipped() if name.endswith(".sas")]

if sys.version_info < (3, 13) and (sys.platform, platform.machine()) == ("linux", "x86_64"):
    import sas_lexer

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_sas_lexer_finds_no_error(name: str) -> None:
        _, errors, _ = sas_lexer.lex_program_from_str(folder.shipped()[name])
        assert [(error.on_line, error.error_kind) for error in errors] == []

    @pytest.mark.parametrize("source", ["x = 'a;", "/* a", "%let = 1;", "x = '0G'x;", "%macro x(;"])
    def test_sas_lexer_sees_what_it_is_for(source: str) -> None:
        _, errors, _ = sas_lexer.lex_program_from_str(source)
        assert errors
