"""Every address that answers in JSON, with what it takes and what it answers."""

from __future__ import annotations

from connector_proxy.records import State
from connector_proxy.web.asked import LONGEST_TEXT, SPANS
from connector_proxy.web.openapi.schemas import TEXT, Schema, maybe, named, record, several
from connector_proxy.web.ops.guard import HEADER_TOKEN

_WHY = {
    400: "the body is not one clean JSON object",
    401: "the secret is missing or wrong",
    403: "a change with a cookie and without the token of its form, or for other addresses only",
    404: "there is no such thing, or you are too far away to see it",
    409: "it does not fit the state of the delivery",
    416: "there is no such part",
    413: "the body is too large",
    422: "details names each field that cannot be understood",
    429: "too many tries with a wrong secret; see Retry-After",
    431: "the headers are too large",
    502: "the delivery is refused or expired",
    503: "the database does not answer, or nothing more is accepted; see Retry-After",
    504: "the delivery is held: nobody can tell how it ended",
}
_LOOKING = (400, 401, 404, 429, 431, 503)
_CHANGING = (*_LOOKING, 403, 409, 413, 422)


def _answers(good: dict[int, str], schema: str | Schema, bad: tuple[int, ...]) -> Schema:
    shape = named(schema) if isinstance(schema, str) else schema
    found = {str(status): _answer(words, shape) for status, words in good.items()}
    return found | {str(status): _answer(_WHY[status], named("Error")) for status in sorted(bad)}


def _answer(words: str, schema: Schema) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _bytes(words: str) -> Schema:
    return {"description": words, "content": {"application/octet-stream": {}}}


def _query(name: str, words: str, **schema: object) -> Schema:
    return {"name": name, "in": "query", "description": words, "schema": schema}


def _path(name: str, words: str, **schema: object) -> Schema:
    own = {"type": "string", **schema}
    return {"name": name, "in": "path", "required": True, "description": words, "schema": own}


_ID = _path(
    "deliveryId",
    "The id of a delivery; its beginning is enough where it is the only one.",
    pattern="^[0-9a-f]{4,32}$",
)
_STP = _path("stpName", "The name of a stored process.", minLength=1, maxLength=128)
_TOKEN = {
    "name": HEADER_TOKEN,
    "in": "header",
    "description": "Only with the cookie of a session: the token of its forms.",
    "schema": TEXT,
}
_LIMIT = _query("limit", "How many at most.", type="integer", minimum=1, maximum=500, default=50)
_SECURITY: list[Schema] = [{"opsSecret": []}, {"opsSession": []}]


def _look(name: str, summary: str, schema: str | Schema, *parameters: Schema) -> Schema:
    bad = (*_LOOKING, 422) if any(one["in"] == "query" for one in parameters) else _LOOKING
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["administration"],
        "security": _SECURITY,
        "parameters": list(parameters),
        "responses": _answers({200: "found"}, schema, bad),
    }


def _watch(name: str, summary: str) -> Schema:
    """What monitoring looks at: from this machine without a secret."""
    security: list[Schema] = [{}, {"opsSecret": []}]
    return {"operationId": name, "summary": summary, "tags": ["monitoring"], "security": security}


def _change(
    name: str, summary: str, schema: str | Schema, body: str, *parameters: Schema
) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["administration"],
        "security": _SECURITY,
        "parameters": [*parameters, _TOKEN],
        "requestBody": {
            "required": body != "Why",
            "content": {"application/json": {"schema": named(body)}},
        },
        "responses": _answers({200: "done"}, schema, _CHANGING),
    }


_CRITERIA = (
    {
        "name": "state",
        "in": "query",
        "description": "Of these states; none: of every state.",
        "schema": several({"type": "string", "enum": [str(state) for state in State]}),
    },
    _query("stp", "Name of the stored process.", type="string", maxLength=LONGEST_TEXT),
    _query("task", "Text in the name of the task.", type="string", maxLength=LONGEST_TEXT),
    _query("trackingCode", "Response tracking code.", type="string", maxLength=LONGEST_TEXT),
    _query("since", "Accepted since: 30m, 12h, 7d, or a moment (ISO 8601).", type="string"),
    _query("until", "Accepted before: the same.", type="string"),
    _query("after", "next of the answer before.", type="string"),
)

_OF_DELIVERY = ("record", "delivery", "content", "dataset", "replay", "resolve", "cancel")


def _links(answers: Schema, pointer: str) -> Schema:
    """The same answers, each good one with what can be asked about the delivery that it names."""
    links = {
        name: {"operationId": name, "parameters": {"deliveryId": f"$response.body#{pointer}"}}
        for name in _OF_DELIVERY
    }
    return {
        status: {**one, "links": links} if status.startswith("2") else one
        for status, one in answers.items()
    }


PATHS: dict[str, Schema] = {
    "/ExecuteSTP": {
        "post": {
            "operationId": "executeStp",
            "summary": "Accept a webhook: keep it, and carry it out.",
            "description": "The Content-Type is not looked at; the agent of the general access "
            "point sends text/plain.",
            "tags": ["webhook"],
            "security": [{}, {"webhookBasic": []}, {"webhookBearer": []}],
            "parameters": [
                _query("stpName", "The stored process, where the payload names none.", **TEXT)
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"anyOf": [named("Bulk"), named("Triggered")]}}
                },
            },
            "responses": _links(
                _answers(
                    {200: "done, or accepted before", 202: "kept, and not ended yet"},
                    "Answered",
                    (400, 401, 413, 422, 429, 431, 502, 503, 504),
                ),
                "/deliveryId",
            ),
        }
    },
    "/deliveries/{deliveryId}": {
        "get": {
            "operationId": "record",
            "summary": "One delivery with its attempts, for who sent it.",
            "tags": ["webhook"],
            "security": [{}, {"webhookBasic": []}, {"webhookBearer": []}],
            "parameters": [_path("deliveryId", "The whole id.", pattern="^[0-9a-f]{32}$")],
            "responses": _answers({200: "found"}, "Delivery", (400, 401, 404, 429, 431, 503)),
        }
    },
    "/files/{deliveryId}.{token}/{name}": {
        "get": {
            "operationId": "stagedFile",
            "summary": "A staged file, for a SAS server without internet: whole or in parts.",
            "tags": ["webhook"],
            "parameters": [
                _path("deliveryId", "The whole id.", pattern="^[0-9a-f]{32}$"),
                _path("token", "As the stream tells it.", pattern="^[\\w-]+$"),
                _path("name", "As the stream tells it.", pattern="^\\w+$"),
            ],
            "responses": {
                "200": _bytes("the file"),
                "206": _bytes("the part that Range asks for"),
                "304": {"description": "it is as If-None-Match says"},
                **_answers({}, "Error", (400, 404, 416, 431)),
            },
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "document",
            "summary": "This document.",
            "tags": ["administration"],
            "responses": _answers({200: "found"}, {"type": "object"}, (400, 404, 431)),
        }
    },
    "/health": {
        "get": {
            **_watch("health", "How this service fares: every check."),
            "responses": _answers(
                {200: "nothing fails", 503: "a check fails"}, "Health", (400, 401, 403, 429, 431)
            ),
        }
    },
    "/health/live": {
        "get": {
            **_watch("live", "Whether it answers at all."),
            "responses": _answers(
                {200: "it does"}, record({"status": {"const": "ok"}}), (400, 401, 403, 429, 431)
            ),
        }
    },
    "/metrics": {
        "get": {
            **_watch("metrics", "Figures for Prometheus, in the form that Accept asks for."),
            "responses": {
                "200": {
                    "description": "the figures",
                    "content": {"text/plain": {}, "application/openmetrics-text": {}},
                },
                **_answers({}, "Error", (400, 401, 403, 429, 431)),
            },
        }
    },
    "/api/overview": {"get": _look("overview", "How things stand, at a glance.", "Overview")},
    "/api/deliveries": {
        "get": _look(
            "deliveries",
            "Deliveries, the latest first.",
            record({"deliveries": several(named("ListedDelivery")), "next": maybe(TEXT)}),
            *_CRITERIA,
            _LIMIT,
        )
    },
    "/api/deliveries/{deliveryId}": {
        "get": _look(
            "delivery", "A delivery, its attempts, what was changed of it.", "ToldDelivery", _ID
        )
    },
    "/api/deliveries/{deliveryId}/content": {
        "get": _look("content", "Its payload and stream, masked.", "Content", _ID)
    },
    "/api/deliveries/{deliveryId}/dataset": {
        "get": _look(
            "dataset", "The dataset that the embedded stored process made.", "Dataset", _ID
        )
    },
    "/api/deliveries/{deliveryId}/replay": {
        "post": _change("replay", "Carry it out again, at once.", "ToldDelivery", "Why", _ID)
    },
    "/api/deliveries/{deliveryId}/resolve": {
        "post": _change(
            "resolve", "End a held one, as you found out.", "ToldDelivery", "FoundOut", _ID
        )
    },
    "/api/deliveries/{deliveryId}/cancel": {
        "post": _change("cancel", "End one that waits or is held.", "ToldDelivery", "Why", _ID)
    },
    "/api/stored-processes": {
        "get": _look(
            "storedProcesses",
            "How the attempts of each stored process went.",
            record({"storedProcesses": several(named("Standing"))}),
            _query("span", "How far back.", type="string", enum=list(SPANS), default="24h"),
        )
    },
    "/api/stored-processes/{stpName}/pause": {
        "post": _change(
            "pause",
            "Let the deliveries of a stored process wait.",
            record({"waiting": {"type": "integer"}}),
            "Why",
            _STP,
        )
    },
    "/api/stored-processes/{stpName}/resume": {
        "post": _change(
            "resume",
            "Let a stored process run again.",
            record({"goingOn": {"type": "integer"}}),
            "Why",
            _STP,
        )
    },
    "/api/configuration": {
        "get": _look("configuration", "What is in force, secrets masked.", "Configuration"),
    },
    "/api/audit": {
        "get": _look(
            "audit",
            "What administrators changed, the latest first.",
            record(
                {"changes": several(named("Change")), "next": maybe({"type": "integer"})},
            ),
            _query("before", "next of the answer before.", type="integer", minimum=1),
            _LIMIT,
        )
    },
}
