"""A data file from a loopback server into an object store, beside boto3's ``upload_fileobj``.

The store is moto behind a process of its own. Each candidate is a process, too, so that its peak
memory is its own; candidates take turns, and the median of the rounds counts. ``upload_fileobj``
gets the open answer of the download (nothing is checked, resumed or kept), and the file on disk.
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
sys.path.insert(0, str(ROOT))

from tests.s3store import BUCKET, KEY, REGION, SECRET, S3Store  # noqa: E402
from tests.uploads import s3_target, target  # noqa: E402

CLIENT = f"""
import boto3, sys
client = boto3.client("s3", endpoint_url=sys.argv[2], aws_access_key_id={KEY!r},
    aws_secret_access_key={SECRET!r}, region_name={REGION!r})
"""
FROM_ANSWER = (
    CLIENT
    + f"""
import urllib.request
client.upload_fileobj(urllib.request.urlopen(sys.argv[1]), {BUCKET!r}, "in/a.csv")
"""
)
FROM_DISK = (
    CLIENT
    + f"""
client.upload_fileobj(open(sys.argv[1], "rb"), {BUCKET!r}, "in/a.csv")
"""
)
OURS = """
import sys
from dataclasses import replace
from pathlib import Path
from connector_proxy import staging
from connector_proxy.loading import load
from connector_proxy.values import HostPattern
from tests.uploads import delivery, put
url, conf, folder, name = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
settings = replace(load(conf, {}), downloadhosts=(HostPattern("http", "127.0.0.1", 0),))
urls = {"data": url, "metadata": url.rpartition("/")[0] + "/metadata"}
put(settings, staging.fetch(urls, folder, settings), delivery(name=name))
"""
RUN = "import resource, sys; sys.argv = sys.argv[1:]; exec(sys.argv[0]); " + (
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
)


def measured(command: list[str], folder: Path) -> tuple[float, int]:
    """Seconds and peak memory in MB of one run; ``folder`` is away before it."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return time.perf_counter() - started, int(done.stdout.split()[-1])


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", RUN, code, *map(str, words)]


def made(path: Path, megabytes: int) -> None:
    chance = random.Random(360)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(chance.randbytes(1 << 20))


def configured(place: Path, store: str) -> Path:
    """A configuration with two targets: the store, and a folder."""
    conf = place / "conf"
    conf.mkdir()
    for name in ("serviceConfig.ini", "credentials.ini"):
        (conf / name).write_text("[DEFAULT]\n")
    (conf / "serviceConfig.py").write_text("class svcConfig:\n    pass\n")
    s3_target(conf, store, readtimeout=300)
    (place / "bucket").mkdir()
    target(conf, (place / "bucket").as_uri(), "folder")
    return conf


def compare(place: Path, url: str, store: S3Store, options: argparse.Namespace) -> None:
    address, data = f"http://127.0.0.1:{store.port}", place / "data.csv"
    conf, work = configured(place, address), place / "work"
    candidates = {
        "upload_fileobj, from the answer": python(FROM_ANSWER, url, address),
        "upload_fileobj, from disk": python(FROM_DISK, data, address),
        "ours: download, check, upload": python(OURS, url, conf, work, "upload:default"),
        "ours: download, check, to a folder": python(OURS, url, conf, work, "upload:folder"),
    }
    times: dict[str, list[tuple[float, int]]] = {name: [] for name in candidates}
    for _ in range(options.rounds):
        for name, command in candidates.items():
            times[name].append(measured(command, work))
            store.client.delete_object(Bucket=BUCKET, Key="in/a.csv")
    print(f"\n{options.mb} MB, median of {options.rounds}")
    print(f"| {'':<34} | seconds | MB/s | peak MB |")
    for name, runs in times.items():
        seconds = statistics.median(one for one, _ in runs)
        peak = max(memory for _, memory in runs)
        print(f"| {name:<34} | {seconds:.1f} | {options.mb / seconds:.0f} | {peak} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, S3Store() as store:
        place = Path(name)
        made(place / "data.csv", options.mb)
        (place / "metadata").write_text(json.dumps([{"columnName": "id", "dataType": "character"}]))
        with serving(place) as address:
            compare(place, f"{address}/data.csv", store, options)


if __name__ == "__main__":
    main()
