"""Kill the service many times under load and print what came of it: ``make soak``."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.crashing import storm


def main() -> int:
    """Returns 1 when anything was lost or done twice."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = options.parse_args()
    print(f"{chosen.kills} kills, seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="connector-proxy-soak-"))
    try:
        figures = storm(folder, kills=chosen.kills, seed=chosen.seed)
        print(figures)
        figures.check()
    except AssertionError as error:
        print(f"at fault: {error}\nwhat it left: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
