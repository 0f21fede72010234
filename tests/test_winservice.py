"""The service of Windows, with a stand-in for its manager (tests/winmanager.py says how far)."""

from __future__ import annotations

import logging
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from connector_proxy import platforms
from connector_proxy.cli import cli
from connector_proxy.engine import Engine
from connector_proxy.loading import load
from connector_proxy.service import Service
from connector_proxy.winaccess import commands
from tests.conftest import PAYLOADS
from tests.test_managed import free_port
from tests.winmanager import CONSTANTS, Manager, WindowsError, installed

STOPPED, STARTING, ENDING, RUNNING = (CONSTANTS[f"SERVICE_{name}"] for name in ("STOPPED", "START_PENDING", "STOP_PENDING", "RUNNING"))  # fmt: skip
STOP, PRESHUTDOWN = CONSTANTS["SERVICE_CONTROL_STOP"], CONSTANTS["SERVICE_CONTROL_PRESHUTDOWN"]


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def winservice(manager: Manager) -> Iterator[Any]:
    before = logging.getLogger().handlers[:]
    with installed(manager) as module:
        yield module
    logging.getLogger().handlers[:] = before


@pytest.fixture
def at(conf: Path) -> int:
    port = free_port()
    (conf / "serviceConfig.py").write_text(
        f"class svcConfig:\n    host = '127.0.0.1'\n    port = {port}\n"
    )
    return port


class Run(threading.Thread):
    """The service in a thread, as its host has it; ``failure`` is what it raised."""

    def __init__(self, hosted: Any) -> None:
        super().__init__(daemon=True)
        self.hosted, self.failure = hosted, ""
        self.start()

    def run(self) -> None:
        try:
            self.hosted.SvcRun()
        except Exception as error:
            self.failure = str(error)


@pytest.fixture
def hosted(winservice: Any, conf: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ready to be run; what carries out works in a thread of this process."""
    monkeypatch.setattr(
        "connector_proxy.service.Service.__init__",
        lambda self, settings: ORIGINAL(self, settings, Engine(settings)),
    )
    winservice.Hosted._svc_name_, winservice.Hosted.conf = "proxy", conf
    return winservice.Hosted(["proxy"])


ORIGINAL = Service.__init__


def until_running(manager: Manager) -> None:
    give_up = time.monotonic() + 30
    while not manager.reported or manager.reported[-1][0] != RUNNING:
        assert time.monotonic() < give_up, (manager.reported, manager.events)
        time.sleep(0.02)


@pytest.mark.parametrize("control", [STOP, PRESHUTDOWN])
def test_it_runs_until_it_is_told_to_end_or_the_machine_goes_down(
    control: int, hosted: Any, manager: Manager, at: int
) -> None:
    run = Run(hosted)
    until_running(manager)
    body = (PAYLOADS / "triggered.json").read_bytes()
    answer = requests.post(f"http://127.0.0.1:{at}/ExecuteSTP", data=body, timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    hosted.ServiceCtrlHandlerEx(control, 0, None)
    run.join(20)
    assert not run.is_alive()
    assert not run.failure
    accepts = CONSTANTS["SERVICE_ACCEPT_STOP"] | CONSTANTS["SERVICE_ACCEPT_PRESHUTDOWN"]
    assert manager.reported == [(STARTING, 0, 120_000), (RUNNING, accepts, 0), (ENDING, 0, 60_000)]
    assert [kind for kind, _ in manager.events] == ["info", "info"]
    assert str(hosted.conf) in manager.events[0][1]


def test_what_keeps_it_from_starting_stands_in_the_event_log(
    hosted: Any, manager: Manager, conf: Path
) -> None:
    (conf / "serviceConfig.ini").write_text("[DEFAULT]\nstpurll = x\n")
    run = Run(hosted)
    run.join(20)
    assert "stpurl" in run.failure, "what is raised makes the manager try again"
    ((kind, text),) = manager.events
    assert kind == "error"
    assert "serviceConfig.ini line 2" in text
    assert "connector-proxy check" in text


def test_errors_stand_in_the_event_log_without_secrets(
    hosted: Any, manager: Manager, conf: Path, at: int
) -> None:
    (conf / "credentials.ini").write_text("[DEFAULT]\nstpusername = u\nstppassword = hunter2\n")
    run = Run(hosted)
    until_running(manager)
    logging.getLogger("connector_proxy.worker").error("it failed with hunter2 at https://h/x?sig=1")
    hosted.ServiceCtrlHandlerEx(STOP, 0, None)
    run.join(20)
    (text,) = [text for kind, text in manager.events if kind == "error"]
    assert "it failed with <masked> at https://h/x?<masked>" in text
    assert str(conf.parent / "logs") in text


def test_an_end_that_nobody_asked_for_is_a_failure(hosted: Any, manager: Manager, at: int) -> None:
    """So that the manager starts it again."""
    run = Run(hosted)
    until_running(manager)
    hosted.ServiceCtrlHandlerEx(CONSTANTS["SERVICE_CONTROL_INTERROGATE"], 0, None)
    assert manager.reported[-1][0] == RUNNING
    hosted._service.stop()
    run.join(20)
    assert "without having been told" in run.failure


@pytest.fixture
def icacls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that notes what it is asked; the commands take this for Windows."""
    noted = tmp_path / "icacls.txt"
    program = tmp_path / "programs" / "icacls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {shlex.quote(str(noted))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(platforms, "WINDOWS", True)
    return noted


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["service", *arguments], env=environment)


def test_it_is_installed_with_what_a_reboot_and_a_failure_need(
    winservice: Any, manager: Manager, conf: Path, icacls: Path
) -> None:
    done = command("install", "--name", "proxy two", "--conf", str(conf))
    assert done.exit_code == 0, done.output
    made = manager.services["proxy two"]
    assert (made["startType"], made["delayedstart"]) == (CONSTANTS["SERVICE_AUTO_START"], True)
    assert (made["userName"], made["password"]) == ("NT SERVICE\\proxy two", None)
    words = f'-m connector_proxy service run --name "proxy two" --conf {conf.resolve()}'
    assert made["exeArgs"] == words
    assert Path(made["exeName"]).is_absolute()
    restart = CONSTANTS["SC_ACTION_RESTART"]
    again = made["changes"][CONSTANTS["SERVICE_CONFIG_FAILURE_ACTIONS"]]
    assert again["Actions"] == [(restart, 5_000), (restart, 30_000), (restart, 60_000)]
    assert made["changes"][CONSTANTS["SERVICE_CONFIG_FAILURE_ACTIONS_FLAG"]] is True
    assert made["changes"][CONSTANTS["SERVICE_CONFIG_PRESHUTDOWN_INFO"]] == 60_000
    assert manager.sources == ["proxy two"]
    assert (
        f"{conf.parent / 'data'}|/inheritance:r|/grant:r|NT SERVICE\\proxy two:(OI)(CI)M|"
        in icacls.read_text()
    )


def test_payloads_and_passwords_are_for_the_account_and_administrators_alone(conf: Path) -> None:
    settings = load(conf, {})
    alone = {command[1]: command[2:] for command in commands("HOUSE\\svc", settings)}
    administrators = ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]
    private = ["/inheritance:r", "/grant:r", "HOUSE\\svc:(OI)(CI)M", *administrators]
    assert alone[str(settings.datafolder)] == private
    assert alone[str(settings.logfilepath)] == ["/grant:r", "HOUSE\\svc:(OI)(CI)M"]
    assert alone[str(settings.outputfolder)] == ["/grant:r", "HOUSE\\svc:(OI)(CI)M"]
    credentials = alone[str(conf / "credentials.ini")]
    assert credentials[:3] == ["/inheritance:r", "/grant:r", "HOUSE\\svc:R"]
    assert settings.datafolder.is_dir()


def test_permissions_that_cannot_be_set_are_told_with_the_command(
    winservice: Any, manager: Manager, conf: Path, icacls: Path
) -> None:
    (icacls.parent / "programs" / "icacls").write_text("#!/bin/sh\necho 'No mapping' >&2\nexit 5\n")
    refused = command("install", "--conf", str(conf))
    assert refused.exit_code == 1
    assert "No mapping" in refused.output
    assert "Set them yourself: icacls" in refused.output


@pytest.mark.parametrize(
    ("user", "environment", "typed", "password"),
    [
        ("HOUSE\\svc", {}, "typed in\n", "typed in"),
        ("HOUSE\\svc", {"SERVICE_PASSWORD": "set"}, "", "set"),
        ("HOUSE\\managed$", {}, "", None),
    ],
)
def test_another_account_needs_its_password_unless_windows_manages_it(
    user: str, environment: dict[str, str], typed: str, password: str | None,
    winservice: Any, manager: Manager, conf: Path, icacls: Path,
) -> None:  # fmt: skip
    arguments = ["service", "install", "--user", user, "--conf", str(conf)]
    done = CliRunner().invoke(cli, arguments, input=typed, env=environment)
    assert done.exit_code == 0, done.output
    made = manager.services["connector-proxy"]
    assert (made["userName"], made["password"]) == (user, password)
    assert "typed in" not in done.output


def test_it_is_started_looked_at_stopped_and_removed(
    winservice: Any, manager: Manager, conf: Path, icacls: Path
) -> None:
    assert command("install", "--conf", str(conf)).exit_code == 0
    manager.states = [STARTING, STARTING, RUNNING]
    assert "is running" in command("start").output
    assert command("status").exit_code == 0
    manager.states = [ENDING, STOPPED]
    assert "has ended" in command("stop").output
    looked = command("status")
    assert (looked.exit_code, "is stopped" in looked.output) == (3, True)
    assert "is removed" in command("remove").output
    assert manager.services == {}


def test_a_start_that_fails_leads_to_the_event_log(
    winservice: Any, manager: Manager, conf: Path, icacls: Path
) -> None:
    assert command("install", "--conf", str(conf)).exit_code == 0
    manager.states = [STARTING, STOPPED]
    refused = command("start")
    assert refused.exit_code == 1
    assert "The service connector-proxy is stopped." in refused.output
    assert "event log of Windows (Application, source connector-proxy)" in refused.output


@pytest.mark.parametrize("word", ["start", "stop", "status", "remove"])
def test_a_service_that_is_not_there_is_said_so(word: str, winservice: Any, icacls: Path) -> None:
    refused = command(word)
    assert refused.exit_code == 1
    assert "There is no service of this name." in refused.output
    assert "service install" in refused.output


def test_a_fault_without_words_of_ours_is_told_as_windows_says_it(
    winservice: Any, manager: Manager, icacls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise WindowsError(1115, "StartService", "A system shutdown is in progress.")

    monkeypatch.setattr(winservice.win32serviceutil, "StartService", refuse)
    assert "A system shutdown is in progress." in command("start").output


def test_the_manager_is_given_what_it_hosts(
    winservice: Any, manager: Manager, conf: Path, icacls: Path
) -> None:
    done = command("run", "--name", "proxy two", "--conf", str(conf))
    assert done.exit_code == 0, done.output
    assert manager.hosts == [winservice.Hosted]
    assert (winservice.Hosted._svc_name_, winservice.Hosted.conf) == ("proxy two", conf)


def test_elsewhere_the_commands_lead_to_systemd() -> None:
    refused = command("install")
    assert refused.exit_code == 1
    assert "docs/install-linux.md" in refused.output
