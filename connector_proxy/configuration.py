"""The effective configuration as records with the origin of each value; secrets stay masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector_proxy import kinds
from connector_proxy.keys import Key
from connector_proxy.settings import KEYS, Settings, of_stp, shown


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
    """The settings that sections such as ``[stp:NAME]`` change, by the stored process or other
    destination, after those that a destination has for itself."""
    known = kinds.known()
    return {
        name: [
            *(_effective(settings, name, key, own["own"][key.name]) for key in known[own["kind"]]),
            *(_effective(settings, name, key, own[key.name]) for key in KEYS if key.name in own),
        ]
        for name, own in settings.overrides.items()
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
