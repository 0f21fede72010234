"""What deploy/ holds is what IIS, systemd and nginx take."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
from lxml import etree

from connector_proxy import values
from connector_proxy.settings import KEYS
from tests.conftest import PAYLOADS, ROOT, Service
from tests.test_managed import free_port

DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "systemd" / "connector-proxy.service").read_text(encoding="utf-8")
FOLDERS = [key.name for key in KEYS if key.parse is values.folder]

TEXT, WHOLE, FLAG, SPAN = r".+", r"\d+", r"true|false", r"\d\d:\d\d:\d\d"
ELEMENTS = {
    "configuration": {},
    "system.webServer": {},
    "handlers": {},
    "clear": {},
    "httpPlatform": {
        "processPath": TEXT, "arguments": TEXT, "startupTimeLimit": WHOLE, "startupRetryCount": WHOLE,
        "rapidFailsPerMinute": WHOLE, "requestTimeout": SPAN, "stdoutLogEnabled": FLAG,
        "stdoutLogFile": TEXT, "processesPerApplication": WHOLE, "forwardWindowsAuthToken": FLAG,
    },
    "environmentVariables": {},
    "environmentVariable": {"name": TEXT, "value": TEXT},
    "httpErrors": {"existingResponse": "Auto|Replace|PassThrough"},
    "applicationInitialization": {"doAppInitAfterRestart": FLAG},
    "security": {},
    "requestFiltering": {},
    "requestLimits": {"maxAllowedContentLength": WHOLE},
}  # fmt: skip
"""What Microsoft documents for HttpPlatformHandler 1.2 and IIS, with the form of each value."""
ADD = {
    "handlers": {"name": TEXT, "path": TEXT, "verb": TEXT, "modules": TEXT, "resourceType": "Unspecified|File|Either|Directory|Require"},
    "applicationInitialization": {"initializationPage": "/.*"},
}  # fmt: skip
CHILDREN = {
    "configuration": {"system.webServer"},
    "system.webServer": {"handlers", "httpPlatform", "httpErrors", "applicationInitialization", "security"},
    "handlers": {"clear", "add"},
    "httpPlatform": {"environmentVariables"},
    "environmentVariables": {"environmentVariable"},
    "applicationInitialization": {"add"},
    "security": {"requestFiltering"},
    "requestFiltering": {"requestLimits"},
}  # fmt: skip


def web_config() -> etree._ElementTree:
    return etree.parse(DEPLOY / "iis" / "web.config")


def commented() -> list[etree._Element]:
    """Examples inside of comments."""
    comments = [str(one.text) for one in web_config().iter(etree.Comment)]
    return [etree.fromstring(xml) for text in comments for xml in re.findall(r"<(?s:.+)>", text)]


def test_web_config_has_nothing_but_documented_elements_and_attributes() -> None:
    elements = [one for one in web_config().iter() if isinstance(one.tag, str)]
    elements += [one for root in commented() for one in root.iter()]
    for element in elements:
        parent = element.getparent()
        outer = "" if parent is None else str(parent.tag)
        assert not outer or element.tag in CHILDREN[outer], f"{element.tag} in {outer}"
        known = ADD[outer] if element.tag == "add" else ELEMENTS[str(element.tag)]
        for name, value in element.attrib.items():
            assert re.fullmatch(known[str(name)], str(value)), f"{name} of {element.tag}"
    assert len(commented()) == 1


def test_iis_starts_one_process_that_it_alone_can_call() -> None:
    (platform,) = web_config().iter("httpPlatform")
    assert platform.get("processesPerApplication") == "1"
    program = str(platform.get("processPath"))
    assert program.startswith("."), "relative to the folder of the site"
    place = (DEPLOY / "iis" / program.replace("\\", "/")).resolve()
    assert place == ROOT / ".venv" / "Scripts" / "python.exe"
    words = str(platform.get("arguments")).split()
    assert words == ["-m", "connector_proxy", "serve", "--host", "127.0.0.1", "--port", "%HTTP_PLATFORM_PORT%"]  # fmt: skip
    limit = next(key for key in KEYS if key.name == "maxrequestbytes").default
    (limits,) = web_config().iter("requestLimits")
    assert limits.get("maxAllowedContentLength") == limit


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("needs systemd-analyze (Debian: apt-get install systemd)")
    unit = tmp_path / "connector-proxy.service"
    unit.write_text(UNIT.replace("/opt/connector-proxy/.venv/bin/connector-proxy", sys.executable))
    told = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, "exposure above 2.0\n" + told.stdout[-300:]


def test_systemd_waits_longer_than_the_service_takes_to_end() -> None:
    seconds = int(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[0])
    drain = next(key for key in KEYS if key.name == "drainseconds").default
    assert seconds >= int(drain) + 20


@pytest.mark.parametrize("place", ["systemd/environment", "container/Containerfile"])
def test_no_folder_is_left_to_stand_beside_the_configuration(place: str) -> None:
    """Below /etc nothing is written, and in a container what is written belongs into the volume."""
    text = (DEPLOY / place).read_text(encoding="utf-8")
    told = dict(re.findall(r"CONNECTOR_PROXY_(\w+)=(\S+)", text))
    silent = {"LOGFILEPATH"} if told.get("PROGLOG") == "False" else set()
    for name in {name.upper() for name in FOLDERS} - silent:
        assert told[name].startswith(("/var/lib/connector-proxy/", "/var/log/connector-proxy"))
    assert {name.lower() for name in told} <= {key.name for key in KEYS} | {"conf"}


@pytest.fixture
def nginx(tmp_path: Path, embedded_service: Service) -> Iterator[str]:
    """The example, with a port, a certificate and a service of the test; its address."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("needs nginx (Debian: apt-get install nginx-light)")
    authority, port = trustme.CA(), free_port()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "certificate.pem", append=bool(number))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    site = (DEPLOY / "nginx" / "connector-proxy.conf").read_text(encoding="utf-8")
    for old, new in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "127.0.0.10:8100": f"127.0.0.1:{embedded_service.port}",
        "/etc/ssl/connector-proxy": str(tmp_path),
        "allow 127.0.0.1;": "allow 127.0.0.2;",
    }.items():
        assert old in site
        site = site.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {tmp_path / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {temporary}\n{site}}}"
    )
    command = [program, "-e", str(tmp_path / "errors"), "-c", str(tmp_path / "nginx.conf")]
    process = subprocess.Popen([*command, "-g", "user root;" if is_root(tmp_path) else ""])
    try:
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def is_root(path: Path) -> bool:
    return path.stat().st_uid == 0


def test_nginx_passes_webhooks_on_and_keeps_the_rest_inside(nginx: str, tmp_path: Path) -> None:
    with requests.Session() as session:
        session.verify, session.trust_env = str(tmp_path / "authority.pem"), False
        body = (PAYLOADS / "triggered.json").read_bytes()
        for _ in range(100):
            try:
                answer = session.post(f"{nginx}/ExecuteSTP", data=body, timeout=30)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        assert (answer.status_code, answer.json()["status"]) == (200, "done")
        shown = session.get(f"{nginx}/deliveries/{answer.json()['deliveryId']}", timeout=30)
        assert shown.json()["state"] == "done"
        assert session.get(f"{nginx}/anything", timeout=30).status_code == 403
        assert session.post(f"{nginx}/ExecuteSTP", data=b" " * 1_048_577, timeout=30).status_code == 413  # fmt: skip


def test_a_container_has_an_account_without_rights_and_no_secrets() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001:0$", text, re.MULTILINE)
    assert text.index("USER") > text.index("RUN")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".venv", "data", "logs", "output"} <= set(ignored)
