"""Side by side in one run: durable deliveries and the naive approach, which keeps nothing.

Needs nginx (the stub stored process: a fixed reply), wrk (the load) and cc, from the
distribution, and two cores: the process that answers (or the naive sender) has core 0 for itself,
all others share core 1. Rounds alternate between the candidates, so that a change of the
machine's speed meets all of them; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from parts import PAYLOAD, REPLY, stub

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import durable
import page

from tests.postgres import Postgres


def encoding() -> None:
    """Milliseconds for one payload on one core, without HTTP."""
    from connector_proxy.intake import read_webhook
    from connector_proxy.reply import read_reply
    from connector_proxy.stream import encode

    print("\none payload, without HTTP (median of 2,000)")
    for name in ("bulk_stp.json", "bulk_odd_values.json", "triggered.json"):
        raw = (PAYLOAD.parent / name).read_bytes()
        webhook = read_webhook(raw)
        reading = milliseconds(lambda raw=raw: read_webhook(raw))
        writing = milliseconds(lambda w=webhook: encode(w.payload, w.stp_name))
        print(f"  {name:<28}{len(raw):>6} bytes  read {reading:.3f} ms  encode {writing:.3f} ms")
    body = REPLY.encode()
    judged = milliseconds(lambda: read_reply(200, {}, body, raw=False, complete=True))
    print(f"  {'a reply':<28}{len(body):>6} bytes  judge {judged:.3f} ms")


def milliseconds(deed: object) -> float:
    times = []
    for _ in range(2000):
        started = time.perf_counter()
        deed()  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    for tool in ("nginx", "wrk", "taskset", "cc"):
        if not shutil.which(tool):
            raise SystemExit(
                f"{tool} is missing; on Debian: apt-get install nginx-light wrk util-linux gcc"
            )
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the service, one for load and stub")
    encoding()
    with tempfile.TemporaryDirectory() as name, stub(Path(name)) as stpurl:
        folder = Path(name)
        durable.full_file(folder)
        page.times(folder)
        page.cost(stpurl, folder, arguments.rounds, 4 * arguments.seconds)
        with Postgres(durable=True) as server:
            durable.answers_and_ends(
                stpurl, folder, server.fresh_database, arguments.rounds, arguments.seconds
            )
            durable.shared_work(folder, server.fresh_database, arguments.rounds)
        durable.slow_disk(stpurl, folder, arguments.seconds)


if __name__ == "__main__":
    main()
