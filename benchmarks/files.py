"""Data files from a loopback server to datasets, beside what the same machine does at best.

Each candidate is a process of its own, so that its peak memory is its own; candidates take turns,
and the median of the rounds counts. ``curl -o`` and DuckDB's own COPY (types guessed, nothing
checked) are the limit; pandas and Python's csv module are what one would write first.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parts import serving

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "identity_id": "character", "customer_no": "character", "name": "character",
    "balance": "numeric", "birth_dt": "date", "last_seen": "timestamp", "flag": "character",
    "visits": "integer", "state": "character", "points": "number",
}  # fmt: skip

OURS = """
import sys
from dataclasses import replace
from pathlib import Path
from connector_proxy import dataset
from connector_proxy.dataset import Origin, Wanted
from connector_proxy.download import Downloader
from connector_proxy.loading import load
from connector_proxy.values import HostPattern
url, folder, form = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
settings = replace(load(), downloadhosts=(HostPattern("http", "127.0.0.1", 0),))
(folder / "part").mkdir()
Downloader.of(settings).fetch(url, folder / "data.csv", "data file")
columns = dataset.read_metadata((folder.parent / "metadata").read_bytes())
origin, wanted = Origin("T", "o"), Wanted((form,))
dataset.make(columns, folder / "data.csv", folder, folder / "part", origin, wanted)
"""
COPY = """
import sys, duckdb
duckdb.execute("SET memory_limit = '400MB'")
source = f"read_csv('{sys.argv[1]}', header = false)"
duckdb.execute(f"COPY (FROM {source}) TO '{sys.argv[2]}/o.parquet'")
"""
PANDAS = """
import sys, pandas
pandas.read_csv(sys.argv[1], header=None).rename(columns=str).to_parquet(f"{sys.argv[2]}/o.parquet")
"""
CSV = """
import sys, csv
file = open(sys.argv[1], newline="", encoding="utf-8")
with open(f"{sys.argv[2]}/o", "w", newline="", encoding="utf-8") as out:
    csv.writer(out).writerows(csv.reader(file, strict=True))
"""
RUN = "import resource, runpy, sys; sys.argv = sys.argv[1:]; exec(sys.argv[0]); " + (
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
)


def made(path: Path, rows: int, quoted: bool) -> None:
    """``rows`` invented customers of about 110 bytes, the same each time."""
    chance = random.Random(360)
    names = [
        f"{one} {number}" for one in ("Ada", "Björn", "Chloé", "Łukasz") for number in range(250)
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        for n in range(rows):
            name = f'"{names[n % 1000]}, Jr."' if quoted else names[n % 1000]
            seen = f"2026-11-{1 + n % 20:02}T{n % 24:02}:30:00Z"
            file.write(
                f"{chance.getrandbits(128):032x},{n:09},{name},{chance.uniform(-100, 5000):.2f},"
                f"{1930 + n % 80}-{1 + n % 12:02}-{1 + n % 28:02},{seen},"
                f"{'' if n % 10 else 'x'},{n % 100},{'NC' if n % 3 else 'VA'},{n * 7 % 100000}\n"
            )


def measured(command: list[str], folder: Path) -> tuple[float, int]:
    """Seconds and peak memory in MB of one run; ``folder`` is empty before it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    seconds = time.perf_counter() - started
    return seconds, int(done.stdout.split()[-1]) if done.stdout.strip() else 0


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", RUN, code, *words]


def candidates(
    url: str, path: Path, folder: Path, forms: list[str], small: bool
) -> dict[str, list[str]]:
    found = {
        "curl -o": ["curl", "-s", "-o", str(folder / "x"), url],
        "DuckDB COPY, types guessed": python(COPY, str(path), str(folder)),
    }
    found |= {f"download and {form}": python(OURS, url, str(folder), form) for form in forms}
    if small:
        found["pandas to Parquet"] = python(PANDAS, str(path), str(folder))
    return found | {"csv module, read and write": python(CSV, str(path), str(folder))}


def compare(place: Path, url: str, path: Path, rows: int, options: argparse.Namespace) -> None:
    size = path.stat().st_size / 1e6
    print(f"\n{path.name}: {rows:,} rows, {size:,.0f} MB", flush=True)
    chosen = candidates(url, path, place / "work", options.forms, rows <= options.pandas_rows)
    times: dict[str, list[tuple[float, int]]] = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name, command in chosen.items():
            times[name].append(measured(command, place / "work"))
    print(f"| {'':<28} | seconds | MB/s | rows/s | peak MB |")
    for name, runs in times.items():
        seconds = statistics.median(one for one, _ in runs)
        peak = max(memory for _, memory in runs) or "–"
        rates = f"{size / seconds:.0f} | {rows / seconds:,.0f}"
        print(f"| {name:<28} | {seconds:.1f} | {rates} | {peak} |", flush=True)
    limit = sum(statistics.median(one for one, _ in times[name]) for name in list(chosen)[:2])
    if "download and parquet" in times:
        ours = statistics.median(one for one, _ in times["download and parquet"])
        print(f"download and parquet / (curl + COPY) = {ours / limit:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--forms", nargs="*", default=["parquet", "csv", "duckdb", "xpt"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pandas-rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        metadata = [{"columnName": one, "dataType": kind} for one, kind in KINDS.items()]
        (place / "metadata").write_text(json.dumps(metadata))
        with serving(place) as address:
            for rows in options.rows:
                for quoted in (False, True):
                    path = place / ("quoted.csv" if quoted else "plain.csv")
                    made(path, rows, quoted)
                    compare(place, f"{address}/{path.name}", path, rows, options)
                    path.unlink()


if __name__ == "__main__":
    main()
