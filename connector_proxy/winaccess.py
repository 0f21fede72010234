"""Who may use which folder on Windows, by icacls: what file modes are elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from connector_proxy import values
from connector_proxy.errors import ConfigurationError
from connector_proxy.keys import CREDENTIALS_INI
from connector_proxy.settings import KEYS, Settings

_SYSTEM, _ADMINISTRATORS = "*S-1-5-18", "*S-1-5-32-544"
"""By number: their names differ from language to language."""


def permit(account: str, settings: Settings) -> None:
    """Make the folders of ``settings`` and let ``account`` write them. Payloads and passwords are
    for it and for administrators alone. Raises ``ConfigurationError``."""
    for command in commands(account, settings):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise ConfigurationError(
                f"The permissions of {command[1]} cannot be set: {said}",
                advice=f"Set them yourself: {subprocess.list2cmdline(command)}",
            )


def commands(account: str, settings: Settings) -> Iterator[list[str]]:
    """What has to be run; each folder is there when its command comes."""
    names = [key.name for key in KEYS if key.parse is values.folder]
    for folder in dict.fromkeys(getattr(one, name) for one in settings.each() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        private = folder == settings.datafolder
        yield _command(str(folder), f"{account}:(OI)(CI)M", "(OI)(CI)F" if private else "")
    credentials = settings.conf / CREDENTIALS_INI
    if credentials.exists():
        yield _command(str(credentials), f"{account}:R", "F")


def _command(path: str, grant: str, others: str) -> list[str]:
    """Add one right; with ``others``, the rights of administrators, take all else away."""
    alone = ["/inheritance:r"] if others else []
    rights = [f"{who}:{others}" for who in (_SYSTEM, _ADMINISTRATORS) if others]
    return ["icacls", path, *alone, "/grant:r", grant, *rights]
