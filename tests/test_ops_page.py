"""What the page shows, and what its buttons do: read and sent as a browser without script does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector_proxy import outcomes, values
from connector_proxy.database import FILE
from connector_proxy.records import Outcome, State
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import Service, StubCarrier, another, payload
from tests.crashing import TRIGGERED, triggered, wait_until
from tests.filestore import FileStore
from tests.opspage import ENDS, SECRET, Browser, Page

Start = Callable[..., Service]
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"


@pytest.fixture
def ends(carrier: StubCarrier) -> dict[str, Outcome]:
    """What the stub says; a test may change it."""
    mine = dict(ENDS)
    carrier.deed = lambda stp_name, body: mine[stp_name]
    return mine


@pytest.fixture
def service(start: Start, settings: Settings, carrier: StubCarrier, ends: object) -> Service:
    return start(replace(settings, opssecret=Secret(SECRET)), carrier)


@pytest.fixture
def browser(service: Service) -> Browser:
    browser = Browser(service)
    browser.log_in()
    return browser


@pytest.fixture
def ids(service: Service) -> dict[str, str]:
    """One delivery of each stored process, by its name."""
    for name in ENDS:
        service.post(triggered(name))
    return {one.stp_name: one.delivery_id for one in service.deliveries.search()}


def notice(page: Page) -> str:
    (found,) = page.all("main > .notice[role=status]:not([hidden])")
    return str(found.text_content())


def named(page: Page) -> list[str]:
    """The stored processes of the deliveries in a list."""
    return [one.text_content().strip() for one in page.all("table.list td:nth-child(2) .soft")]


# -- overview -----------------------------------------------------------------------------


def test_the_overview_says_whether_somebody_is_needed(
    browser: Browser, ids: dict[str, str]
) -> None:
    page = browser.open("/ops")
    assert page.one(".headline").text_content() == "1 delivery waits for a decision."
    tiles = [" ".join(one.text_content().split()) for one in page.all(".tile a")]
    assert tiles == ["1 waiting", "0 running", "1 held", "1 refused", "0 expired", "1 done"]
    assert "the oldest for" in page.text
    assert len(page.all("svg[role=img]")) == 2
    assert "MB free" in page.text or "GB free" in page.text or "TB free" in page.text


def test_the_overview_of_an_empty_service_is_calm(browser: Browser) -> None:
    page = browser.open("/ops")
    assert page.one(".headline").text_content() == "Deliveries flow."
    assert not page.all("main rect.done")


def test_bars_and_table_tell_the_same(ids: dict[str, str], browser: Browser) -> None:
    page = browser.open("/ops")
    (hours, days) = page.all("svg[role=img]")
    for chart in (hours, days):
        last = chart.cssselect("g")[-1]
        words = " ".join(last.cssselect("title")[0].text.split())
        assert words.endswith("refused 1, held 1, waiting 1, done 1")
        assert len(last.cssselect("rect:not(.ground)")) == 4
    (row, *_) = page.all("#numbers-hour tbody tr")
    assert [cell.text_content().strip() for cell in row.cssselect("td")] == ["1", "1", "", "1", "1", "", ""]  # fmt: skip


def test_a_paused_stored_process_is_resumed_on_the_overview(
    browser: Browser, service: Service, ids: dict[str, str], ends: dict[str, Outcome]
) -> None:
    page = browser.open("/ops/stored-processes")
    forms = [one for one in page.tree.forms if one.fields.get("stp") == "Waiting"]
    page = browser.send(forms[0].action, **{**dict(forms[0].fields), "note": "maintenance"})
    assert notice(page) == "Waiting is paused; 1 delivery waiting."
    page = browser.open("/ops")
    assert page.one(".headline").text_content() == "1 delivery waits for a decision."
    assert "paused by administrator" in page.one("#paused").text_content()
    ends["Waiting"] = outcomes.done(200)
    page = browser.fill(page, "/resume", note="over")
    assert (notice(page), page.one("h1").text_content()) == ("Waiting runs; 1 delivery going on.", "Overview")  # fmt: skip
    wait_until("it is done", lambda: service.deliveries.counts()[State.DONE] == 2)
    told = [
        (one.action, one.decision.door, one.decision.note) for one in service.deliveries.changes()
    ]
    assert told == [("resume", "page", "over"), ("pause", "page", "maintenance")]


# -- deliveries ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"Done", "Refused", "Held", "Waiting"}),
        ({"state": "done"}, {"Done"}),
        ({"state": ["refused", "held"]}, {"Refused", "Held"}),
        ({"stp": "hELD"}, {"Held"}),
        ({"task": "outBOUND", "stp": " Done "}, {"Done"}),
        ({"task": "spring"}, set()),
        ({"trackingCode": "none"}, set()),
        ({"since": "2020-01-01T00:00", "until": ""}, {"Done", "Refused", "Held", "Waiting"}),
        ({"until": "2020-01-01T00:00"}, set()),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "",
)
def test_deliveries_are_narrowed_down(
    query: dict[str, Any], found: set[str], browser: Browser, ids: dict[str, str]
) -> None:
    page = browser.open("/ops/deliveries", **query)
    assert set(named(page)) == found
    assert bool(page.all("p.notice:not([hidden])")) == (not found)
    form = page.one("form.filter")
    assert dict(form.fields).get("stp") == str(query.get("stp", "")).strip()
    chosen = {box.get("value") for box in form.cssselect("input[type=checkbox][checked]")}
    states = query.get("state", [])
    assert chosen == set([states] if isinstance(states, str) else states)


def test_the_latest_come_first_and_older_ones_behind(browser: Browser, service: Service) -> None:
    for _ in range(53):
        service.post(triggered("Done"))
    page = browser.open("/ops/deliveries", stp="Done")
    assert len(named(page)) == 50
    (older,) = (one for one in page.all("a.button") if one.text == "Older")
    page = browser.open(older.get("href"))
    assert len(named(page)) == 3
    (newest,) = (one for one in page.all("a.button") if one.text == "Newest")
    assert newest.get("href") == "/ops/deliveries?stp=Done"


def test_a_query_that_cannot_be_understood_is_told(browser: Browser) -> None:
    page = browser.open("/ops/deliveries", since="yesterday")
    assert page.status == 422
    assert "since: write 30m, 12h, 7d, or a moment" in page.text


# -- one delivery -------------------------------------------------------------------------


def test_a_delivery_tells_its_story(
    browser: Browser, ids: dict[str, str], service: Service, ends: dict[str, Outcome]
) -> None:
    one = ids["Refused"]
    ends["Refused"] = outcomes.done(200, {"rows": 7})
    page = browser.fill(browser.open(f"/ops/deliveries/{one}"), "/replay", note="mended")
    assert notice(page) == "It is placed in the queue."
    wait_until("it is done", lambda: service.deliveries.show(one).state is State.DONE)
    page = browser.open(f"/ops/deliveries/{one[:6]}")
    story = [" ".join(one.text_content().split()) for one in page.all(".story > li")]
    assert [line[20:].partition(":")[0] for line in story if line != "round 2"] == [
        "accepted", "attempt 1", "replayed by page 127.0.0.1", "attempt 2",
    ]  # fmt: skip
    assert "refused (credentials, HTTP 401) after 1 ms, stub on" in story[1]
    told = [item.text_content() for item in page.all(".story > li")[1].cssselect("li")]
    assert "said: the words of the other side" in told
    assert told[-1].startswith("advice: Set stpusername")
    assert story[2].endswith("refused before, waits note: mended")
    assert story[3] == "round 2"
    facts = {one.text_content(): one.getnext().text_content() for one in page.all(".facts dt")}
    assert (facts["rows"], facts["Stored process"]) == ("7", "Refused")


def test_the_buttons_fit_the_state(browser: Browser, ids: dict[str, str], service: Service) -> None:
    def buttons(name: str) -> list[str]:
        page = browser.open(f"/ops/deliveries/{ids[name]}")
        return [one.text_content() for one in page.all(".decision h3")]

    assert buttons("Done") == ["Replay"]
    assert buttons("Refused") == ["Replay"]
    assert buttons("Held") == ["Resolve", "Replay", "Cancel"]
    assert buttons("Waiting") == ["Replay", "Cancel"]
    service.deliveries.prune(datetime.now(UTC) + timedelta(days=8))
    assert buttons("Done") == []


@pytest.mark.parametrize("outcome", ["done", "refused"])
def test_a_held_delivery_is_resolved(
    outcome: str, browser: Browser, ids: dict[str, str], service: Service
) -> None:
    page = browser.open(f"/ops/deliveries/{ids['Held']}")
    page = browser.fill(page, "/resolve", outcome=outcome, note="log of 08:16")
    assert notice(page) == f"It is {outcome}."
    one = service.deliveries.show(ids["Held"])
    assert (str(one.state), one.note) == (outcome, "log of 08:16")
    assert not browser.open(f"/ops/deliveries/{ids['Held']}").all("main > .notice:not([hidden])")


def test_a_waiting_delivery_is_cancelled(
    browser: Browser, ids: dict[str, str], service: Service
) -> None:
    page = browser.open(f"/ops/deliveries/{ids['Waiting']}")
    assert notice(browser.fill(page, "/cancel", note="wrong audience")) == "It is cancelled."
    assert notice(browser.fill(page, "/cancel", note="again")).startswith(
        "The delivery is cancelled; only one that waits or is held is cancelled."
    )
    assert len(service.deliveries.changes()) == 1


def test_a_decision_that_says_nothing_is_refused(browser: Browser, ids: dict[str, str]) -> None:
    page = browser.open(f"/ops/deliveries/{ids['Held']}")
    page = browser.fill(page, "/resolve", outcome="", note="x")
    assert (page.status, "outcome: write done or refused" in page.text) == (422, True)


def test_the_payload_is_shown_masked(browser: Browser, ids: dict[str, str]) -> None:
    page = browser.open(f"/ops/deliveries/{ids['Done']}")
    shown = json.loads(page.one("#payload pre").text_content())
    assert shown["identityId"] == "<masked>"
    assert shown["eventName"] == "SandboxOutbound"
    assert "<subject_id><masked></subject_id>" in page.one("#stream pre").text_content()
    assert "showdata = True shows it" in page.text


@pytest.mark.parametrize("showdata", [False, True])
def test_a_dataset_is_shown_with_its_rows_where_the_settings_say_so(
    showdata: bool, start: Start, settings: Settings, store: FileStore
) -> None:
    service = start(replace(settings, opssecret=Secret(SECRET), showdata=showdata))
    urls = store.urls(b"id,name", f"1,{MARKUP.replace(',', '')}\n2,Grace\n".encode())
    answer = service.post({**another(payload()), "presignedUrls": urls})
    browser = Browser(service)
    browser.log_in()
    page = browser.open(f"/ops/deliveries/{answer.json()['deliveryId']}")
    assert [one.text_content() for one in page.all("#columns tbody th")] == ["id", "name"]
    cells = [one.text_content() for one in page.all("#rows td")]
    assert bool(cells) is showdata
    if showdata:
        assert "Grace" in cells
        assert not page.all("#rows script, #rows img")
    else:
        assert "Its rows are data of customers" in page.text


def test_a_delivery_that_is_not_there_is_told(browser: Browser) -> None:
    page = browser.open("/ops/deliveries/ffff")
    assert (page.status, page.one("h1").text_content()) == (404, "Not possible")
    assert browser.open("/ops/nothing").status == 404


def test_all_of_it_works_on_postgresql(
    queueurl: str, start: Start, settings: Settings, carrier: StubCarrier, ends: object
) -> None:
    own = replace(settings, opssecret=Secret(SECRET), queueurl=values.queue_url(queueurl, settings.home))  # fmt: skip
    service = start(own, carrier)
    held = service.post(triggered("Held")).json()["deliveryId"]
    browser = Browser(service)
    browser.log_in()
    page = browser.open(f"/ops/deliveries/{held}")
    assert notice(browser.fill(page, "/resolve", outcome="done", note="log")) == "It is done."
    for path in ("", "/deliveries?task=out&trackingCode=x&since=1h&until=0m&after=1." + "a" * 32, "/stored-processes", "/stored-processes?span=14d", "/audit?before=9", "/configuration"):  # fmt: skip
        assert browser.open(f"/ops{path}").status == 200
    assert "free of" not in browser.open("/ops").text, "the disk is that of the server"


def test_a_database_that_cannot_be_read_is_told(service: Service, browser: Browser) -> None:
    with closing(sqlite3.connect(service.settings.datafolder / FILE)) as file, file:
        file.execute("ALTER TABLE audit RENAME TO away")
    try:
        page = browser.open("/ops/audit")
        assert page.status == 503
        assert "The deliveries cannot be read" in page.text
        assert page.answer.headers["Retry-After"] == "30"
    finally:
        with closing(sqlite3.connect(service.settings.datafolder / FILE)) as file, file:
            file.execute("ALTER TABLE away RENAME TO audit")


# -- markup, control characters ------------------------------------------------------------


def test_markup_from_outside_stays_text_on_every_page(
    service: Service, browser: Browser, ends: dict[str, Outcome]
) -> None:
    ends["Held"] = outcomes.unknown(0, MARKUP, MARKUP)
    event = json.loads(triggered("Held", guid=MARKUP))
    event |= {
        "eventName": MARKUP,
        "contactResponse": {"responseTrackingCode": MARKUP},
        MARKUP: MARKUP,
    }
    one = service.post(json.dumps(event).encode()).json()["deliveryId"]
    page = browser.open(f"/ops/deliveries/{one}")
    browser.fill(page, "/cancel", note=MARKUP)
    browser.send("/ops/stored-processes/pause", token=browser.token, stp="Held", note=MARKUP)
    seen = 0
    for path in ("/ops", "/ops/deliveries", f"/ops/deliveries/{one}", "/ops/stored-processes", "/ops/audit", f"/ops/deliveries?task={MARKUP}&stp={MARKUP}&trackingCode={MARKUP}"):  # fmt: skip
        page = browser.open(path)
        assert page.status == 200
        assert not page.all("main script, main img, [onerror]")
        assert "49" not in page.all("h1")[0].text_content(), "nothing is a template"
        seen += page.text.count("<script>alert(1)</script>")
    assert seen >= 5, "and it is shown as it came"


def test_text_that_no_encoding_knows_does_not_break_a_page(
    service: Service, browser: Browser
) -> None:
    broken = json.dumps({**TRIGGERED, "guid": "\ud800", "eventName": "half \udc00 a letter\r\nSet-Cookie: x=1", "outboundProperties": {"properties": {"stpName": "Done"}}})  # fmt: skip
    answer = service.post(broken.encode())
    page = browser.open(f"/ops/deliveries/{answer.json()['deliveryId']}")
    assert (page.status, "half ? a letter" in page.text) == (200, True)
    assert browser.open("/ops/deliveries").status == 200
    assert "x" not in page.answer.cookies


def test_a_name_that_no_stored_process_can_have_is_refused(browser: Browser) -> None:
    page = browser.send("/ops/stored-processes/pause", token=browser.token, stp=MARKUP)
    assert (page.status, page.all("main script")) == (422, [])


# -- the other pages ----------------------------------------------------------------------


def test_stored_processes_show_their_attempts(browser: Browser, ids: dict[str, str]) -> None:
    page = browser.open("/ops/stored-processes", span="14d")
    assert [one.text_content().split("\n")[0].strip() for one in page.all(".card h2")] == ["Done", "Held", "Refused", "Waiting"]  # fmt: skip
    first = page.all(".card")[0]
    facts = {one.text_content(): one.getnext().text_content() for one in first.cssselect("dt")}
    assert (facts["Attempts"], facts["Done"], facts["Half took at most"]) == (
        "1",
        "100.0 %",
        "1 ms",
    )
    assert "1 failure in a row" in page.all(".card")[1].text_content()


def test_the_configuration_is_shown_without_secrets(browser: Browser) -> None:
    page = browser.open("/ops/configuration")
    names = [one.text_content() for one in page.all("dt")]
    assert {"keepdays", "opssecret", "showdata"} <= set(names)
    assert SECRET not in page.answer.text
    assert "<secret>" in page.text


def test_the_audit_trail_shows_who_changed_what(
    browser: Browser, ids: dict[str, str], service: Service
) -> None:
    browser.fill(browser.open(f"/ops/deliveries/{ids['Held']}"), "/cancel", note="wrong audience")
    (row,) = browser.open("/ops/audit").all("tbody tr")
    words = [" ".join(cell.text_content().split()) for cell in row.cssselect("td")]
    assert words[1:] == ["page 127.0.0.1", f"cancel {ids['Held'][:8]} Held: held before, cancelled", "wrong audience"]  # fmt: skip
    for number in range(50):
        browser.send("/ops/stored-processes/pause", token=browser.token, stp=f"A{number}", note="")
    page = browser.open("/ops/audit")
    assert len(page.all("tbody tr")) == 50
    assert len(browser.open(page.one("a[rel=next]").get("href")).all("tbody tr")) == 1
