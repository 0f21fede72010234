"""smoke.sas as exported: it passes in the runner, tells the faults of an unlike SAS, and its
numbers are those of docs/to-verify-on-sas.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.filestore import FileStore
from tests.sassite import Site

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "to-verify-on-sas.md").read_text(encoding="utf-8")
NUMBERS = sorted(
    int(number) for number in re.findall(r"^\| (\d+) \| smoke:", DOCUMENT, re.MULTILINE)
)


def lines(
    tmp_path: Path, platform: str, encoding: str, spoil: tuple[str, str] = ("", "")
) -> list[str]:
    with FileStore() as store:
        site = Site(tmp_path, store, platform, encoding)
        program = site.home / "code" / "smoke.sas"
        text = program.read_bytes().decode()
        assert spoil[0] in text
        program.write_bytes(text.replace(*spoil).encode())
        run = site.session().run(program)
        assert (run.librefs, run.filerefs, run.work) == ([], [], [])
        return [line for line in run.log.splitlines() if re.match(r"(PASS|FAIL) \d", line)]


@pytest.mark.parametrize("platform", ["unix", "windows"])
@pytest.mark.parametrize("encoding", ["utf-8", "wlatin1"])
def test_every_line_passes_in_the_runner(tmp_path: Path, platform: str, encoding: str) -> None:
    told = lines(tmp_path, platform, encoding)
    assert [line for line in told if line.startswith("FAIL")] == []
    assert sorted(int(line.split()[1]) for line in told) == NUMBERS


@pytest.mark.parametrize(
    ("number", "spoil"),
    [
        (12, ("status = 'ok'", "status = 'oh'")),
        (18, ("vlength(columnName) = 1024", "vlength(columnName) = 1")),
        (19, ("termstr=lf", "termstr=crlf")),
        (22, ("three = 'END'", "three = 'AND'")),
        (23, ("digest = 'ca978112", "digest = 'ca978113")),
        (33, ("length a $ 8;\n    set", "stop;\n    set")),
    ],
)
def test_what_is_not_as_expected_is_a_line_with_fail(
    tmp_path: Path, number: int, spoil: tuple[str, str]
) -> None:
    failed = [line for line in lines(tmp_path, "unix", "utf-8", spoil) if line.startswith("FAIL")]
    assert number in [int(line.split()[1]) for line in failed]
