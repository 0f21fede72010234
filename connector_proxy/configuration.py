"""The effective configuration as records with the origin of each value; secrets stay masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector_proxy.settings import KEYS, Settings, shown


@dataclass(frozen=True)
class Effective:
    """One setting: its value as text, where it came from, and what it means."""

    name: str
    value: str
    origin: str
    sentence: str


def effective(settings: Settings) -> list[Effective]:
    """Every setting of the whole service, in the order of ``KEYS``."""
    return [
        Effective(key.name, shown(getattr(settings, key.name)), origin, key.sentence)
        for key in KEYS
        for origin in (settings.origins[key.name],)
    ]


def overridden(settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """The settings that sections ``[stp:NAME]`` change, by stored process."""
    return {
        stp: {name: shown(value) for name, value in own.items()}
        for stp, own in settings.overrides.items()
    }


def as_json(settings: Settings) -> dict[str, object]:
    """The same as a JSON record."""
    return {
        "conf": str(settings.conf),
        "settings": {
            one.name: {"value": one.value, "origin": one.origin} for one in effective(settings)
        },
        "storedProcesses": overridden(settings),
    }
