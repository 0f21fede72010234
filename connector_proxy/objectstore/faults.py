"""The failures that a store can have, each with its words and its advice; ``cause`` is what the
library said, for the log only."""

from __future__ import annotations

from connector_proxy.errors import Refused, Unavailable

_AGAIN = "It is tried again; what has arrived there is not sent again where the store keeps parts."


class Exists(Exception):
    """Something of that name is there, and nothing may be replaced."""


def denied(cause: str, why: str = "The store denies access.") -> Refused:
    """401, 403, or no credentials at all."""
    return Refused(
        why,
        code="store_denied",
        advice="See that the credentials (credentials.ini, or the usual chain of the provider) "
        "may write below url, with encryption, storageclass and tags as they are set.",
        cause=cause,
    )


def no_bucket(cause: str) -> Refused:
    """There is no such bucket, container or folder."""
    return Refused(
        "There is no such bucket or container.",
        code="no_such_bucket",
        advice="Correct url, region, account and endpoint of the upload, or make the bucket.",
        cause=cause,
    )


def refused(cause: str) -> Refused:
    """The store answered that it does not take the object."""
    return Refused(
        "The store does not take the object.",
        code="store_refused",
        advice="The log has the words of the store; compare the settings of the upload with them.",
        cause=cause,
    )


def busy(cause: str) -> Unavailable:
    """SlowDown, 429, 5xx."""
    return Unavailable(
        "The store is busy or has a fault of its own.",
        code="store_busy",
        advice=_AGAIN,
        cause=cause,
    )


def unreachable(cause: str) -> Unavailable:
    """No connection, or it broke off."""
    return Unavailable(
        "The store cannot be reached, or the connection broke off.",
        code="store_unreachable",
        advice=f"{_AGAIN} Check url, endpoint, outboundproxy, cabundle and the firewall.",
        cause=cause,
    )


def damaged(cause: str) -> Unavailable:
    """What the store got is not what was sent."""
    return Unavailable(
        "What arrived at the store is not what was sent.",
        code="store_damaged",
        advice="It is sent again. If this goes on, look for a fault of memory, disk or network.",
        cause=cause,
    )


def exists() -> Refused:
    """An object of that name is there and is to stay."""
    return Refused(
        "An object of this name is in the store already.",
        code="object_exists",
        advice="Take it away and replay the delivery, let the task name another file, or set "
        "onexisting = replace or version.",
    )
