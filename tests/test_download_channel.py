"""TLS and proxies of downloads, and what the settings make of them."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from connector_proxy.download import Downloader
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from tests.downloading import Names, fetch_from
from tests.filestore import FileStore, endless, in_turn, s3, s3_error, send

BODY = b"1,2\n" * 1000
LARGE = random.Random(1).randbytes(1 << 20)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


class Secured:
    """A store behind TLS for the name files.example; ``names`` are those that TLS was asked
    for."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.names: list[str | None] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        authority.issue_cert("files.example").configure_cert(context)
        self.store = FileStore(context)
        self.of_proxy = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.of_proxy)

    def url(self, name: str = "data") -> str:
        return self.store.url(name).replace("127.0.0.1", "files.example")


@pytest.fixture
def secured(tmp_path: Path, names: Names) -> Iterator[Secured]:
    names.lead("files.example", ["127.0.0.1"])
    secured = Secured(tmp_path)
    with secured.store:
        yield secured


HOME = {"allowed": "files.example:*, http://127.0.0.1:*", "allow_private": True}


def test_tls_keeps_the_name_while_the_checked_address_is_called(
    secured: Secured, tmp_path: Path
) -> None:
    secured.store.put("data", BODY)
    assert fetch_from(secured.url(), tmp_path, ca_bundle=secured.authority, **HOME) == BODY
    assert secured.names == ["files.example"]
    assert secured.store.seen[0].headers["Host"] == f"files.example:{secured.store.port}"


def test_a_certificate_that_is_not_trusted_is_told_at_once(
    secured: Secured, names: Names, tmp_path: Path
) -> None:
    secured.store.put("data", BODY)
    names.lead("files.example", ["127.0.0.1", "127.0.0.2"])
    with pytest.raises(Unavailable) as caught:
        fetch_from(secured.url(), tmp_path, **HOME)
    assert "certificate of its store is not trusted" in str(caught.value)
    assert "cabundle" in caught.value.advice and "files.example" in caught.value.cause
    assert (secured.store.seen, len(secured.names)) == ([], 1)


def test_a_certificate_of_another_name_is_not_trusted(
    secured: Secured, names: Names, tmp_path: Path
) -> None:
    names.lead("other.example", ["127.0.0.1"])
    with pytest.raises(Unavailable, match="not trusted"):
        fetch_from(
            secured.url().replace("files", "other"), tmp_path, "other.example:*",
            ca_bundle=secured.authority, allow_private=True,
        )  # fmt: skip
    assert secured.store.seen == []


def test_a_redirect_from_https_to_http_is_refused(
    secured: Secured, store: FileStore, tmp_path: Path
) -> None:
    secured.store.answers["data"] = send(302, b"", Location=store.put("data", BODY))
    with pytest.raises(Refused, match="from https to http"):
        fetch_from(secured.url(), tmp_path, ca_bundle=secured.authority, **HOME)
    assert store.seen == []


class Proxy:
    """An HTTP proxy on loopback, which resolves every name to ``port`` here; ``status`` other
    than 200 is its answer to CONNECT."""

    def __init__(self, port: int, status: int = 200, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.seen.append(self.requestline)
                send(200, BODY)(self)

            def do_CONNECT(self) -> None:
                proxy.seen.append(self.requestline)
                self.send_response(status)
                self.end_headers()
                if status == 200:
                    proxy._tunnel(self.connection, port)
                self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def _tunnel(self, near: socket.socket, port: int) -> None:
        def copy(source: socket.socket, target: socket.socket) -> None:
            try:
                while piece := source.recv(65536):
                    target.sendall(piece)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        with socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join(10)

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_with_a_proxy_it_is_the_proxy_that_resolves(secured: Secured, tmp_path: Path) -> None:
    secured.store.put("data", BODY)
    with Proxy(secured.store.port) as proxy:
        how = {"ca_bundle": secured.authority, "proxy": proxy.url}
        assert fetch_from(secured.url(), tmp_path, "files.example:*", **how) == BODY
        assert proxy.seen[0].startswith(f"CONNECT files.example:{secured.store.port} HTTP/1.")
        assert secured.names == ["files.example"]


def test_a_proxy_that_speaks_tls_itself_hands_on_tls(secured: Secured, tmp_path: Path) -> None:
    secured.store.answers["data"] = in_turn(s3(LARGE, cut=200_000), s3(LARGE))
    with Proxy(secured.store.port, tls=secured.of_proxy) as proxy:
        how = {"ca_bundle": secured.authority, "proxy": proxy.url}
        assert fetch_from(secured.url(), tmp_path, "files.example:*", **how) == LARGE
        assert len(proxy.seen) == 2 and secured.names[-1] == "files.example"


def test_a_proxy_that_speaks_tls_gets_a_plain_url(secured: Secured, tmp_path: Path) -> None:
    with Proxy(0, tls=secured.of_proxy) as proxy:
        how = {"ca_bundle": secured.authority, "proxy": proxy.url}
        url = "http://b.s3.example/data?X-Amz-Signature=5ec7e7"
        assert fetch_from(url, tmp_path, "http://*.s3.example", **how) == BODY
        assert proxy.seen == [f"GET {url} HTTP/1.1"]


def test_a_proxy_gets_a_plain_url_as_it_was_signed(tmp_path: Path) -> None:
    with Proxy(0) as proxy:
        url = "http://b.s3.example/a%2fb?X-Amz-Signature=5ec7e7"
        assert fetch_from(url, tmp_path, "http://*.s3.example", proxy=proxy.url) == BODY
        assert proxy.seen == [f"GET {url} HTTP/1.1"]


def test_a_proxy_that_denies_is_told_in_the_log(tmp_path: Path) -> None:
    with Proxy(0, status=407) as proxy, pytest.raises(Unavailable) as caught:
        fetch_from("https://b.s3.example/data?X-Amz-Signature=5ec7e7", tmp_path, "*.s3.example", proxy=proxy.url)  # fmt: skip
    assert caught.value.cause == "b.s3.example: the proxy answered 407"
    assert "outboundproxy" in caught.value.advice


def test_settings_reach_the_download(conf: Path, tmp_path: Path, store: FileStore) -> None:
    text = "[DEFAULT]\ndownloadhosts = http://localhost:*\ngettries = 2\ngetpause = 0\nreadtimeout = 2\n"
    (conf / "serviceConfig.ini").write_text(text)
    settings: Settings = load(conf, {})
    assert (settings.allowprivate, settings.diskreservemb) == (False, 200)
    store.answers["data"] = in_turn(s3_error(503, "SlowDown"), s3(BODY))
    url = store.url("data").replace("127.0.0.1", "localhost")
    assert Downloader.of(settings).fetch(url, tmp_path / "data", "data file").tries == 2
    store.answers["data"] = endless
    with pytest.raises(Refused):
        Downloader.of(settings).fetch(store.url("data"), tmp_path / "data", "data file")
