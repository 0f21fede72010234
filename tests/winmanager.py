"""What pywin32 offers, with a service manager that keeps what it is told.

The real one runs on Windows only. That each function exists and takes these arguments is checked
by mypy with the types of pywin32; what the functions do there is taken from their documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

CONSTANTS = {
    "SERVICE_STOPPED": 1, "SERVICE_START_PENDING": 2, "SERVICE_STOP_PENDING": 3, "SERVICE_RUNNING": 4,
    "SERVICE_ACCEPT_STOP": 1, "SERVICE_ACCEPT_PRESHUTDOWN": 0x100, "SERVICE_AUTO_START": 2,
    "SERVICE_CONTROL_STOP": 1, "SERVICE_CONTROL_INTERROGATE": 4, "SERVICE_CONTROL_PRESHUTDOWN": 15,
    "SERVICE_CONFIG_FAILURE_ACTIONS": 2, "SERVICE_CONFIG_FAILURE_ACTIONS_FLAG": 4,
    "SERVICE_CONFIG_PRESHUTDOWN_INFO": 7, "SC_ACTION_RESTART": 1, "SC_MANAGER_CONNECT": 1,
    "SERVICE_ALL_ACCESS": 0xF01FF,
}  # fmt: skip


class WindowsError(Exception):
    """``pywintypes.error``."""

    def __init__(self, winerror: int, function: str, strerror: str) -> None:
        super().__init__(winerror, function, strerror)
        self.winerror, self.strerror = winerror, strerror


class Manager:
    """Services by name, what each reported, and the event log."""

    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.reported: list[tuple[int, int, int]] = []
        self.events: list[tuple[str, str]] = []
        self.sources: list[str] = []
        self.states: list[int] = []
        self.hosts: list[Any] = []

    def service(self, name: str) -> dict[str, Any]:
        if name not in self.services:
            raise WindowsError(1060, "OpenService", "no such service")
        return self.services[name]

    def add(self, python_class: str, name: str, shown: str, **more: Any) -> None:
        if name in self.services:
            raise WindowsError(1073, "CreateService", "exists")
        self.services[name] = {"class": python_class, "shown": shown, "changes": {}, **more}

    def change(self, service: dict[str, Any], level: int, value: Any) -> None:
        service["changes"][level] = value

    def query(self, name: str) -> tuple[int, int]:
        self.service(name)
        return (16, self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def modules(self) -> Iterator[ModuleType]:
        def module(name: str, **content: Any) -> ModuleType:
            made = ModuleType(name)
            made.__file__ = f"C:\\site-packages\\win32\\{name}.pyd"
            vars(made).update(content)
            return made

        yield module("pywintypes", error=WindowsError)
        yield module(
            "win32service", **CONSTANTS,
            OpenSCManager=lambda *_: self, CloseServiceHandle=lambda _: None,
            OpenService=lambda _, name, access: self.service(name), ChangeServiceConfig2=self.change,
        )  # fmt: skip
        yield module(
            "win32serviceutil", ServiceFramework=framework(self), InstallService=self.add,
            StartService=self.service, StopService=self.service, QueryServiceStatus=self.query,
            RemoveService=lambda name: self.services.pop(self.service(name) and name),
        )  # fmt: skip
        yield module(
            "servicemanager", Initialize=lambda name, file: self.sources.append(name),
            LogInfoMsg=lambda text: self.events.append(("info", text)),
            LogErrorMsg=lambda text: self.events.append(("error", text)),
            PrepareToHostSingle=self.hosts.append, StartServiceCtrlDispatcher=lambda: None,
        )  # fmt: skip
        yield module(
            "win32evtlogutil", AddSourceToRegistry=lambda name, file: self.sources.append(name)
        )


def framework(manager: Manager) -> type:
    """``win32serviceutil.ServiceFramework``, as far as it talks with the manager."""

    class ServiceFramework:
        def __init__(self, arguments: list[str]) -> None:
            self.name = arguments[0]

        def GetAcceptedControls(self) -> int:
            return 0

        def ReportServiceStatus(self, state: int, waitHint: int = 5000) -> None:
            accepted = self.GetAcceptedControls() if state != 2 else 0
            manager.reported.append((state, accepted, waitHint))

        def ServiceCtrlHandlerEx(self, control: int, event_type: int, data: Any) -> Any:
            handlers = {1: "SvcStop", 4: "SvcInterrogate"}
            if control in handlers:
                return getattr(self, handlers[control])()
            return self.SvcOtherEx(control, event_type, data)  # type: ignore[attr-defined]

    return ServiceFramework


@contextmanager
def installed(manager: Manager) -> Iterator[Any]:
    """``connector_proxy.winservice`` on that manager."""
    names = [module.__name__ for module in manager.modules()]
    sys.modules.update(zip(names, manager.modules(), strict=True))
    try:
        from connector_proxy import winservice

        yield winservice
    finally:
        for name in [*names, "connector_proxy.winservice"]:
            sys.modules.pop(name, None)
        import connector_proxy

        vars(connector_proxy).pop("winservice", None)
