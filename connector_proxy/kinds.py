"""Kinds of destinations and the settings that each has for itself: stored processes, uploads, and
what is installed beside this package as an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from connector_proxy.addresses import STP, TARGET_NAME, UPLOAD
from connector_proxy.errors import ConfigurationError
from connector_proxy.keys import Key
from connector_proxy.uploadkeys import KEYS as UPLOAD_KEYS

GROUP = "connector_proxy.destinations"
"""The group of the entry points; the name of one is the word for its kind."""


def known() -> dict[str, tuple[Key, ...]]:
    """The settings of each kind. Raises ``ConfigurationError`` for an entry point that cannot be
    used."""
    ours = {STP: (), UPLOAD: UPLOAD_KEYS}
    return ours | {kind: tuple(one.keys) for kind, one in installed().items()}


def installed() -> Mapping[str, Any]:
    """The classes of the kinds that come from outside."""
    return {one.name: _loaded(one) for one in entry_points(group=GROUP)}


def _loaded(one: EntryPoint) -> Any:
    legal = TARGET_NAME.fullmatch(one.name) and one.name == one.name.lower()
    if not legal or one.name in (STP, UPLOAD):
        raise _unusable(one, "its name is taken, or is none of small letters, digits and _ -")
    try:
        found = one.load()
    except (Exception, SystemExit) as error:  # whatever is in it, the service must be able to tell
        raise _unusable(one, f"{type(error).__name__}: {error}") from None
    if not {"keys", "name", "repeatable", "deliver", "close"} <= set(dir(found)):
        raise _unusable(one, "it is not a destination (docs/destinations.md)")
    keys = found.keys if isinstance(found.keys, Iterable) else ("no keys",)
    if not all(isinstance(key, Key) for key in keys):
        raise _unusable(one, "its keys are no settings (docs/destinations.md)")
    return found


def made() -> dict[str, Any]:
    """One of each kind that comes from outside. Raises ``ConfigurationError``."""
    return {one.name: _made(one) for one in entry_points(group=GROUP)}


def try_out() -> None:
    """Make one of each and close it again, as the working process will. Raises
    ``ConfigurationError``."""
    for one in made().values():
        one.close()


def _made(one: EntryPoint) -> Any:
    kind = _loaded(one)
    try:
        return kind()
    except (Exception, SystemExit) as error:
        raise _unusable(one, f"{type(error).__name__}: {error}") from None


def _unusable(one: EntryPoint, why: str) -> ConfigurationError:
    package = one.dist.name if one.dist else one.value
    return ConfigurationError(
        f"The destination '{one.name}' of the package {package} cannot be used: {why}.",
        advice="Correct that package, or take it out of the virtual environment.",
    )
