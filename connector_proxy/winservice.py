"""The service under the service manager of Windows, by pywin32.

It runs in python.exe of the virtual environment: pythonservice.exe of pywin32 does not find the
packages there, and multiprocessing does not find the interpreter from it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pywintypes
import servicemanager
import win32evtlogutil
import win32service
import win32serviceutil

from connector_proxy import __version__, masking
from connector_proxy.errors import ConfigurationError
from connector_proxy.loading import load
from connector_proxy.service import Service, opened
from connector_proxy.settings import Settings
from connector_proxy.winaccess import permit

ACCOUNT = "NT SERVICE\\{name}"
"""An account of the service's own, which Windows makes with it: no password, few rights."""
_START_SECONDS = 120
"""How long a file of deliveries may be looked through before the manager gives up."""
_MARGIN_SECONDS = 30
_LONGEST_STOP_SECONDS = 3600 + _MARGIN_SECONDS
_RESTARTS_MS = (5_000, 30_000, 60_000)
"""When it is started again after it failed; the last of them counts for all that follow."""
_log = logging.getLogger(__name__)
_WORDS = {
    win32service.SERVICE_STOPPED: "stopped",
    win32service.SERVICE_START_PENDING: "starting",
    win32service.SERVICE_STOP_PENDING: "ending",
    win32service.SERVICE_RUNNING: "running",
}
_FAULTS = {
    5: ("Windows denies it.", "Open the command prompt with 'Run as administrator'."),
    1056: ("The service runs already.", "'connector-proxy service stop' ends it."),
    1057: ("There is no such account, or its password is wrong.", "Write DOMAIN\\name."),
    1060: ("There is no service of this name.", "'connector-proxy service install' makes it."),
    1062: ("The service does not run.", "'connector-proxy service start' starts it."),
    1063: ("Only the service manager can use this command.", "run_service.bat is for people."),
    1069: (
        "Windows does not let the account log on.",
        "Check its password, and give it the right 'Log on as a service'.",
    ),
    1072: ("The service is being removed.", "Close the Services window, then try again."),
    1073: ("There is a service of this name already.", "Remove it, or write another --name."),
}


class Hosted(win32serviceutil.ServiceFramework):
    """What the manager starts and stops. ``conf`` is set before it is handed over."""

    _svc_name_ = "connector-proxy"
    conf: Path

    def __init__(self, arguments: list[str]) -> None:
        self._state = win32service.SERVICE_START_PENDING
        self._service: Service
        self._drain_ms = 0
        super().__init__(arguments)

    def _report(self, state: int, wait_ms: int = 0) -> None:
        self._state = state
        self.ReportServiceStatus(state, waitHint=wait_ms)

    def GetAcceptedControls(self) -> int:
        """A notice before the machine goes down, too: the one at that moment gives 5 seconds."""
        accepted = win32service.SERVICE_ACCEPT_STOP | win32service.SERVICE_ACCEPT_PRESHUTDOWN
        return accepted if self._state == win32service.SERVICE_RUNNING else 0

    def SvcRun(self) -> None:
        """Run until told to end; what is raised counts as a failure."""
        self._report(win32service.SERVICE_START_PENDING, _START_SECONDS * 1000)
        try:
            settings = load(self.conf)
            self._service = opened(settings)
        except ConfigurationError as error:
            servicemanager.LogErrorMsg(f"connector-proxy does not start. {error} {error.advice}")
            raise
        logging.getLogger().addHandler(_EventLog(settings))
        self._drain_ms = stop_ms(settings)
        self._report(win32service.SERVICE_RUNNING)
        _log.info("started version=%s as the service %s", __version__, self._svc_name_)
        servicemanager.LogInfoMsg(f"connector-proxy {__version__} runs with {settings.conf}")
        self._service.run()
        if self._state == win32service.SERVICE_RUNNING:
            raise RuntimeError("connector-proxy ended without having been told to")
        servicemanager.LogInfoMsg("connector-proxy has ended")

    def SvcStop(self) -> None:
        """End; attempts in hand get ``drainseconds``."""
        self._report(win32service.SERVICE_STOP_PENDING, self._drain_ms)
        self._service.stop()

    def SvcOtherEx(self, control: int, event_type: int, data: Any) -> None:
        """The notice before the machine goes down."""
        if control == win32service.SERVICE_CONTROL_PRESHUTDOWN:
            self.SvcStop()

    def SvcInterrogate(self) -> None:
        """Say how it stands."""
        self._report(self._state, self._drain_ms)


class _EventLog(logging.Handler):
    """Errors go into the event log of Windows, too."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(logging.ERROR)
        self._secrets = masking.secrets_of(settings)
        self._file = settings.logfilepath

    def emit(self, record: logging.LogRecord) -> None:
        text = masking.mask(record.getMessage(), self._secrets)
        servicemanager.LogErrorMsg(f"{text}\nThe whole story stands in {self._file}.")


def stop_ms(settings: Settings) -> int:
    """How long the manager has to wait for the end."""
    return int((settings.drainseconds + _MARGIN_SECONDS) * 1000)


def host(name: str, conf: Path) -> None:
    """Be the service ``name``, in a process that the manager has started."""
    Hosted._svc_name_, Hosted.conf = name, conf
    with _told():
        servicemanager.Initialize(name, servicemanager.__file__)
        servicemanager.PrepareToHostSingle(Hosted)
        servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]


def install(name: str, user: str, password: str | None, settings: Settings) -> None:
    """Make a service that starts with the machine, a little after the others, and is started
    again when it fails. Its account may write the folders of ``settings``."""
    command = ["-m", "connector_proxy", "service", "run", "--name", name, "--conf"]
    account = user or ACCOUNT.format(name=name)
    with _told():
        win32serviceutil.InstallService(
            f"{__name__}.{Hosted.__name__}",
            name,
            f"connector-proxy: {name}",
            startType=win32service.SERVICE_AUTO_START,
            delayedstart=True,
            userName=account,
            password=password,
            exeName=sys.executable,
            exeArgs=subprocess.list2cmdline([*command, str(settings.conf)]),
            description="Carries out webhooks of SAS Customer Intelligence 360.",
        )
        with _opened(name) as service:
            for level, value in _more(settings):
                win32service.ChangeServiceConfig2(service, level, value)
        win32evtlogutil.AddSourceToRegistry(name, servicemanager.__file__)
    permit(account, settings)


def _more(settings: Settings) -> Iterator[tuple[int, Any]]:
    actions = [(win32service.SC_ACTION_RESTART, after) for after in _RESTARTS_MS]
    again = {"ResetPeriod": 86_400, "RebootMsg": "", "Command": "", "Actions": actions}
    yield win32service.SERVICE_CONFIG_FAILURE_ACTIONS, again
    yield win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True
    yield win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO, stop_ms(settings)


def start(name: str) -> None:
    """Start it; returns when it answers."""
    with _told():
        win32serviceutil.StartService(name)
    _await(name, win32service.SERVICE_RUNNING, _START_SECONDS)


def stop(name: str) -> None:
    """Stop it; returns when it has ended."""
    with _told():
        win32serviceutil.StopService(name)
    _await(name, win32service.SERVICE_STOPPED, _LONGEST_STOP_SECONDS)


def _await(name: str, wanted: int, seconds: float) -> None:
    pending = (win32service.SERVICE_START_PENDING, win32service.SERVICE_STOP_PENDING)
    give_up = time.monotonic() + seconds
    while (now := _state(name)) in pending and time.monotonic() < give_up:
        time.sleep(0.25)
    if now != wanted:
        raise ConfigurationError(
            f"The service {name} is {_WORDS.get(now, now)}.",
            advice=f"The event log of Windows (Application, source {name}) says why.",
        )


def _state(name: str) -> int:
    with _told():
        return int(win32serviceutil.QueryServiceStatus(name)[1])


def status(name: str) -> str:
    """How it stands, in a word."""
    state = _state(name)
    return _WORDS.get(state, f"in state {state}")


def remove(name: str) -> None:
    """Take the service out of Windows; its files stay."""
    with _told():
        win32serviceutil.RemoveService(name)


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    try:
        service = win32service.OpenService(manager, name, win32service.SERVICE_ALL_ACCESS)
        try:
            yield service
        finally:
            win32service.CloseServiceHandle(service)
    finally:
        win32service.CloseServiceHandle(manager)


@contextmanager
def _told() -> Iterator[None]:
    """Faults of Windows as ``ConfigurationError``."""
    try:
        yield
    except pywintypes.error as error:
        message, advice = _FAULTS.get(error.winerror, (f"Windows says: {error.strerror}", ""))
        raise ConfigurationError(message, advice=advice) from None
