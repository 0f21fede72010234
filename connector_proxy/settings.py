"""The configuration folder and the environment in, frozen ``Settings`` out.

Three files, as existing installations have them: ``serviceConfig.ini``, ``credentials.ini`` and
``serviceConfig.py``. ``KEYS`` is the one table of names, types, defaults and sentences. Whatever
is not understood is an error at start that names file, line and key, and says what to write.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from connector_proxy import access, conffiles, values
from connector_proxy.conffiles import CONF_VARIABLE, ENVIRONMENT_PREFIX, Entry, Section
from connector_proxy.schedule import Pauses, Rate
from connector_proxy.values import EMBEDDED, HostPattern, Secret

SERVICE_INI = "serviceConfig.ini"
CREDENTIALS_INI = "credentials.ini"
SERVICE_PY = "serviceConfig.py"
SHIPPED = Path(__file__).resolve().parent / "shipped" / "conf"
"""The configuration inside an installed wheel."""


@dataclass(frozen=True)
class Settings:
    """The effective configuration. Times are in seconds, paths absolute.

    ``home`` is the folder that relative paths count from. ``origins`` tells where each value
    came from, ``notes`` what an administrator should know about it.
    """

    home: Path
    conf: Path
    host: str
    port: int
    debug: bool
    auth: str
    allowopen: bool
    trustedproxy: tuple[access.Network, ...]
    basicuser: Secret
    basicpassword: Secret
    bearertoken: Secret
    headername: str
    headervalue: Secret
    ops: bool
    opsnetworks: tuple[access.Network, ...]
    showdata: bool
    opssecret: Secret
    stpurl: str
    stpusername: Secret
    stppassword: Secret
    proglog: str
    loglevel: str
    logfilepath: Path
    logformat: str
    logfilemb: int
    logfiles: int
    logdays: int
    connecttimeout: float
    readtimeout: float
    cabundle: Path | None
    outboundproxy: str
    defaultstp: str
    allowedstps: tuple[str, ...]
    downloadhosts: tuple[HostPattern, ...]
    allowprivate: bool
    gettries: int
    getpause: float
    diskreservemb: int
    downloadfolder: Path
    downloadsatonce: int
    keepfilesminutes: int
    stage: bool
    stageas: str
    publicurl: str
    publicpath: str
    outputfolder: Path
    datasetformat: tuple[str, ...]
    datasettable: Secret
    csvbom: bool
    onbadrow: str
    onexisting: str
    keepdatasetdays: int
    maxrequestbytes: int
    threads: int
    datafolder: Path
    queueurl: Secret
    instance: str
    waitseconds: float
    identity: str
    retryschedule: Pauses
    onunknown: str
    concurrency: int
    instanceconcurrency: int
    ratelimit: Rate | None
    maxwaiting: int
    drainseconds: float
    keepdays: int
    keeppayloaddays: int
    origins: Mapping[str, str]
    notes: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]

    def for_stp(self, name: str) -> Settings:
        """The settings as the section ``[stp:NAME]`` changes them (name without regard to case)."""
        own = self.overrides.get(name.lower())
        return replace(self, **own) if own else self

    @property
    def embedded(self) -> bool:
        """Whether the embedded stored process is called instead of a SAS server."""
        return self.stpurl == EMBEDDED

    @property
    def fetches(self) -> bool:
        """Whether the service downloads the files of bulk tasks, instead of the SAS server."""
        return self.embedded or self.stage

    @property
    def open_door(self) -> str:
        """Why everybody could send webhooks and nobody said so; empty where it is not so."""
        return access.open_door(self.host, self.auth, self.allowopen, self.trustedproxy)


@dataclass(frozen=True)
class Key:
    """One setting: the file it stands in, how its text is understood, its value without a word
    of the administrator, whether ``[stp:NAME]`` may change it, and its sentence."""

    name: str
    file: str
    parse: Callable[[str, Path], Any]
    default: str
    per_stp: bool
    sentence: str


KEYS = (
    Key("stpurl", SERVICE_INI, values.stpurl, EMBEDDED, True,
        "Address of the stored processes with {{stpName}} in it, or the word embedded."),
    Key("auth", SERVICE_INI, values.word(*access.NEEDED), "none", False,
        "Who may send webhooks: none (everybody), or who presents the secret in credentials.ini: "
        "basic, bearer, header."),
    Key("allowopen", SERVICE_INI, values.flag, "False", False,
        "Let everybody send webhooks (auth = none) from other machines, too."),
    Key("trustedproxy", SERVICE_INI, access.networks, "", False,
        "Addresses and networks of front ends whose X-Forwarded-* headers are believed."),
    Key("ops", SERVICE_INI, values.flag, "True", False,
        "Show the page at /ops, with its API below /api, once opssecret is set."),
    Key("opsnetworks", SERVICE_INI, access.networks, "", False,
        "Addresses and networks that may open the page besides this machine."),
    Key("showdata", SERVICE_INI, values.flag, "False", False,
        "Show data of customers on the page: payloads of events, first rows of datasets."),
    Key("proglog", SERVICE_INI, values.proglog, "True", False,
        "Write a log file: True, False, or the name of the file."),
    Key("loglevel", SERVICE_INI, values.level, "INFO", False,
        "DEBUG, INFO, WARNING, ERROR or CRITICAL."),
    Key("logfilepath", SERVICE_INI, values.folder, ".\\logs\\", False,
        "Folder of the log file."),
    Key("logformat", SERVICE_INI, values.word("text", "json"), "text", False,
        "What a line of the log is: text, or an object of json."),
    Key("logfilemb", SERVICE_INI, values.whole(1, 10_000), "10", False,
        "Megabytes of the log file; then, and when a day is over, it is renamed."),
    Key("logfiles", SERVICE_INI, values.whole(1, 1000), "30", False,
        "Old log files that are kept."),
    Key("logdays", SERVICE_INI, values.whole(1, 36500), "30", False,
        "Days that old log files are kept."),
    Key("connecttimeout", SERVICE_INI, values.number(0.1, 300), "5", True,
        "Seconds to wait for a connection."),
    Key("readtimeout", SERVICE_INI, values.number(0.1, 86400), "300", True,
        "Seconds to wait for the whole answer of a stored process, or for the next bytes of a "
        "file."),
    Key("cabundle", SERVICE_INI, values.pem_file, "", True,
        "PEM file with the certificates to trust instead of the well-known ones."),
    Key("outboundproxy", SERVICE_INI, values.proxy, "", True,
        "Proxy for downloads, http://host:port; stored processes are called without one."),
    Key("defaultstp", SERVICE_INI, values.stp, "", False,
        "Stored process for payloads that name none."),
    Key("allowedstps", SERVICE_INI, values.stps, "", False,
        "The only stored processes that may be called, separated by commas; empty: every one."),
    Key("downloadhosts", SERVICE_INI, values.hosts, "*.amazonaws.com", True,
        "Hosts to download from, separated by commas; plain http only where a pattern says "
        "http://."),
    Key("allowprivate", SERVICE_INI, values.flag, "False", True,
        "Download from private addresses too, for hosts that downloadhosts names without *."),
    Key("gettries", SERVICE_INI, values.whole(1, 100), "5", True,
        "Tries of a download in a row that may bring nothing before its attempt has failed."),
    Key("getpause", SERVICE_INI, values.number(0, 30), "1", True,
        "Seconds before the second of these tries; before each further one twice as long."),
    Key("diskreservemb", SERVICE_INI, values.whole(0, 100_000_000), "200", True,
        "Megabytes of the disk that a download leaves free."),
    Key("downloadfolder", SERVICE_INI, values.folder, ".\\data\\files\\", False,
        "Folder where the files of bulk tasks lie until their delivery has ended."),
    Key("downloadsatonce", SERVICE_INI, values.whole(1, 100), "4", False,
        "Deliveries whose files are downloaded at the same time, in this instance."),
    Key("keepfilesminutes", SERVICE_INI, values.whole(0, 100_000), "10", False,
        "Minutes that the files of an ended delivery stay."),
    Key("stage", SERVICE_INI, values.flag, "False", True,
        "Download the files here and hand the stored process addresses of this service instead."),
    Key("stageas", SERVICE_INI, values.word("url", "path"), "url", True,
        "What a staged file is handed over as: url, or path, for a folder that the SAS server "
        "shares."),
    Key("publicurl", SERVICE_INI, values.public_url, "", True,
        "Address of this service as the SAS server sees it, http://host:port, for staged files."),
    Key("publicpath", SERVICE_INI, values.public_path, "", True,
        "downloadfolder as the SAS server sees it, for staged files; empty: the same path."),
    Key("outputfolder", SERVICE_INI, values.folder, ".\\output\\", True,
        "Folder of the datasets that the embedded stored process writes."),
    Key("datasetformat", SERVICE_INI, values.words("parquet", "csv", "duckdb", "xpt"),
        "parquet", True,
        "What datasets are written as, one or several: parquet, csv, duckdb, xpt."),
    Key("csvbom", SERVICE_INI, values.flag, "False", True,
        "Begin CSV files with a byte order mark, by which Excel knows UTF-8."),
    Key("onbadrow", SERVICE_INI, values.word("refuse", "reject"), "refuse", True,
        "When a row does not fit: refuse the data file, or reject the row into a file of its own."),
    Key("onexisting", SERVICE_INI, values.word("replace", "version"), "replace", True,
        "When the dataset is there already: replace it, or write the next version beside it."),
    Key("keepdatasetdays", SERVICE_INI, values.whole(0, 36500), "0", False,
        "Days that datasets in outputfolder are kept; 0: for ever. Rows of tables stay."),
    Key("maxrequestbytes", SERVICE_INI, values.whole(1024, 1 << 30), "1048576", False,
        "Largest request body in bytes."),
    Key("threads", SERVICE_INI, values.whole(1, 1000), "64", False,
        "Requests handled at the same time."),
    Key("datafolder", SERVICE_INI, values.folder, ".\\data\\", False,
        "Folder of the deliveries (deliveries.sqlite) and of the instance's lock."),
    Key("instance", SERVICE_INI, values.instance, "", False,
        "Name of this instance, stable over restarts; empty: the name of the machine."),
    Key("waitseconds", SERVICE_INI, values.number(0, 300), "10", True,
        "Seconds that a webhook waits for the first attempt before it is answered with 202; "
        "0: never wait."),
    Key("identity", SERVICE_INI, values.word("occurrence", "body"), "occurrence", True,
        "What makes two webhooks the same delivery: occurrence (of the task or event), or body."),
    Key("retryschedule", SERVICE_INI, values.pauses, "5s 1m 5m 30m 2h", True,
        "Pauses before the second, third ... attempt; empty: one attempt only."),
    Key("onunknown", SERVICE_INI, values.word("hold", "repeat"), "hold", True,
        "When nobody can tell whether it ran: hold it for a decision, or repeat it."),
    Key("concurrency", SERVICE_INI, values.whole(1, 1000), "2", True,
        "Attempts of one stored process at the same time, in each instance."),
    Key("instanceconcurrency", SERVICE_INI, values.whole(1, 1000), "8", False,
        "Attempts of all stored processes at the same time, in this instance."),
    Key("ratelimit", SERVICE_INI, values.rate, "", True,
        "Attempts of one stored process started at most, over all instances: 2/s, 10/m, 100/h; "
        "empty: no limit."),
    Key("maxwaiting", SERVICE_INI, values.whole(1, 10_000_000), "10000", False,
        "Deliveries that may wait before further webhooks are answered with 503."),
    Key("drainseconds", SERVICE_INI, values.number(0, 3600), "30", False,
        "Seconds that attempts in hand get when the service is told to end."),
    Key("keepdays", SERVICE_INI, values.whole(1, 36500), "30", False,
        "Days that finished deliveries are kept."),
    Key("keeppayloaddays", SERVICE_INI, values.whole(0, 36500), "7", False,
        "Days that the payload of a finished delivery is kept."),
    Key("basicuser", CREDENTIALS_INI, access.user, "", False,
        "auth = basic: the user that the connector sends."),
    Key("basicpassword", CREDENTIALS_INI, access.secrets, "", False,
        "auth = basic: the password of that user, or several, plain or from hash-secret."),
    Key("bearertoken", CREDENTIALS_INI, access.secrets, "", False,
        "auth = bearer: the token that the connector sends, or several, plain or from "
        "hash-secret."),
    Key("headername", CREDENTIALS_INI, access.header_name, "", False,
        "auth = header: the name of the header that holds the secret, such as X-Api-Key."),
    Key("headervalue", CREDENTIALS_INI, access.secrets, "", False,
        "auth = header: the secret, or several, plain or from hash-secret."),
    Key("opssecret", CREDENTIALS_INI, access.secrets, "", False,
        "The secret of the page and its API, or several, plain or from hash-secret; empty: both "
        "are off."),
    Key("queueurl", CREDENTIALS_INI, values.queue_url, "", False,
        "Database that instances share, postgresql+psycopg://user:password@host:5432/database; "
        "empty: a file."),
    Key("datasettable", CREDENTIALS_INI, values.database_url, "", True,
        "Database that takes datasets as rows of tables instead of files, "
        "postgresql://user:password@host:5432/database; empty: files."),
    Key("stpusername", CREDENTIALS_INI, values.secret, "", True,
        "User for the stored processes; empty: none is sent."),
    Key("stppassword", CREDENTIALS_INI, values.secret, "", True,
        "Password of that user."),
    Key("host", SERVICE_PY, values.host, "127.0.0.10", False,
        "Address to listen on."),
    Key("port", SERVICE_PY, values.whole(0, 65535), "8100", False,
        "Port to listen on; 0: a free one."),
    Key("debug", SERVICE_PY, values.flag, "False", False,
        "True: loglevel is DEBUG."),
)  # fmt: skip
_BY_NAME = {key.name: key for key in KEYS}
_SECRETS = tuple(key.name for key in KEYS if key.file == CREDENTIALS_INI)


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
    notes: list[str] = []
    files = [
        conffiles.read_ini(folder / SERVICE_INI, _names(SERVICE_INI), _SECRETS, notes),
        _credentials(folder / CREDENTIALS_INI, notes),
    ]
    of_environment = conffiles.read_environment(environment, list(_BY_NAME))
    entries: Section = {key.name: Entry(key.default, "default") for key in KEYS}
    for sections in files:
        entries |= sections.get("DEFAULT", {})
    entries |= _address(folder / SERVICE_PY, notes) | of_environment
    effective = {name: _value(name, entry, home) for name, entry in entries.items()}
    if effective["debug"]:
        effective["loglevel"] = "DEBUG"
    overrides = _overrides(files, of_environment, home, notes)
    origins = {name: entry.origin for name, entry in entries.items()}
    notes += [entry.note for entry in entries.values() if entry.note]
    settings = Settings(
        **effective,
        home=home,
        conf=folder,
        origins=origins,
        notes=tuple(notes),
        overrides=overrides,
    )
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Values that are right alone and wrong together."""
    allowed = {name.lower() for name in settings.allowedstps}
    if settings.defaultstp and allowed and settings.defaultstp.lower() not in allowed:
        where = settings.origins["defaultstp"]
        raise conffiles.fault(where, f"'{settings.defaultstp}' is not among allowedstps")
    if wrong := access.disagreement(settings.auth, vars(settings)):
        key, what = wrong
        raise conffiles.fault(settings.origins[key if getattr(settings, key) else "auth"], what)
    for name in ("", *settings.overrides):
        own = settings.for_stp(name)
        if bool(own.stpusername) != bool(own.stppassword):
            where = CREDENTIALS_INI + (f" [stp:{name}]" if name else "")
            what = "only one of stpusername and stppassword is set; set both, or neither"
            raise conffiles.fault(where, what)
        if own.stage and own.stageas == "url" and not (own.publicurl or own.embedded):
            where = SERVICE_INI + (f" [stp:{name}]" if name else "")
            what = "stage is True, but publicurl is empty; write where the SAS server reaches this "
            raise conffiles.fault(where, what + "service, http://host:port")


def _names(file: str) -> list[str]:
    return [key.name for key in KEYS if key.file == file]


def _credentials(path: Path, notes: list[str]) -> dict[str, Section]:
    if path.exists():
        sections = conffiles.read_ini(path, _names(CREDENTIALS_INI), _SECRETS, notes)
        for section in sections.values():
            conffiles.without_sample(section, notes)
        return sections
    notes.append(f"{path.name} is missing: credentials come from the environment, or none are sent")
    return {}


def _address(path: Path, notes: list[str]) -> Section:
    if path.exists():
        return conffiles.read_py(path, _names(SERVICE_PY), notes)
    notes.append(f"{path.name} is missing: host and port are those that it is shipped with")
    return {}


def _overrides(
    files: Iterable[Mapping[str, Section]], environment: Section, home: Path, notes: list[str]
) -> dict[str, dict[str, Any]]:
    """The values of each ``[stp:NAME]``, by the name in lower case."""
    overrides: dict[str, dict[str, Any]] = {}
    for sections in files:
        for stp, section in sections.items():
            if stp != "DEFAULT":
                own = overrides.setdefault(stp.lower(), {})
                own |= _own_values(section, environment, home, notes)
    return overrides


def _own_values(
    section: Section, environment: Section, home: Path, notes: list[str]
) -> dict[str, Any]:
    own = {}
    for name, entry in section.items():
        if not _BY_NAME[name].per_stp:
            what = f"{name} counts for the whole service; write it in [DEFAULT]"
            raise conffiles.fault(entry.origin, what)
        if entry.note:
            notes.append(entry.note)
        if name in environment:
            variable = ENVIRONMENT_PREFIX + name.upper()
            notes.append(f"{entry.origin}: {name} does not count, since {variable} is set")
        else:
            own[name] = _value(name, entry, home)
    return own


def _value(name: str, entry: Entry, home: Path) -> Any:
    try:
        return _BY_NAME[name].parse(entry.text, home)
    except ValueError as error:
        raise conffiles.fault(entry.origin, f"{name} cannot be used: {error}") from None


def shown(value: Any) -> str:
    """One value as text for people; a secret stays one."""
    if type(value) is tuple:
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
