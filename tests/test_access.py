"""Who may send webhooks: nobody without the secret, nobody by guessing, nobody by a forged header."""

from __future__ import annotations

import base64
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import requests
from flask import Flask

from connector_proxy import access as rules
from connector_proxy.errors import ConfigurationError
from connector_proxy.loading import load
from connector_proxy.secrethash import hashed
from connector_proxy.service import Service as Whole
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from connector_proxy.web import access
from connector_proxy.web.access import Caller
from connector_proxy.web.proxies import Proxies, is_local
from connector_proxy.web.tries import Tries
from tests.conftest import Service, StubCarrier, another, payload

Start = Callable[..., Service]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


MODES = {
    "basic": {"basicuser": Secret("agent"), "basicpassword": Secret("pä:ss, next")},
    "bearer": {"bearertoken": Secret("token-1, token-2")},
    "header": {"headername": "X-Api-Key", "headervalue": Secret("key 1,key-2")},
}
GOOD = [
    ("basic", basic("agent", "pä:ss")),
    ("basic", basic("agent", "next")),
    (
        "basic",
        {"Authorization": basic("agent", "next")["Authorization"].replace("Basic", "bAsIc ")},
    ),
    ("bearer", bearer("token-1")),
    ("bearer", bearer("token-2")),
    ("bearer", {"authorization": "bearer token-2"}),
    ("header", {"X-Api-Key": "key 1"}),
    ("header", {"x-api-key": "key-2"}),
]
BAD = [
    ("basic", {}, "no header Authorization"),
    ("basic", basic("agent", "pä:s"), "wrong user or password"),
    ("basic", basic("Agent", "next"), "wrong user or password"),
    ("basic", basic("", ""), "wrong user or password"),
    ("basic", basic("agent", "pä:ss, next"), "wrong user or password"),
    ("basic", {"Authorization": "Basic YWdlbnQ="}, "wrong user or password"),
    ("basic", {"Authorization": "Basic ???"}, "not base64"),
    ("basic", {"Authorization": "Basic"}, "wrong user or password"),
    ("basic", bearer("next"), "not of the scheme basic"),
    ("bearer", {}, "no header Authorization"),
    ("bearer", bearer(""), "wrong token"),
    ("bearer", bearer("token-1, token-2"), "wrong token"),
    ("bearer", bearer("token"), "wrong token"),
    ("bearer", {"Authorization": "token-1"}, "not of the scheme bearer"),
    ("bearer", basic("", "token-1"), "not of the scheme bearer"),
    ("header", {}, "no header X-Api-Key"),
    ("header", {"X-Api-Key": ""}, "wrong value"),
    ("header", {"X-Api-Key": "key 1,key-2"}, "wrong value"),
    ("header", {"X-Api-Key": "kéy 1".encode("latin-1")}, "wrong value"),
    ("header", bearer("key-2"), "no header X-Api-Key"),
]  # fmt: skip


@pytest.fixture
def guarded(start: Start, settings: Settings, carrier: StubCarrier) -> Callable[..., Service]:
    """A service with an ``auth``, whose stored process does nothing."""

    def make(auth: str, **more: object) -> Service:
        own = replace(settings, auth=auth, **{**MODES.get(auth, {}), **more})
        return start(own, carrier)

    return make


def call(service: Service, headers: object, body: bytes = b"") -> requests.Response:
    raw = body or json.dumps(another(payload())).encode()
    return requests.post(service.url + "/ExecuteSTP", data=raw, headers=headers, timeout=30)  # type: ignore[arg-type]


@pytest.mark.parametrize("auth", MODES)
def test_the_right_secret_opens_the_door(auth: str, guarded: Callable[..., Service]) -> None:
    service = guarded(auth)
    for mode, headers in GOOD:
        if mode == auth:
            answer = call(service, headers)
            assert answer.status_code == 200, headers
            record = service.url + "/deliveries/" + answer.json()["deliveryId"]
            assert requests.get(record, headers=headers, timeout=30).status_code == 200
            assert requests.get(record, timeout=30).status_code == 401


@pytest.mark.parametrize(("auth", "headers", "issue"), BAD)
def test_any_other_is_refused_and_the_log_says_why(
    auth: str,
    headers: dict[str, str],
    issue: str,
    guarded: Callable[..., Service],
    carrier: StubCarrier,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = guarded(auth)
    answer = call(service, headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith(auth)
    assert answer.json()["error"]["code"] == "unauthorized"
    assert issue not in answer.text
    (line,) = [one for one in caplog.messages if "unauthorized" in one]
    assert issue in line and "from 127.0.0.1" in line
    for secret in ("next", "token-", "key 1", "YWdlbnQ", "pä:s"):
        assert secret not in answer.text + line
    assert not carrier.seen
    assert service.deliveries.search() == []


def test_a_hashed_secret_opens_the_door(guarded: Callable[..., Service]) -> None:
    service = guarded("bearer", bearertoken=Secret(f"{hashed('new')},{hashed('old')}"))
    for token in ("old", "new", "old"):
        assert call(service, bearer(token)).status_code == 200, token
    assert call(service, bearer("other")).status_code == 401


def test_the_body_is_not_looked_at_without_the_secret(guarded: Callable[..., Service]) -> None:
    service = guarded("bearer")
    assert call(service, {}, b"{nonsense").status_code == 401
    assert call(service, bearer("token-1"), b"{nonsense").status_code == 400


def test_without_the_secret_nobody_learns_what_there_is(guarded: Callable[..., Service]) -> None:
    service = guarded("bearer")
    known = call(service, bearer("token-1")).json()["deliveryId"]
    answers = {
        path: requests.get(service.url + path, timeout=30)
        for path in (f"/deliveries/{known}", f"/deliveries/{'0' * 32}", "/deliveries/x", "/nothing")
    }
    assert [one.status_code for one in answers.values()] == [401, 401, 401, 404]
    assert requests.get(service.url + "/nothing", headers=bearer("token-1"), timeout=30).status_code == 404  # fmt: skip
    assert "WWW-Authenticate" not in answers["/nothing"].headers
    for method, path, status in (("HEAD", f"/deliveries/{known}", 401), ("PUT", "/ExecuteSTP", 405)):  # fmt: skip
        assert requests.request(method, service.url + path, timeout=30).status_code == status


def test_a_view_that_does_not_say_who_may_call_it_keeps_the_service_from_starting() -> None:
    app = Flask("x", static_folder=None)
    app.add_url_rule("/x", "x", lambda: "")
    with pytest.raises(KeyError, match="may_call"):
        access.install(app, {Caller.EVERYBODY: None})


# -- guessing ----------------------------------------------------------------------------


def test_who_guesses_is_not_listened_to_for_a_while(
    guarded: Callable[..., Service], caplog: pytest.LogCaptureFixture
) -> None:
    service = guarded("bearer")
    statuses = [call(service, bearer(f"guess-{number}")).status_code for number in range(30)]
    assert statuses == [401] * 10 + [429] * 20
    late = call(service, bearer("token-1"))
    assert (late.status_code, late.json()["error"]["code"]) == (429, "too_many_tries")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert "failed try 10, the last one for a while" in caplog.text
    assert len([one for one in caplog.records if one.levelno > logging.DEBUG and "rejected" in one.message]) == 10  # fmt: skip
    with socket.create_connection(
        ("127.0.0.1", service.port), source_address=("127.0.0.2", 0)
    ) as other:
        other.sendall(
            b"GET /deliveries/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-1\r\n\r\n"
        )
        assert other.recv(100).startswith(b"HTTP/1.1 404")  # another address is listened to


def test_tries_are_counted_by_address_and_forgotten_in_time() -> None:
    now = [0.0]
    tries = Tries(most=3, seconds=60, clock=lambda: now[0])
    assert [tries.failed("10.0.0.1") for _ in range(3)] == [1, 2, 3]
    assert (tries.wait("10.0.0.1"), tries.wait("10.0.0.2")) == (60, 0)
    now[0] = 59.5
    assert tries.wait("10.0.0.1") == 1
    now[0] = 60.0
    assert tries.wait("10.0.0.1") == 0
    assert tries.failed("10.0.0.1") == 1


def test_addresses_of_one_network_of_ipv6_count_as_one_and_mapped_ones_as_what_they_are() -> None:
    tries = Tries(most=2)
    tries.failed("2001:db8::1")
    tries.failed("2001:db8::ffff:1")
    tries.failed("::ffff:10.0.0.1")
    tries.failed("10.0.0.1")
    assert all(tries.wait(one) for one in ("2001:db8::7", "10.0.0.1", "::ffff:10.0.0.1"))
    assert not tries.wait("2001:db8:0:1::1")


def test_the_memory_of_failed_tries_is_bounded() -> None:
    tries = Tries(most=1, addresses=100)
    for number in range(1000):
        tries.failed(f"10.0.{number // 250}.{number % 250}")
    assert len(tries._failed) == 100
    assert tries.wait("10.0.3.249") and not tries.wait("10.0.0.0")


# -- front ends --------------------------------------------------------------------------

PROXY = tuple(map(ip_network, ("127.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")))


def seen(trusted: object, peer: str, **headers: str) -> tuple[str, str, str, bool]:
    """Address, scheme and host of a request as the application sees them; whether it is local."""
    environ: dict[str, object] = {
        "REMOTE_ADDR": peer,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "inner",
    }
    environ |= {f"HTTP_{name}": text for name, text in headers.items()}
    found: list[dict[str, object]] = []
    Proxies(lambda own, _: found.append(own) or [], trusted)(environ, None)  # type: ignore[arg-type, func-returns-value]
    (own,) = found
    assert not [key for key in own if "FORWARDED" in key or key == "HTTP_X_REAL_IP"]
    return (
        str(own["REMOTE_ADDR"]),
        str(own["wsgi.url_scheme"]),
        str(own["HTTP_HOST"]),
        is_local(own),
    )


SAID = {
    "X_FORWARDED_FOR": "203.0.113.9",
    "X_FORWARDED_PROTO": "https",
    "X_FORWARDED_HOST": "outer.example",
    "X_FORWARDED_PORT": "1",
    "FORWARDED": "for=1.2.3.4",
    "X_REAL_IP": "1.2.3.4",
}


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the first one is what the caller wrote
        ("203.0.113.9, 10.1.0.7", "203.0.113.9"),
        ("203.0.113.9, 10.1.0.7,10.1.0.8", "203.0.113.9"),
        ("203.0.113.9:51234", "203.0.113.9"),  # IIS
        ("[2001:470::9]:51234", "2001:470::9"),
        ('"[2001:470::9]"', "2001:470::9"),
        ("2001:470::9", "2001:470::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("203.0.113.9, nonsense, 10.1.0.7", "10.1.0.7"),
        ("", "127.0.0.1"),
        ("10.1.0.9, 10.1.0.8", "10.1.0.9"),
    ],
)
def test_the_caller_is_the_last_one_that_no_trusted_proxy_is(forwarded: str, address: str) -> None:
    assert seen(PROXY, "127.0.0.1", X_FORWARDED_FOR=forwarded)[0] == address


def test_a_trusted_front_end_tells_address_scheme_and_host() -> None:
    assert seen(PROXY, "127.0.0.1", **SAID) == ("203.0.113.9", "https", "outer.example", False)


@pytest.mark.parametrize("trusted", [(), PROXY])
def test_what_anybody_else_says_is_not_believed(
    trusted: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert seen(trusted, "192.0.2.1", **SAID) == ("192.0.2.1", "http", "inner", False)
    assert "192.0.2.1, which trustedproxy does not name" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("X_FORWARDED_PROTO", "gopher"),
        ("X_FORWARDED_HOST", "a/b"),
        ("X_FORWARDED_HOST", "a\r\nSet-Cookie: x"),
        ("X_FORWARDED_HOST", ""),
    ],
)
def test_nonsense_of_a_front_end_is_left_out(name: str, text: str) -> None:
    assert seen(PROXY, "127.0.0.1", **{name: text})[1:3] == ("http", "inner")


def test_only_who_comes_straight_from_this_machine_is_local() -> None:
    for host in ("127.0.0.10:8100", "localhost", "[::1]:8100"):
        assert seen((), "127.0.0.1", HOST=host)[3] and seen((), "::1", HOST=host)[3]
        assert not seen((), "192.0.2.1", HOST=host)[3]
        assert not seen((), "127.0.0.1", HOST=host, X_FORWARDED_FOR="127.0.0.1")[3]
        assert not seen(PROXY, "127.0.0.1", HOST=host)[3], "a front end that says not who called"
        assert not seen(PROXY, "127.0.0.1", HOST=host, X_FORWARDED_FOR="127.0.0.1")[3]
    assert not seen((), "127.0.0.1", HOST="a-name-that-leads-here.example")[3]


def test_tries_are_counted_by_what_a_trusted_front_end_tells(
    guarded: Callable[..., Service],
) -> None:
    service = guarded("bearer", trustedproxy=PROXY)
    for _ in range(11):
        answer = call(service, {**bearer("wrong"), "X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 429
    assert call(service, {**bearer("token-1"), "X-Forwarded-For": "203.0.113.8"}).status_code == 200
    forged = {**bearer("token-1"), "X-Forwarded-For": "203.0.113.7, 203.0.113.9"}
    assert call(service, forged).status_code == 429


# -- doubt is closed at the start --------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [
        ("127.0.0.1", False), ("127.0.0.10", False), ("127.255.0.1", False), ("::1", False),
        ("localhost", False), ("::ffff:127.0.0.1", False), ("0.0.0.0", True), ("::", True),
        ("", True), ("*", True), ("0", True), ("10.0.0.1", True), ("::ffff:10.0.0.1", True),
        ("128.0.0.1", True), ("no-such-host.invalid", False),
    ],
)  # fmt: skip
def test_a_door_that_stands_open_to_other_machines_is_noticed(
    host: str, open_to_others: bool
) -> None:
    assert bool(rules.open_door(host, "none", False, ())) == open_to_others
    assert not rules.open_door(host, "none", True, ())
    assert not rules.open_door(host, "basic", False, ())


def test_a_front_end_in_front_of_loopback_opens_the_door_as_well() -> None:
    assert "front end" in rules.open_door("127.0.0.1", "none", False, PROXY)


@pytest.mark.parametrize("more", [{"host": "0.0.0.0"}, {"trustedproxy": PROXY}])
def test_an_open_door_that_nobody_wanted_is_refused_at_the_start(
    more: dict[str, object], settings: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="Everybody could send webhooks") as refused:
        Whole(replace(settings, **more))  # type: ignore[arg-type]
    assert "allowopen = True" in refused.value.advice
    assert not settings.datafolder.exists()


def test_an_open_door_that_somebody_wanted_is_opened(start: Start, settings: Settings) -> None:
    service = start(replace(settings, host="0.0.0.0", allowopen=True))
    assert service.post(b"{}").status_code == 422


@pytest.mark.parametrize(
    ("service_ini", "credentials", "words"),
    [
        ("auth = basic", "", ["serviceConfig.ini line 2", "basicuser is empty"]),
        ("auth = basic", "basicuser = u", ["basicpassword is empty"]),
        ("auth = bearer", "", ["bearertoken is empty"]),
        ("auth = header", "headervalue = v", ["headername is empty"]),
        ("", "bearertoken = t", ["credentials.ini line 2", "auth = none does not look at it", "write auth = bearer"]),
        ("auth = basic", "basicuser = u\nbasicpassword = p\nheadername = X", ["headername is set"]),
        ("auth = tls", "", ["write none or basic or bearer or header"]),
        ("auth = bearer", "bearertoken = scrypt:14:8:5:x", ["damaged", "hash-secret"]),
        ("auth = bearer", "bearertoken = a\x07b", ["cannot be printed"]),
        ("auth = header", "headername = X Key\nheadervalue = v", ["write the name of a header"]),
        ("auth = header", "headername = X_Key\nheadervalue = v", ["write the name of a header"]),
        ("auth = header", "headername = Host\nheadervalue = v", ["another meaning"]),
        ("auth = header", "headername = X-Forwarded-For\nheadervalue = v", ["another meaning"]),
        ("auth = header", "headername = X-Real-IP\nheadervalue = v", ["another meaning"]),
        ("auth = header", "headername = X-Request-ID\nheadervalue = v", ["another meaning"]),
        ("auth = bearer", "bearertoken = ,", ["there is no secret in it"]),
        ("auth = basic", "basicuser = a:b\nbasicpassword = p", ["no colon"]),
        ("trustedproxy = 10.1.2.3, proxy.example", "", ["'proxy.example' is no address"]),
        ("trustedproxy = 10.1.2.3/24", "", ["no address and no network"]),
        ("trustedproxy = 0.0.0.0/0", "", ["trust everybody"]),
        ("trustedproxy = ::/0", "", ["trust everybody"]),
        ("trustedproxy = *", "", ["no address"]),
    ],
)  # fmt: skip
def test_settings_that_leave_a_doubt_are_refused(
    service_ini: str, credentials: str, words: list[str], conf: Path
) -> None:
    (conf / "serviceConfig.ini").write_text(f"[DEFAULT]\n{service_ini}\n", encoding="utf-8")
    (conf / "credentials.ini").write_text(f"[DEFAULT]\n{credentials}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(conf, {})
    for word in words:
        assert word in str(refused.value)


def test_secrets_may_come_from_the_environment(conf: Path) -> None:
    environment = {"CONNECTOR_PROXY_AUTH": "bearer", "CONNECTOR_PROXY_BEARERTOKEN": "a,b"}
    settings = load(conf, environment)
    assert (settings.auth, settings.bearertoken) == ("bearer", Secret("a,b"))
    assert "a,b" not in repr(settings)
