"""The effective configuration as records with the origin of each value; secrets stay masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector_proxy.settings import KEYS, Key, Settings, of_stp, shown


@dataclass(frozen=True)
class Effective:
    """One setting: its value as text, where it came from, and what it means."""

    name: str
    value: str
    origin: str
    sentence: str


def effective(settings: Settings) -> list[Effective]:
    """Every setting of the whole service, in the order of ``KEYS``."""
    return [_effective(settings, "", key, getattr(settings, key.name)) for key in KEYS]


def overridden(settings: Settings) -> Mapping[str, Sequence[Effective]]:
    """The settings that sections ``[stp:NAME]`` change, by stored process."""
    return {
        stp: [_effective(settings, stp, key, own[key.name]) for key in KEYS if key.name in own]
        for stp, own in settings.overrides.items()
    }


def _effective(settings: Settings, stp: str, key: Key, value: object) -> Effective:
    origin = settings.origins[of_stp(stp, key.name)]
    return Effective(key.name, shown(value), origin, key.sentence)


def as_json(settings: Settings) -> dict[str, object]:
    """The same as a JSON record."""
    return {
        "conf": str(settings.conf),
        "settings": _as_json(effective(settings)),
        "storedProcesses": {stp: _as_json(own) for stp, own in overridden(settings).items()},
    }


def _as_json(several: Sequence[Effective]) -> dict[str, object]:
    return {one.name: {"value": one.value, "origin": one.origin} for one in several}
