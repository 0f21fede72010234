"""What operations of the document have in common: parameters, answers with their reasons, links."""

from __future__ import annotations

from connector_proxy.records import State
from connector_proxy.web.asked import LONGEST_TEXT
from connector_proxy.web.openapi.schemas import TEXT, Schema, named, several
from connector_proxy.web.ops.guard import HEADER_TOKEN

_WHY = {
    400: "the body is not one clean JSON object",
    401: "the secret is missing or wrong",
    403: "a page of another site asked for it, or it is not for this address",
    404: "there is no such thing, or you are too far away to see it",
    409: "it does not fit the state of the delivery",
    412: "the file is another one than the caller knows",
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


def answers(good: dict[int, str], schema: str | Schema, bad: tuple[int, ...]) -> Schema:
    """What an operation answers: ``good`` statuses with ``schema``, ``bad`` ones with an error."""
    shape = named(schema) if isinstance(schema, str) else schema
    found = {str(status): _answer(words, shape) for status, words in good.items()}
    return found | {str(status): _answer(_WHY[status], named("Error")) for status in sorted(bad)}


def _answer(words: str, schema: Schema) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def file_answer(words: str) -> Schema:
    """An answer that is a file."""
    return {"description": words, "content": {"application/octet-stream": {}}}


def in_query(name: str, words: str, **schema: object) -> Schema:
    """A parameter in the query string."""
    return {"name": name, "in": "query", "description": words, "schema": schema}


def in_path(name: str, words: str, **schema: object) -> Schema:
    """A part of the path."""
    own = {"type": "string", **schema}
    return {"name": name, "in": "path", "required": True, "description": words, "schema": own}


ID = in_path(
    "deliveryId",
    "The id of a delivery; its beginning is enough where it is the only one.",
    pattern="^[0-9a-f]{4,32}$",
)
STP = in_path("stpName", "The name of a stored process.", minLength=1, maxLength=128)
_TOKEN = {
    "name": HEADER_TOKEN,
    "in": "header",
    "description": "Only with the cookie of a session: the token of its forms.",
    "schema": TEXT,
}
LIMIT = in_query("limit", "How many at most.", type="integer", minimum=1, maximum=500, default=50)
_SECURITY: list[Schema] = [{"opsSecret": []}, {"opsSession": []}]


def look(name: str, summary: str, schema: str | Schema, *parameters: Schema) -> Schema:
    """An operation of the API that changes nothing."""
    bad = (*_LOOKING, 422) if any(one["in"] == "query" for one in parameters) else _LOOKING
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["administration"],
        "security": _SECURITY,
        "parameters": list(parameters),
        "responses": answers({200: "found"}, schema, bad),
    }


def change(name: str, summary: str, schema: str | Schema, body: str, *parameters: Schema) -> Schema:
    """An operation of the API that changes something; ``body`` is the schema of what is sent."""
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
        "responses": answers({200: "done"}, schema, _CHANGING),
    }


WATCHED: Schema = {
    "description": "Open on this machine; from elsewhere with opssecret, as bearer token or as the "
    "password of any user.",
    "tags": ["monitoring"],
    "security": [{}, {"opsSecret": []}],
}
FROM_ELSEWHERE = (400, 401, 403, 429, 431)

CRITERIA = (
    {
        "name": "state",
        "in": "query",
        "description": "Of these states; none: of every state.",
        "schema": several({"type": "string", "enum": [str(state) for state in State]}),
    },
    in_query("stp", "Name of the stored process.", type="string", maxLength=LONGEST_TEXT),
    in_query("task", "Text in the name of the task.", type="string", maxLength=LONGEST_TEXT),
    in_query("trackingCode", "Response tracking code.", type="string", maxLength=LONGEST_TEXT),
    in_query("since", "Accepted since: 30m, 12h, 7d, or a moment (ISO 8601).", type="string"),
    in_query("until", "Accepted before: the same.", type="string"),
    in_query("after", "next of the answer before.", type="string"),
)

_OF_DELIVERY = ("record", "delivery", "content", "dataset", "replay", "resolve", "cancel")


def linked(found: Schema, pointer: str) -> Schema:
    """The same answers, each good one with what can be asked about the delivery that it names."""
    links = {
        name: {"operationId": name, "parameters": {"deliveryId": f"$response.body#{pointer}"}}
        for name in _OF_DELIVERY
    }
    return {
        status: {**one, "links": links} if status.startswith("2") else one
        for status, one in found.items()
    }


def webhook(name: str, summary: str, parameter: Schema, body: Schema) -> Schema:
    """A door for webhooks, with the parameter and the payloads that it takes."""
    kept = {200: "done, or accepted before", 202: "kept, and not ended yet"}
    others = (400, 401, 403, 413, 422, 429, 431, 502, 503, 504)
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "description": "The Content-Type is not looked at; the agent of the general access "
            "point sends text/plain.",
            "tags": ["webhook"],
            "security": [{}, {"webhookBasic": []}, {"webhookBearer": []}],
            "parameters": [parameter],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": linked(answers(kept, "Answered", others), "/deliveryId"),
        }
    }
