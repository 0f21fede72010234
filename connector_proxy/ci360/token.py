"""The token that the external gateway of CI 360 takes."""

from __future__ import annotations

import base64

import jwt


def key(secret: str) -> bytes:
    """What a token is signed with: the Base64 text of the client secret, as bytes."""
    return base64.b64encode(secret.encode())


def token(tenant: str, secret: str) -> str:
    """The token of an access point: HS256, the tenant's id as ``clientID``, and no end of its own.
    So SAS's published clients make it; it is as secret as ``secret`` itself."""
    return jwt.encode({"clientID": tenant}, key(secret), algorithm="HS256")
