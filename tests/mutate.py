"""Seed faults into the SAS code, one at a time, and see how many the tests notice: ``make mutate``.

A fault changes one token of a shipped program or of its settings. Each is tried in a copy of the
project; the tests of the SAS side are run there until one fails.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from connector_proxy.sascode import lexer
from connector_proxy.sascode.lexer import Token

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "code/stpDownloadFile.sas",
    "code/stpAppendRow.sas",
    "code/cpCommon.sas",
    "conf/config.sas",
)
TESTS = (
    "tests/test_stored_process.py",
    "tests/test_sas_append.py",
    "tests/test_sas_download.py",
    "tests/test_sas_files.py",
    "tests/test_sas_smoke.py",
)
NEEDED = (
    "connector_proxy",
    "tests",
    "stored_process",
    "conf",
    "docs",
    "README.md",
    "pyproject.toml",
)
WANTED = 0.85
_SWAPS = {
    "=": ["ne"], "<": ["<=", ">"], ">": [">=", "<"], "+": ["-"], "-": ["+"], "*": ["+"],
    "and": ["or"], "or": ["and"], "not": [""], "ne": ["eq"], "eq": ["ne"], "in": ["not in"],
    "min": ["max"], "max": ["min"], "first": ["last"], "link": ["* "], "stop": [" "], "return": [" "],
    "output": [" "], "left": ["trim"], "trim": ["left"], "lowcase": ["upcase"], "upcase": ["lowcase"],
    "%then": ["%then %if 0 %then"], "symputx": ["symput"], "cats": ["cat"], "catx": ["cat"],
    "find": ["index"], "retain": ["drop"], "truncover": [""], "%let": ["%put"], "%superq": [""],
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with one token changed."""

    file: str
    line: int
    was: str
    becomes: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.was!r} becomes {self.becomes!r}"


def mutants(chance: random.Random) -> Iterator[Mutant]:
    """Faults without end, spread over the files by their length."""
    sources = {}
    for file in FILES:
        text = (ROOT / "stored_process" / file).read_text(encoding="ascii")
        sources[file] = (text, lexer.tokens(text))
    places = [
        (file, at)
        for file, (_, tokens) in sources.items()
        for at, token in enumerate(tokens)
        if token.kind not in ("comment", "space")
    ]
    while True:
        file, at = chance.choice(places)
        text, tokens = sources[file]
        token = tokens[at]
        becomes = chance.choice(_changes(tokens, token, chance))
        if becomes == token.text:
            continue
        changed = "".join(
            becomes if number == at else one.text for number, one in enumerate(tokens)
        )
        line = text.count("\n", 0, sum(len(one.text) for one in tokens[:at])) + 1
        yield Mutant(file, line, token.text, becomes, changed)


def _changes(tokens: Sequence[Token], token: Token, chance: random.Random) -> list[str]:
    """What a token may become: nothing, its opposite, another of its kind, a near number."""
    text = token.text
    if text.lower() in _SWAPS:
        return _SWAPS[text.lower()]
    if text.isdigit():
        return [str(int(text) + 1), str(max(0, int(text) - 1)), "0" if text != "0" else "2"]
    if token.kind == "string":
        inside = text[1:-1] if text[-1] in "'\"" else ""
        return [text[0] + inside[1:] + text[0] if inside else text + " ", ""]
    others = [one.text for one in tokens if one.kind == token.kind and one.text != text]
    return ["", chance.choice(others)] if others else [""]


class Workshop:
    """Copies of the project, one for each fault that is tried at a time."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self.folder = Path(tempfile.mkdtemp(prefix="connector-proxy-mutate-"))
        for number in range(count):
            copy = self.folder / str(number)
            for name in NEEDED:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(
                        source, copy / name, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(source, copy / name)
            self._free.put(copy)

    def caught_by(self, mutant: Mutant | None) -> str:
        """The test that notices, or nothing."""
        copy = self._free.get()
        try:
            if mutant is None:
                return self._first_failure(copy)
            path = copy / "stored_process" / mutant.file
            before = path.read_bytes()
            path.write_text(mutant.text, encoding="ascii")
            try:
                return self._first_failure(copy)
            finally:
                path.write_bytes(before)
        finally:
            self._free.put(copy)

    @staticmethod
    def _first_failure(copy: Path) -> str:
        command = [
            sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider",
            "--timeout", "120", "--tb", "no", *TESTS,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ran = subprocess.run(
                command, cwd=copy, env=environment, capture_output=True, text=True, timeout=1800, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "time"
        if ran.returncode == 0:
            return ""
        failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0] if failed else f"pytest ended with {ran.returncode}"


def main() -> int:
    """Returns 1 when too few were noticed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--faults", type=int, default=150)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = options.parse_args()
    print(f"{chosen.faults} faults, seed {chosen.seed}", flush=True)
    began = time.monotonic()
    workshop = Workshop(chosen.workers)
    try:
        failure = workshop.caught_by(None)
        if failure:
            print(f"the tests fail without any fault: {failure}")
            return 1
        endless = mutants(random.Random(chosen.seed))
        seeded = [next(endless) for _ in range(chosen.faults)]
        with ThreadPoolExecutor(chosen.workers) as pool:
            caught = 0
            for mutant, noticed in zip(seeded, pool.map(workshop.caught_by, seeded), strict=True):
                caught += bool(noticed)
                if not noticed:
                    print(f"not noticed: {mutant}", flush=True)
    finally:
        shutil.rmtree(workshop.folder, ignore_errors=True)
    print(
        f"noticed {caught} of {len(seeded)} ({caught / len(seeded):.0%}) in {time.monotonic() - began:.0f} s"
    )
    return 0 if caught >= WANTED * len(seeded) else 1


if __name__ == "__main__":
    sys.exit(main())
