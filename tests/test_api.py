"""Everything that the page shows and changes, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connector_proxy.records import State
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import PAYLOADS, Service, StubCarrier, another, payload
from tests.crashing import triggered, wait_until
from tests.filestore import FileStore
from tests.opspage import ENDS, SECRET

Start = Callable[..., Service]
HEADERS = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
def service(start: Start, settings: Settings, carrier: StubCarrier) -> Service:
    carrier.deed = lambda stp_name, body: ENDS[stp_name]
    return start(replace(settings, opssecret=Secret(SECRET)), carrier)


@pytest.fixture
def ids(service: Service) -> dict[str, str]:
    """One delivery of each stored process, by its name."""
    for name in ENDS:
        service.post(triggered(name))
    return {one.stp_name: one.delivery_id for one in service.deliveries.search()}


def get(service: Service, path: str, status: int = 200, **query: Any) -> Any:
    answer = requests.get(f"{service.url}/api{path}", params=query, headers=HEADERS, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()


def post(service: Service, path: str, body: Any = None, status: int = 200) -> Any:
    raw = (
        body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    )
    answer = requests.post(f"{service.url}/api{path}", data=raw, headers=HEADERS, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()


def wrong(answer: dict[str, Any]) -> list[str]:
    assert answer["error"]["code"] == "unprocessable"
    return [one["field"] for one in answer["error"]["details"]]


# -- looking ------------------------------------------------------------------------------


def test_the_overview_tells_how_things_stand(service: Service, ids: dict[str, str]) -> None:
    found = get(service, "/overview")
    assert found["counts"] == {"waiting": 1, "running": 0, "done": 1, "refused": 1, "held": 1, "expired": 0, "cancelled": 0}  # fmt: skip
    assert (found["headline"], found["condition"]) == ("1 delivery waits for a decision.", "warn")
    assert datetime.fromisoformat(found["oldestWaitingSince"]) <= datetime.now(UTC)
    assert found["disk"]["free"] <= found["disk"]["total"]
    assert {one["stpName"] for one in found["storedProcesses"]} == {"Refused", "Held", "Waiting"}
    for span, count in (("24h", 24), ("14d", 14)):
        assert len(found["flow"][span]) == count
        assert found["flow"][span][-1]["counts"] == {
            "waiting": 1,
            "done": 1,
            "refused": 1,
            "held": 1,
        }


def test_deliveries_are_narrowed_down(service: Service, ids: dict[str, str]) -> None:
    def found(**query: Any) -> set[str]:
        return {one["stpName"] for one in get(service, "/deliveries", **query)["deliveries"]}

    assert found() == set(ENDS)
    assert found(state=["done", "held"]) == {"Done", "Held"}
    assert found(stp="rEFUSED") == {"Refused"}
    assert found(task="outBOUND") == set(ENDS)
    assert found(task="nothing") == set()
    assert found(trackingCode="none") == set()
    assert found(since="1m") == set(ENDS)
    assert found(until=(datetime.now(UTC) - timedelta(minutes=1)).isoformat()) == set()


def test_deliveries_come_page_by_page(service: Service, ids: dict[str, str]) -> None:
    first = get(service, "/deliveries", limit=3)
    assert len(first["deliveries"]) == 3
    rest = get(service, "/deliveries", limit=3, after=first["next"])
    assert (len(rest["deliveries"]), rest["next"]) == (1, None)
    seen = [one["deliveryId"] for one in first["deliveries"] + rest["deliveries"]]
    assert sorted(seen) == sorted(ids.values())


@pytest.mark.parametrize(
    ("query", "field"),
    [({"state": "lost"}, "state"), ({"since": "yesterday"}, "since"), ({"until": "7"}, "until"),
     ({"limit": "0"}, "limit"), ({"limit": "501"}, "limit"), ({"limit": "x"}, "limit"),
     ({"after": "x"}, "after"), ({"after": "9" * 15 + "." + "a" * 32}, "after"),
     ({"stp": "x" * 201}, "stp"), ({"task": "a\0b"}, "task")],
)  # fmt: skip
def test_a_query_that_cannot_be_understood_names_its_field(
    query: dict[str, str], field: str, service: Service
) -> None:
    assert wrong(get(service, "/deliveries", 422, **query)) == [field]


def test_a_delivery_tells_its_attempts_and_changes(service: Service, ids: dict[str, str]) -> None:
    one = ids["Refused"]
    post(service, f"/deliveries/{one}/replay", {"note": "mended"})
    wait_until(
        "it is refused again", lambda: len(get(service, f"/deliveries/{one}")["attempts"]) == 2
    )
    found = get(service, f"/deliveries/{one[:8]}")
    assert found["deliveryId"] == one
    assert [(each["number"], each["round"]) for each in found["attempts"]] == [(1, 1), (2, 2)]
    assert found["attempts"][0]["said"] == "the words of the other side"
    (change,) = found["changes"]
    assert (change["door"], change["who"], change["action"], change["note"]) == ("api", "127.0.0.1", "replay", "mended")  # fmt: skip
    outside = requests.get(f"{service.url}/deliveries/{one}", timeout=30)
    assert "said" not in outside.text and "changes" not in outside.json()


@pytest.mark.parametrize("part", ["", "/content", "/dataset"])
@pytest.mark.parametrize("wrong_id", ["ffff", "zzzz", "abc", "x" * 40, "%00%00%00%00", "é" * 4])
def test_an_id_that_nothing_has_is_not_found(part: str, wrong_id: str, service: Service) -> None:
    assert get(service, f"/deliveries/{wrong_id}{part}", 404)["error"]["code"] == "no_such_delivery"


def test_the_content_of_an_event_shows_no_customer(service: Service, ids: dict[str, str]) -> None:
    found = get(service, f"/deliveries/{ids['Done']}/content")
    assert found["payload"]["eventName"] == "SandboxOutbound"
    assert found["payload"]["identityId"] == "<masked>"
    assert "<stpName>Done</stpName>" in found["stream"]
    assert "621aba3e" not in json.dumps(found)
    assert found["hidden"] is True


def test_the_content_is_shown_where_the_settings_say_so(
    service: Service, start: Start, ids: dict[str, str], carrier: StubCarrier
) -> None:
    shown = start(replace(service.settings, showdata=True), carrier)
    found = get(shown, f"/deliveries/{ids['Done']}/content")
    assert found["payload"]["identityId"] == "621aba3e-2225-3552-90a1-d9a9a6484238"
    assert found["payload"]["date"]["generatedTimestamp"] == 1751625227523
    assert found["hidden"] is False


def test_the_content_of_a_task_shows_no_signature(service: Service) -> None:
    raw = (PAYLOADS / "bulk_stp.json").read_bytes().replace(b"Download File", b"Done")
    one = service.post(raw).json()["deliveryId"]
    found = json.dumps(get(service, f"/deliveries/{one}/content"))
    assert "Spring audience to SAS" in found
    assert "X-Amz" not in found


def test_a_payload_that_is_gone_is_told(service: Service, ids: dict[str, str]) -> None:
    service.deliveries.prune(datetime.now(UTC) + timedelta(days=8))
    found = get(service, f"/deliveries/{ids['Done']}/content", 404)
    assert found["error"]["code"] == "not_kept"


@pytest.mark.parametrize("showdata", [False, True])
@pytest.mark.parametrize("form", ["csv", "parquet", "xpt"])
def test_a_dataset_is_shown_with_its_rows_where_the_settings_say_so(
    form: str, showdata: bool, start: Start, settings: Settings, store: FileStore
) -> None:
    own = replace(settings, opssecret=Secret(SECRET), showdata=showdata, datasetformat=(form,))
    service = start(own)
    presigned = store.urls(b"id,name", b"1,Ada\n2,Grace\n")
    answer = service.post({**another(payload()), "presignedUrls": presigned})
    assert answer.json()["status"] == "done", answer.text
    found = get(service, f"/deliveries/{answer.json()['deliveryId']}/dataset")
    assert found["manifest"]["rows"] == 2
    rows = [["id", "name"], ["1", "Ada"], ["2", "Grace"]]
    assert found["firstRows"] == (rows if showdata and form != "xpt" else None)


def test_a_delivery_without_a_dataset_says_so(service: Service, ids: dict[str, str]) -> None:
    found = get(service, f"/deliveries/{ids['Done']}/dataset", 404)
    assert found["error"]["code"] == "no_dataset"


def test_stored_processes_tell_how_their_attempts_went(
    service: Service, ids: dict[str, str]
) -> None:
    for span in ("24h", "14d"):
        found = get(service, "/stored-processes", span=span)["storedProcesses"]
        by_name = {one["stpName"]: one for one in found}
        assert list(by_name) == ["Done", "Held", "Refused", "Waiting"]
        assert by_name["Done"]["whole"]["attempts"] == by_name["Done"]["whole"]["done"] == 1
        assert by_name["Done"]["whole"]["p95"] == 1
        assert by_name["Waiting"]["whole"]["p50"] is None
        assert by_name["Waiting"]["trouble"]["failures"] == 1
        assert by_name["Done"]["trouble"] is None
    assert wrong(get(service, "/stored-processes", 422, span="1y")) == ["span"]


def test_the_configuration_has_origins_and_no_secret(service: Service) -> None:
    found = get(service, "/configuration")
    assert found["settings"]["keepdays"] == {"value": "30", "origin": "default"}
    assert found["settings"]["opssecret"]["value"] == "<secret>"
    assert SECRET not in json.dumps(found)


def test_the_audit_trail_comes_page_by_page(service: Service) -> None:
    for number in range(5):
        post(service, f"/stored-processes/A{number}/pause", {"note": f"note {number}"})
    first = get(service, "/audit", limit=3)
    rest = get(service, "/audit", limit=3, before=first["next"])
    assert [one["note"] for one in first["changes"]] == ["note 4", "note 3", "note 2"]
    assert [one["note"] for one in rest["changes"]] == ["note 1", "note 0"]
    assert rest["next"] is None
    assert wrong(get(service, "/audit", 422, before="0")) == ["before"]


# -- changing -----------------------------------------------------------------------------


def test_a_held_delivery_is_resolved(service: Service, ids: dict[str, str]) -> None:
    one = ids["Held"]
    found = post(service, f"/deliveries/{one}/resolve", {"outcome": "done", "note": "log of 08:16"})
    assert (found["state"], found["note"], found["code"]) == ("done", "log of 08:16", "resolved")
    again = post(service, f"/deliveries/{one}/resolve", {"outcome": "done"}, 409)
    assert again["error"]["code"] == "not_possible"
    assert len(found["changes"]) == 1


def test_a_waiting_delivery_is_cancelled(service: Service, ids: dict[str, str]) -> None:
    found = post(service, f"/deliveries/{ids['Waiting']}/cancel")
    assert found["state"] == "cancelled"
    assert post(service, f"/deliveries/{ids['Done']}/cancel", {}, 409)


def test_a_stored_process_is_paused_and_resumed(service: Service, ids: dict[str, str]) -> None:
    assert post(service, "/stored-processes/WAITING/pause", {"note": "maintenance"}) == {
        "waiting": 1
    }
    assert get(service, f"/deliveries/{ids['Waiting']}")["paused"] is True
    assert get(service, "/overview")["storedProcesses"][-1]["pausedBy"] == "administrator"
    assert post(service, "/stored-processes/waiting/resume") == {"goingOn": 1}
    assert [one["action"] for one in get(service, "/audit")["changes"]] == ["resume", "pause"]


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [("resolve", {}, "outcome"), ("resolve", {"outcome": "held"}, "outcome"),
     ("resolve", {"outcome": 1}, "outcome"), ("cancel", {"note": 5}, "note"),
     ("cancel", {"note": None}, "note"), ("cancel", {"note": "x" * 1001}, "note"),
     ("cancel", {"notes": "x"}, "notes"), ("replay", {"outcome": "done"}, "outcome")],
)  # fmt: skip
def test_a_body_that_cannot_be_understood_names_its_member(
    action: str, body: dict[str, Any], field: str, service: Service, ids: dict[str, str]
) -> None:
    assert wrong(post(service, f"/deliveries/{ids['Held']}/{action}", body, 422)) == [field]
    assert service.deliveries.show(ids["Held"]).state is State.HELD


@pytest.mark.parametrize("raw", [b"x", b"[]", b"\xff", b'{"note": "a", "note": "b"}'])
def test_a_body_that_is_no_object_is_refused(
    raw: bytes, service: Service, ids: dict[str, str]
) -> None:
    found = post(service, f"/deliveries/{ids['Held']}/cancel", raw, 400)
    assert found["error"]["code"] == "not_json"


@pytest.mark.parametrize("name", ["a;b", "..%2f..", "x" * 129, "%00"])
def test_a_name_that_no_stored_process_can_have_is_refused(name: str, service: Service) -> None:
    for action in ("pause", "resume"):
        answer = requests.post(
            f"{service.url}/api/stored-processes/{name}/{action}", headers=HEADERS, timeout=30
        )
        assert answer.status_code in (404, 422), answer.text
    assert service.deliveries.changes() == []
