"""Room on the disk, looked for before it is taken."""

from __future__ import annotations

import shutil
from pathlib import Path

from connector_proxy.errors import Unavailable


def need_room(folder: Path, needed: int, why: str) -> None:
    """Raise ``Unavailable`` unless ``needed`` bytes are free where ``folder`` lies; ``why`` says
    what for."""
    if shutil.disk_usage(folder).free < needed:
        raise Unavailable(
            f"There is no room on the disk {why}.",
            code="disk_low",
            advice="Nothing was written; it is tried again. Make room on the disks of outputfolder "
            "and downloadfolder.",
        )
