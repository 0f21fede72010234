"""The configuration folder and the environment in, frozen ``Settings`` out.

Three files, as existing installations have them: ``serviceConfig.ini``, ``credentials.ini`` and
``serviceConfig.py``. Whatever is not understood is an error at start that names file, line and
key, and says what to write; all such faults are told at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connector_proxy import access, conffiles, kinds
from connector_proxy.addresses import STP, UPLOAD, address, kind_of, section_of
from connector_proxy.conffiles import CONF_VARIABLE, ENVIRONMENT_PREFIX, Entry, Section
from connector_proxy.keys import CREDENTIALS_INI, SERVICE_INI, SERVICE_PY, Key
from connector_proxy.settings import KEYS, Settings, of_stp

SHIPPED = Path(__file__).resolve().parent / "shipped" / "conf"
"""The configuration inside an installed wheel."""
_PATIENCE_OF_CI360 = 60
"""Seconds; the time-out of a connector there is 15 to 60."""
_BY_NAME = {key.name: key for key in KEYS}
_OF_STPS_ALONE = frozenset(
    {
        "destinations", "publicpath", "publicurl", "stage", "stageas", "stppassword", "stpurl",
        "stpusername",
    }
)  # fmt: skip
_DEFAULT = "default"


def default_conf() -> Path:
    """The configuration folder of the installation: ``conf`` beside the package (a checkout),
    else ``conf`` beside the virtual environment, else the copy inside the package."""
    for folder in (SHIPPED.parents[2] / "conf", Path(sys.prefix).parent / "conf"):
        if (folder / SERVICE_INI).is_file():
            return folder
    return SHIPPED


def load(conf: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration folder ``conf`` (default: ``CONNECTOR_PROXY_CONF``, else that of
    the installation) and the environment, which wins. Raises ``ConfigurationError``."""
    folder = (conf or Path(environment.get(CONF_VARIABLE) or default_conf())).resolve()
    home = Path(sys.prefix) if folder == SHIPPED else folder.parent
    reading = _Reading(home)
    files = [
        reading.ini(folder / SERVICE_INI),
        reading.credentials(folder / CREDENTIALS_INI),
    ]
    of_environment = conffiles.read_environment(environment, list(_BY_NAME), reading.findings)
    entries: Section = {key.name: Entry(key.default, _DEFAULT) for key in KEYS}
    for sections in files:
        entries |= sections.get("DEFAULT", {})
    entries |= reading.address(folder / SERVICE_PY) | of_environment
    effective = reading.values(entries)
    overrides = reading.overrides(files, of_environment)
    reading.findings.tell()
    if effective["debug"]:
        effective["loglevel"] = "DEBUG"
    settings = Settings(
        **effective,
        home=home,
        conf=folder,
        origins=reading.origins,
        notes=(),
        overrides=overrides,
    )
    _check_together(settings, reading.findings)
    reading.findings.tell()
    return replace(settings, notes=(*reading.findings.notes, *_doubts(settings)))


class _Reading:
    """Texts become values; what is to be told of them is gathered."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._kinds = kinds.known()
        self.findings = conffiles.Findings()
        self.origins: dict[str, str] = {}

    def ini(self, path: Path) -> dict[str, Section]:
        known = {kind: _names(path.name, kind, keys) for kind, keys in self._kinds.items()}
        secrets = known.values() if path.name == CREDENTIALS_INI else ()
        return conffiles.read_ini(
            path, known, {name for some in secrets for name in some}, self.findings
        )

    def credentials(self, path: Path) -> dict[str, Section]:
        if not path.exists():
            self._missing(path, "credentials come from the environment, or none are sent")
            return {}
        sections = self.ini(path)
        for section in sections.values():
            conffiles.without_sample(section, self.findings)
        return sections

    def address(self, path: Path) -> Section:
        if not path.exists():
            self._missing(path, "host and port are those that it is shipped with")
            return {}
        return conffiles.read_py(path, _names(SERVICE_PY, STP, ()), self.findings)

    def _missing(self, path: Path, what: str) -> None:
        self.findings.notes.append(f"{path.name} is missing: {what}")

    def values(
        self, section: Section, place: str = "", keys: Mapping[str, Key] = _BY_NAME
    ) -> dict[str, Any]:
        found = {}
        for name, entry in section.items():
            self.origins[of_stp(place, name)] = entry.origin
            if entry.note:
                self.findings.notes.append(entry.note)
            with self.findings.gathered():
                found[name] = _value(keys[name], entry, self._home, place)
        return found

    def overrides(
        self, files: Iterable[Mapping[str, Section]], environment: Section
    ) -> dict[str, dict[str, Any]]:
        """The values of each ``[stp:NAME]``, by the name in lower case, and of each other
        destination. What ``[upload]`` says counts for each ``[upload:NAME]``, too."""
        written: dict[str, Section] = {}
        for sections in files:
            for place, section in sections.items():
                if place != "DEFAULT":
                    written[place.lower()] = written.get(place.lower(), {}) | section
        return {place: self._override(place, written, environment) for place in written}

    def _override(
        self, place: str, written: Mapping[str, Section], environment: Section
    ) -> dict[str, Any]:
        kind = kind_of(place)
        keys = {key.name: key for key in self._kinds[kind]}
        section = written.get(address(kind), {}) | written[place]
        own = {name: section.get(name, Entry(key.default, _DEFAULT)) for name, key in keys.items()}
        others = {name: entry for name, entry in section.items() if name not in keys}
        return {
            "kind": kind,
            "own": self.values(own, place, keys),
            **self.values(self._counting(others, environment), place),
        }

    def _counting(self, section: Section, environment: Section) -> Section:
        """What of a section counts."""
        counting = {}
        for name, entry in section.items():
            variable = ENVIRONMENT_PREFIX + name.upper()
            with self.findings.gathered():
                if not _BY_NAME[name].per_stp:
                    what = f"{name} counts for the whole service; write it in [DEFAULT]"
                    raise conffiles.fault(entry.origin, what)
                if name in environment:
                    what = f"{name} does not count, since {variable} is set"
                    self.findings.notes.append(f"{entry.origin}: {what}")
                else:
                    counting[name] = entry
        return counting


def _check_together(settings: Settings, findings: conffiles.Findings) -> None:
    """Values that are right alone and wrong together."""
    allowed = {name.lower() for name in settings.allowedstps}
    with findings.gathered():
        if settings.defaultstp and allowed and settings.defaultstp.lower() not in allowed:
            where = settings.origins["defaultstp"]
            raise conffiles.fault(where, f"'{settings.defaultstp}' is not among allowedstps")
    with findings.gathered():
        if wrong := access.disagreement(settings.auth, vars(settings)):
            key, what = wrong
            raise conffiles.fault(settings.origins[key if getattr(settings, key) else "auth"], what)
    for name in ("", *settings.overrides):
        own, section = settings.for_stp(name), section_of(name)
        with findings.gathered():
            _need_both(own, "stpusername", "stppassword", f"{CREDENTIALS_INI} {section}".rstrip())
        with findings.gathered():
            _check_staging(own, f"{SERVICE_INI} {section}".rstrip())
        with findings.gathered():
            _check_upload(own, section)
        for needed in map(section_of, set(own.destinations) - {STP, *settings.overrides}):
            with findings.gathered():
                where = settings.origins.get(of_stp(name, "destinations"), SERVICE_INI)
                what = f"destinations needs the section {needed}, which is not there"
                raise conffiles.fault(where, what)
    with findings.gathered():
        _need_both(settings, "smtpuser", "smtppassword", CREDENTIALS_INI)
        _check_mail(settings)
    with findings.gathered():
        _check_gateway(settings)


def _check_upload(settings: Settings, section: str) -> None:
    own = settings.own
    if settings.kind != UPLOAD:
        return
    if own["url"].startswith("az://") and not own["account"]:
        raise conffiles.fault(
            f"{SERVICE_INI} {section}", "az:// needs account, the storage account"
        )
    if own["url"].startswith("s3://") and bool(own["accesskey"]) != bool(own["secretkey"]):
        what = "accesskey and secretkey belong together; write both, or none"
        raise conffiles.fault(f"{CREDENTIALS_INI} {section}", what)


def _check_staging(settings: Settings, where: str) -> None:
    reached = settings.publicurl or settings.embedded
    if settings.stage and settings.stageas == "url" and not reached:
        what = "stage is True, but publicurl is empty; write where the SAS server reaches this "
        raise conffiles.fault(where, what + "service, http://host:port")


def _need_both(settings: Settings, one: str, other: str, where: str) -> None:
    if bool(getattr(settings, one)) != bool(getattr(settings, other)):
        raise conffiles.fault(where, f"only one of {one} and {other} is set; set both, or neither")


def _check_mail(settings: Settings) -> None:
    if settings.smtphost and not (settings.alertfrom and settings.alertto):
        what = "mail needs alertfrom and alertto, too"
        raise conffiles.fault(settings.origins["smtphost"], what)
    if settings.alertto and not settings.smtphost:
        raise conffiles.fault(settings.origins["alertto"], "mail needs smtphost, too")
    if settings.smtpuser and not settings.smtpstarttls:
        what = "the password of the mail server is not sent without encryption; use smtpstarttls"
        raise conffiles.fault(settings.origins["smtpstarttls"], what)


def _check_gateway(settings: Settings) -> None:
    needed = ("gatewayurl", "tenantid", "gatewaysecret")
    missing = [name for name in needed if not getattr(settings, name)]
    if settings.reportvia == "gateway" and missing:
        what = f"reportvia is gateway, but {missing[0]} is empty; write what CI 360 shows with the "
        raise conffiles.fault(settings.origins["reportvia"], what + "access point")


def _doubts(settings: Settings) -> Iterator[str]:
    """What is allowed, and most likely not meant."""
    for stp in ("", *settings.overrides):
        own, place = settings.for_stp(stp), of_stp(stp, "waitseconds")
        if own.waitseconds > _PATIENCE_OF_CI360 and place in settings.origins:
            yield (
                f"{settings.origins[place]}: waitseconds is {own.waitseconds:g}, and the connector "
                f"of CI 360 waits {_PATIENCE_OF_CI360} seconds at most"
            )
    if settings.keepdays < settings.keeppayloaddays:
        yield (
            f"{settings.origins['keepdays']}: keepdays ends before keeppayloaddays, so payloads "
            f"are kept for {settings.keepdays} days only"
        )
    if settings.reportvia != "off" and not settings.reportidentity:
        yield (
            f"{settings.origins['reportvia']}: reportidentity is empty, so CI 360 is told of "
            "events only, and of no bulk task"
        )
    if settings.reportvia == "agent" and (settings.rerun or settings.rowevent):
        name = "rerun" if settings.rerun else "rowevent"
        yield f"{settings.origins[name]}: {name} does not count, since the agent takes events only"


def _names(file: str, kind: str, keys: Iterable[Key]) -> list[str]:
    """The settings that a section for a kind of destination may hold in ``file``: ``keys`` are
    those that the kind has for itself."""
    ours = (key for key in KEYS if kind == STP or key.name not in _OF_STPS_ALONE)
    return [key.name for key in (*keys, *ours) if key.file == file]


def _value(key: Key, entry: Entry, home: Path, place: str) -> Any:
    try:
        return key.parse(entry.text, home)
    except ValueError as error:
        where = section_of(place) if entry.origin == _DEFAULT else entry.origin
        raise conffiles.fault(where, f"{key.name} cannot be used: {error}") from None
