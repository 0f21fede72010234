"""The OpenAPI 3.1 document of everything that answers in JSON: words, limits and states come from
the code, and tests hold the rest against it."""

from __future__ import annotations

from typing import Any

from connector_proxy import __version__
from connector_proxy.web.openapi.paths import PATHS
from connector_proxy.web.openapi.schemas import SCHEMAS
from connector_proxy.web.ops.guard import COOKIE, HEADER_TOKEN


def document() -> dict[str, Any]:
    """The document, as it is served at ``/openapi.json``."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "connector-proxy",
            "version": __version__,
            "description": "The webhook between SAS Customer Intelligence 360 and stored processes "
            "on the premises, and what administrators do with deliveries. Every answer has "
            "the header X-Request-ID; the log knows the request by it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "webhook", "description": "What the connector of CI 360 calls."},
            {"name": "monitoring", "description": "What looks after the service calls."},
            {"name": "administration", "description": "The page at /ops as JSON."},
        ],
        "paths": PATHS,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }


_SCHEMES = {
    "opsSecret": {
        "type": "http",
        "scheme": "bearer",
        "description": "opssecret of credentials.ini.",
    },
    "opsSession": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of a browser that is logged in at /ops; a change needs the "
        f"header {HEADER_TOKEN} with the token of its forms, too.",
    },
    "webhookBasic": {"type": "http", "scheme": "basic", "description": "auth = basic."},
    "webhookBearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "auth = bearer. (auth = header asks for a header of your own.)",
    },
}
