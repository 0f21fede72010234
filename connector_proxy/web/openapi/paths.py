"""Every address that answers in JSON, with what it takes and what it answers."""

from __future__ import annotations

from connector_proxy.web.asked import SPANS
from connector_proxy.web.openapi.operations import (
    CRITERIA,
    FROM_ELSEWHERE,
    ID,
    LIMIT,
    STP,
    WATCHED,
    answers,
    change,
    file_answer,
    in_path,
    in_query,
    look,
    webhook,
)
from connector_proxy.web.openapi.schemas import TEXT, Schema, maybe, named, record, several

_FIGURES = ("text/plain", "application/openmetrics-text")

PATHS: dict[str, Schema] = {
    "/ExecuteSTP": webhook(
        "executeStp",
        "Accept a webhook: keep it, and carry it out.",
        in_query("stpName", "The stored process, where the payload names none.", **TEXT),
        {"anyOf": [named("Bulk"), named("Triggered")]},
    ),
    "/UploadFile": webhook(
        "uploadFile",
        "Accept a webhook whose data file goes to an object store.",
        in_query("uploadTarget", "The target, where the payload names none.", **TEXT),
        named("Bulk"),
    ),
    "/deliveries/{deliveryId}": {
        "get": {
            "operationId": "record",
            "summary": "One delivery with its attempts, for who sent it.",
            "tags": ["webhook"],
            "security": [{}, {"webhookBasic": []}, {"webhookBearer": []}],
            "parameters": [in_path("deliveryId", "The whole id.", pattern="^[0-9a-f]{32}$")],
            "responses": answers({200: "found"}, "Delivery", (400, 401, 404, 429, 431, 503)),
        }
    },
    "/files/{deliveryId}.{token}/{name}": {
        "get": {
            "operationId": "stagedFile",
            "summary": "A staged file, for a SAS server without internet: whole or in parts.",
            "tags": ["webhook"],
            "parameters": [
                in_path("deliveryId", "The whole id.", pattern="^[0-9a-f]{32}$"),
                in_path("token", "As the stream tells it.", pattern="^[\\w-]+$"),
                in_path("name", "As the stream tells it.", pattern="^\\w+$"),
            ],
            "responses": {
                "200": file_answer("the file"),
                "206": file_answer("the part that Range asks for"),
                "304": {"description": "it is as If-None-Match says"},
                **answers({}, "Error", (400, 404, 412, 416, 431, 503)),
            },
        }
    },
    "/health": {
        "get": {
            "operationId": "health",
            "summary": "How the service fares, check by check.",
            **WATCHED,
            "responses": {
                **answers(
                    {200: "it does its work", 503: "a check fails"}, "Health", FROM_ELSEWHERE
                ),
            },
        }
    },
    "/health/live": {
        "get": {
            "operationId": "live",
            "summary": "That it answers at all.",
            "security": [],
            "responses": answers({200: "it answers"}, record({"status": TEXT}), (400, 431)),
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Figures for Prometheus.",
            **WATCHED,
            "responses": {
                "200": {
                    "description": "the figures",
                    "content": {kind: {"schema": TEXT} for kind in _FIGURES},
                },
                **answers({}, "Error", FROM_ELSEWHERE),
            },
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "document",
            "summary": "This document.",
            "tags": ["administration"],
            "responses": answers({200: "found"}, {"type": "object"}, (400, 404, 431)),
        }
    },
    "/api/overview": {"get": look("overview", "How things stand, at a glance.", "Overview")},
    "/api/deliveries": {
        "get": look(
            "deliveries",
            "Deliveries, the latest first.",
            record({"deliveries": several(named("ListedDelivery")), "next": maybe(TEXT)}),
            *CRITERIA,
            LIMIT,
        )
    },
    "/api/deliveries/{deliveryId}": {
        "get": look(
            "delivery", "A delivery, its attempts, what was changed of it.", "ToldDelivery", ID
        )
    },
    "/api/deliveries/{deliveryId}/content": {
        "get": look("content", "Its payload and stream, masked.", "Content", ID)
    },
    "/api/deliveries/{deliveryId}/dataset": {
        "get": look("dataset", "The dataset that the embedded stored process made.", "Dataset", ID)
    },
    "/api/deliveries/{deliveryId}/replay": {
        "post": change("replay", "Carry it out again, at once.", "ToldDelivery", "Why", ID)
    },
    "/api/deliveries/{deliveryId}/resolve": {
        "post": change(
            "resolve", "End a held one, as you found out.", "ToldDelivery", "FoundOut", ID
        )
    },
    "/api/deliveries/{deliveryId}/cancel": {
        "post": change("cancel", "End one that waits or is held.", "ToldDelivery", "Why", ID)
    },
    "/api/stored-processes": {
        "get": look(
            "storedProcesses",
            "How the attempts of each stored process went.",
            record({"storedProcesses": several(named("Standing"))}),
            in_query("span", "How far back.", type="string", enum=list(SPANS), default="24h"),
        )
    },
    "/api/stored-processes/{stpName}/pause": {
        "post": change(
            "pause",
            "Let the deliveries of a stored process wait.",
            record({"waiting": {"type": "integer"}}),
            "Why",
            STP,
        )
    },
    "/api/stored-processes/{stpName}/resume": {
        "post": change(
            "resume",
            "Let a stored process run again.",
            record({"goingOn": {"type": "integer"}}),
            "Why",
            STP,
        )
    },
    "/api/configuration": {
        "get": look("configuration", "What is in force, secrets masked.", "Configuration"),
    },
    "/api/audit": {
        "get": look(
            "audit",
            "What administrators changed, the latest first.",
            record(
                {"changes": several(named("Change")), "next": maybe({"type": "integer"})},
            ),
            in_query("before", "next of the answer before.", type="integer", minimum=1),
            LIMIT,
        )
    },
}
