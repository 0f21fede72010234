"""Object stores: whether they are there and let us in. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

from connector_proxy import masking, objectstore
from connector_proxy.addresses import UPLOAD, kind_of, section_of
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.health.check import Check, Condition
from connector_proxy.objectstore.target import Target
from connector_proxy.settings import Settings


def object_stores(settings: Settings) -> Iterable[Check]:
    """Each target of uploads, asked whether its bucket is there."""
    for name in settings.overrides:
        if kind_of(name) == UPLOAD:
            yield _lets_us_in(name, settings.for_stp(name))


def _lets_us_in(name: str, settings: Settings) -> Check:
    target, store = Target.of(settings), None
    shown = f"{section_of(name)} {target}"
    try:
        store = objectstore.opened(target)
        store.look()
    except (Refused, Unavailable) as error:
        said = masking.foreign(error.cause, masking.secrets_of(settings))
        if error.code == "store_denied":  # who may only write may not look
            message = f"may not be looked at; writing may work. {said}"
            return Check(shown, Condition.WARN, message, error.advice)
        return Check(shown, Condition.FAIL, f"{error} {said}", error.advice)
    finally:
        if store:
            store.close()
    return Check(shown, Condition.OK, "answers (nothing was written)")
