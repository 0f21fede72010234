"""Nobody gets in at the page without the secret, from elsewhere, or by a trick."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
import requests

from connector_proxy.records import State
from connector_proxy.secrethash import hashed
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from connector_proxy.web.ops.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions
from tests.conftest import Service, StubCarrier
from tests.crashing import triggered
from tests.opspage import ENDS, SECRET, Browser

Start = Callable[..., Service]
PAGES = (
    "/ops",
    "/ops/deliveries",
    "/ops/deliveries/0123abcd",
    "/ops/stored-processes",
    "/ops/configuration",
    "/ops/audit",
    "/ops/nothing/here",
)
CHANGES = (
    "/ops/deliveries/0123abcd/replay",
    "/ops/deliveries/0123abcd/resolve",
    "/ops/deliveries/0123abcd/cancel",
    "/ops/stored-processes/pause",
    "/ops/stored-processes/resume",
    "/ops/logout",
)
API = (
    "/api/overview",
    "/api/deliveries",
    "/api/deliveries/0123abcd",
    "/api/deliveries/0123abcd/content",
    "/api/deliveries/0123abcd/dataset",
    "/api/stored-processes",
    "/api/configuration",
    "/api/audit",
)
API_CHANGES = (
    "/api/deliveries/0123abcd/replay",
    "/api/deliveries/0123abcd/resolve",
    "/api/deliveries/0123abcd/cancel",
    "/api/stored-processes/A/pause",
    "/api/stored-processes/A/resume",
)
BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
def ops(settings: Settings) -> Settings:
    return replace(settings, opssecret=Secret(SECRET))


@pytest.fixture
def service(start: Start, ops: Settings, carrier: StubCarrier) -> Service:
    carrier.deed = lambda stp_name, body: ENDS[stp_name]
    return start(ops, carrier)


@pytest.fixture
def browser(service: Service) -> Browser:
    return Browser(service)


def get(service: Service, path: str, **headers: str) -> requests.Response:
    return requests.get(service.url + path, headers=headers, timeout=30, allow_redirects=False)


def post(service: Service, path: str, **headers: str) -> requests.Response:
    return requests.post(service.url + path, headers=headers, timeout=30, allow_redirects=False)


# -- the secret ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leads_to_the_login_who_is_not_logged_in(path: str, service: Service) -> None:
    answer = get(service, path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops/login")
    assert "delivery" not in answer.text.lower().replace("redirecting", "")


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_leads_to_the_login_who_is_not_logged_in(path: str, service: Service) -> None:
    assert post(service, path).headers["Location"] == "/ops/login"
    assert service.deliveries.changes() == []


@pytest.mark.parametrize("path", API)
def test_the_api_wants_the_secret(path: str, service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"}):
        answer = get(service, path, **headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="connector-proxy"'
        assert "opssecret in credentials.ini" in answer.json()["error"]["advice"]
    assert get(service, path, **BEARER).status_code in (200, 404)


@pytest.mark.parametrize("path", API_CHANGES)
def test_a_change_by_the_api_wants_the_secret(path: str, service: Service) -> None:
    assert post(service, path).status_code == 401
    assert service.deliveries.changes() == []


def test_who_knows_the_secret_logs_in_and_out(browser: Browser) -> None:
    assert browser.log_in().one("h1").text_content() == "Overview"
    old = browser.http.cookies.copy()
    out = browser.fill(browser.open("/ops/audit"), "/logout")
    assert out.one("h1").text_content() == "connector-proxy"
    assert not browser.http.cookies
    browser.http.cookies.update(old)
    assert browser.open("/ops").all("#secret"), "a copied cookie is worth nothing after that"


def test_a_wrong_secret_is_told_and_the_log_names_the_address(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    browser.secret = "a guess that nobody shall read"
    page = browser.log_in()
    assert (page.status, page.one("[role=alert]").text) == (401, "This is not the secret.")
    assert not browser.http.cookies
    assert "from 127.0.0.1: wrong secret (failed try 1)" in caplog.text
    assert "a guess" not in caplog.text


def test_a_hashed_secret_and_several_are_taken(start: Start, ops: Settings) -> None:
    service = start(replace(ops, opssecret=Secret(f"{hashed('new one')}, {SECRET}")))
    for secret in ("new one", SECRET):
        assert Browser(service, secret).log_in().status == 200
        assert get(service, "/api/audit", Authorization=f"Bearer {secret}").status_code == 200
    assert Browser(service, f"new one, {SECRET}").log_in().status == 401


def test_guessing_ends_after_ten_tries_at_form_and_api_together(
    service: Service, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        assert get(service, "/api/audit", Authorization="Bearer guess").status_code == 401
        assert Browser(service, "guess").log_in().status == 401
    page = browser.log_in()
    assert page.status == 429
    assert 0 < int(page.answer.headers["Retry-After"]) <= 60
    assert "Too many wrong tries" in page.text
    assert get(service, "/api/audit", **BEARER).status_code == 429
    assert "the last one for a while" in caplog.text


def test_without_a_secret_the_page_says_how_to_switch_it_on(
    start: Start, settings: Settings
) -> None:
    service = start(settings)
    browser = Browser(service, "")
    for page in (browser.open("/ops"), browser.log_in(), browser.send("/ops/login", secret="x")):
        assert page.status == 403
        assert "connector-proxy hash-secret" in page.text
        assert not page.all("form")
    answer = get(service, "/api/overview", Authorization="Bearer ")
    assert (answer.status_code, "It is not set." in answer.text) == (401, True)


def test_the_page_can_be_switched_off(start: Start, ops: Settings) -> None:
    service = start(replace(ops, ops=False))
    for path in (*PAGES, *API, "/ops/login", "/ops/static/ops.css", "/openapi.json"):
        assert get(service, path, **BEARER).status_code == 404


# -- from where ---------------------------------------------------------------------------


def from_address(service: Service, address: str, path: str = "/ops/login", **headers: str) -> Any:
    client = service.parts.app.test_client()
    return client.get(path, environ_base={"REMOTE_ADDR": address}, headers=headers)


@pytest.mark.parametrize(
    "path", [*PAGES, *API, "/ops/login", "/ops/static/ops.css", "/openapi.json"]
)
def test_for_other_machines_the_page_is_not_there(
    path: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    client = service.parts.app.test_client()
    with caplog.at_level(logging.INFO):
        answer = client.get(path, environ_base={"REMOTE_ADDR": "10.1.2.3"}, headers=BEARER)
    assert answer.status_code == 404
    assert "not there for 10.1.2.3, which opsnetworks does not name" in caplog.text


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("::ffff:127.0.0.1", 200),
     ("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("10.1.3.3", 404), ("2001:db8::1", 404), ("", 404)],
)  # fmt: skip
def test_opsnetworks_names_who_may_come_besides(
    address: str, status: int, start: Start, ops: Settings
) -> None:
    service = start(replace(ops, opsnetworks=(ip_network("10.1.2.0/24"),)))
    assert from_address(service, address).status_code == status


def test_who_comes_through_a_front_end_is_not_of_this_machine(start: Start, ops: Settings) -> None:
    """Its connection comes from loopback, and who is behind it may be anybody."""
    service = start(ops)
    forwarded = {"X-Forwarded-For": "10.9.9.9"}
    assert from_address(service, "127.0.0.1", **forwarded).status_code == 404
    named = start(replace(ops, trustedproxy=(ip_network("127.0.0.1/32"),), allowopen=True))
    assert from_address(named, "127.0.0.1").status_code == 404
    assert from_address(named, "127.0.0.1", **forwarded).status_code == 404
    both = start(replace(named.settings, opsnetworks=(ip_network("10.9.9.9/32"),)))
    assert from_address(both, "127.0.0.1", **forwarded).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "connector-proxy.example:8100", "127.0.0.1.evil.example"]
)
def test_a_name_that_leads_here_is_not_this_machine(host: str, service: Service) -> None:
    """The page of a web site could let its own name lead to this machine."""
    for path in ("/ops/login", "/api/overview"):
        assert from_address(service, "127.0.0.1", path, Host=host).status_code == 404


@pytest.mark.parametrize(
    "path", ["/ops", "/ops/zzz", "/ops//audit", "/api/overview", "/api/zzz", "/openapi.json"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_from_afar_it_looks_like_an_address_at_which_there_is_nothing(
    method: str, path: str, service: Service
) -> None:
    client = service.parts.app.test_client()
    far = {"REMOTE_ADDR": "10.1.2.3"}
    shown = client.open(path, method=method, environ_base=far)
    nothing = client.open("/nothing", method=method, environ_base=far)
    assert (shown.status_code, nothing.status_code) == (404, 404)
    assert shown.json["error"]["code"] == nothing.json["error"]["code"] == "not_found"
    assert {*shown.headers.keys()} == {*nothing.headers.keys()}


# -- the session --------------------------------------------------------------------------


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_connections(
    service: Service, start: Start, ops: Settings
) -> None:
    client = service.parts.app.test_client()
    plain = client.post("/ops/login", data={"secret": SECRET})
    (cookie,) = plain.headers.getlist("Set-Cookie")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    proxied = start(replace(ops, trustedproxy=(ip_network("127.0.0.1/32"),), opsnetworks=(ip_network("10.0.0.0/8"),), allowopen=True))  # fmt: skip
    answer = proxied.parts.app.test_client().post(
        "/ops/login",
        data={"secret": SECRET},
        headers={"X-Forwarded-For": "10.1.1.1", "X-Forwarded-Proto": "https"},
    )
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_half_an_hour_without_a_request_ends_a_session() -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    token = sessions.open().token
    now += IDLE_SECONDS - 1
    assert sessions.of(token)
    now += IDLE_SECONDS - 1
    assert sessions.of(token, by_person=False), "a page that refreshes itself is no person"
    now += 2
    assert sessions.of(token) is None


def test_twelve_hours_end_a_session_whatever_happens() -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    token = sessions.open().token
    while now < LONGEST_SECONDS - IDLE_SECONDS:
        now += IDLE_SECONDS - 1
        assert sessions.of(token)
    now = LONGEST_SECONDS
    assert sessions.of(token) is None


def test_sessions_take_no_more_than_their_room() -> None:
    sessions = Sessions()
    tokens = [sessions.open().token for _ in range(150)]
    assert [bool(sessions.of(token)) for token in tokens] == [False] * 50 + [True] * 100
    assert len(set(tokens)) == 150
    assert not sessions.of("")


# -- changes ------------------------------------------------------------------------------


@pytest.fixture
def held(service: Service, browser: Browser) -> str:
    """The id of a held delivery; the browser is logged in."""
    browser.log_in()
    return str(service.post(triggered("Held")).json()["deliveryId"])


def test_a_form_of_somebody_else_changes_nothing(
    held: str, service: Service, browser: Browser
) -> None:
    other = Browser(service)
    other.log_in()
    for fields in ({}, {"token": ""}, {"token": "x"}, {"token": "é"}, {"token": other.token}):
        page = browser.send(f"/ops/deliveries/{held}/cancel", note="mine", **fields)
        assert (page.status, "not asked for by a page of this session" in page.text) == (403, True)
    assert browser.send("/ops/logout").status == 403
    assert service.deliveries.show(held).state is State.HELD
    assert browser.open("/ops").one("h1").text_content() == "Overview", "still logged in"


def test_a_browser_that_says_that_another_site_asks_is_believed(
    held: str, service: Service, browser: Browser
) -> None:
    browser.http.headers["Sec-Fetch-Site"] = "cross-site"
    token = browser.token
    assert browser.send(f"/ops/deliveries/{held}/cancel", token=token).status == 403
    assert Browser(service).send("/ops/login", secret=SECRET).status == 200
    fresh = Browser(service)
    fresh.http.headers["Sec-Fetch-Site"] = "cross-site"
    assert fresh.log_in().status == 403
    assert not fresh.http.cookies


def test_the_api_wants_more_than_a_cookie_for_a_change(
    held: str, service: Service, browser: Browser
) -> None:
    path = f"{service.url}/api/deliveries/{held}/cancel"
    token = browser.token
    assert browser.http.get(f"{service.url}/api/deliveries/{held}").status_code == 200
    for headers in ({}, {"X-Form-Token": "x"}):
        answer = browser.http.post(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forged")
    assert service.deliveries.show(held).state is State.HELD
    assert browser.http.post(path, headers={"X-Form-Token": token}).status_code == 200
    (change,) = service.deliveries.changes()
    assert (change.decision.door, change.decision.who) == ("api", "127.0.0.1")


def test_a_look_changes_nothing(service: Service, browser: Browser, held: str) -> None:
    for path in (*CHANGES, *API_CHANGES):
        path = path.replace("0123abcd", held)
        assert browser.open(path).status in (404, 405)
    assert service.deliveries.show(held).state is State.HELD
    assert service.deliveries.changes() == []


# -- what a browser is told ---------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ops", "/ops/login", "/ops/deliveries/ffff", "/ops/x", "/ops/static/ops.css", "/ops/static/nothing"])  # fmt: skip
def test_every_answer_of_the_page_forbids_what_it_does_not_need(
    path: str, browser: Browser
) -> None:
    browser.log_in()
    headers = browser.http.get(browser.url + path, timeout=30).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("frame-ancestors") == policy.pop("base-uri") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_no_page_has_a_script_or_style_inside_or_anything_from_elsewhere(
    browser: Browser, held: str
) -> None:
    browser.log_in()
    for path in (*PAGES[:2], f"/ops/deliveries/{held}", *PAGES[3:6], "/ops/login"):
        text = browser.open(path).answer.text
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/ops/static/)", text
        )
        assert not re.search(r"""(src|href|action)=["'](https?:|//)""", text)


@pytest.mark.parametrize("name", ["..%2f..%2fguard.py", "%2e%2e/guard.py", "../templates/login.html", "..\\guard.py", "/etc/passwd", "."])  # fmt: skip
def test_no_other_file_is_served(name: str, service: Service) -> None:
    client = service.parts.app.test_client()
    assert client.get(f"/ops/static/{name}").status_code in (303, 404)
