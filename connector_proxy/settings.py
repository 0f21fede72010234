"""Frozen ``Settings``, and ``KEYS``, the one table of their names, types, defaults and sentences.
``loading.py`` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector_proxy import access, alertvalues, values
from connector_proxy.addresses import STP, section_of
from connector_proxy.ci360 import texts
from connector_proxy.ci360.attributes import Attributes
from connector_proxy.ci360.letter import Identity
from connector_proxy.keys import CREDENTIALS_INI, SERVICE_INI, SERVICE_PY, Key
from connector_proxy.schedule import Pauses, Rate
from connector_proxy.values import EMBEDDED, HostPattern, Secret


@dataclass(frozen=True)
class Settings:
    """The effective configuration. Times are in seconds, paths absolute.

    ``home`` is the folder that relative paths count from. ``origins`` tells where each value
    came from (see ``of_stp``), ``notes`` what an administrator should know about it. ``kind`` is
    the kind of destination whose settings these are, ``own`` what it has for itself.
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
    destinations: tuple[str, ...]
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
    smtphost: str
    smtpstarttls: bool
    smtpuser: Secret
    smtppassword: Secret
    alertfrom: str
    alertto: tuple[str, ...]
    alerturl: Secret
    alertminutes: int
    reportvia: str
    gatewayurl: str
    tenantid: Secret
    gatewaysecret: Secret
    doneevent: str
    failedevent: str
    heldevent: str
    rowevent: str
    rtcattribute: str
    reportattributes: Attributes
    reportidentity: Identity | None
    reportschedule: Pauses
    rerun: bool
    origins: Mapping[str, str]
    notes: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    kind: str = STP
    own: Mapping[str, Any] = field(default_factory=dict)

    def for_stp(self, name: str) -> Settings:
        """The settings of one destination (name without regard to case): of a stored process as
        the section ``[stp:NAME]`` changes them, of another as ``[upload:NAME]`` does."""
        own = self.overrides.get(name.lower())
        return replace(self, **own) if own else self

    def each(self) -> list[Settings]:
        """Those of the whole service, then those of each section ``[stp:NAME]``."""
        return [self, *map(self.for_stp, self.overrides)]

    @property
    def embedded(self) -> bool:
        """Whether the embedded stored process is called instead of a SAS server."""
        return self.kind == STP and self.stpurl == EMBEDDED

    @property
    def on_sas(self) -> bool:
        """Whether a SAS server is called."""
        return self.kind == STP and self.stpurl != EMBEDDED

    @property
    def fetches(self) -> bool:
        """Whether the service downloads the files of bulk tasks, instead of the SAS server."""
        return self.kind != STP or self.embedded or self.stage

    @property
    def open_door(self) -> str:
        """Why everybody could send webhooks and nobody said so; empty where it is not so."""
        return access.open_door(self.host, self.auth, self.allowopen, self.trustedproxy)


KEYS = (
    Key("destinations", SERVICE_INI, values.destinations, "stp", True,
        "Where deliveries of a stored process go: stp, upload, upload:NAME; one or several."),
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
        "Proxy for downloads and alerturl, http://host:port; stored processes are called without "
        "one."),
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
    Key("smtphost", SERVICE_INI, alertvalues.mail_server, "", False,
        "Mail server for alerts, host or host:port (587); empty: no mail."),
    Key("smtpstarttls", SERVICE_INI, values.flag, "True", False,
        "Encrypt with STARTTLS before anything is sent; False only inside a closed network."),
    Key("alertfrom", SERVICE_INI, alertvalues.mail_address, "", False,
        "Address that alerts are sent from."),
    Key("alertto", SERVICE_INI, alertvalues.mail_addresses, "", False,
        "Addresses that alerts are sent to, separated by commas."),
    Key("alertminutes", SERVICE_INI, values.whole(1, 10080), "30", False,
        "Minutes that a delivery may wait before it is told."),
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
    Key("reportvia", SERVICE_INI, values.word("off", "gateway", "agent"), "off", False,
        "How CI 360 is told how deliveries ended: off, through its external gateway, or through "
        "the agent on this machine."),
    Key("gatewayurl", SERVICE_INI, texts.gateway_url, "", False,
        "Address of the external gateway, https://host; empty with agent: http://localhost:8080."),
    Key("doneevent", SERVICE_INI, texts.event_name, "", True,
        "External event for a delivery that is done; empty: none."),
    Key("failedevent", SERVICE_INI, texts.event_name, "", True,
        "External event for a delivery that is refused, expired or cancelled; empty: none."),
    Key("heldevent", SERVICE_INI, texts.event_name, "", True,
        "External event for a delivery that is held; empty: none."),
    Key("rowevent", SERVICE_INI, texts.event_name, "", True,
        "External event for each row that was rejected (onbadrow = reject); empty: none."),
    Key("rtcattribute", SERVICE_INI, texts.attribute, "response_tracking_code", True,
        "Attribute that takes the response tracking code; empty: none."),
    Key("reportattributes", SERVICE_INI, texts.templates,
        "state={state}, code={code}, rows={rows}, rejected_rows={rejectedRows}, "
        "dataset={dataSet}, seconds={seconds}, message={message}", True,
        "Attributes of these events, name={fact}, separated by commas."),
    Key("reportidentity", SERVICE_INI, texts.identity, "", True,
        "Whom the events of bulk tasks are about, such as subject_id:VALUE; empty: no events of "
        "tasks."),
    Key("reportschedule", SERVICE_INI, values.pauses, "10s 1m 10m 1h 6h 12h", False,
        "Pauses before the second, third ... try of a report."),
    Key("rerun", SERVICE_INI, values.flag, "False", True,
        "Let CI 360 run a task again whose delivery expired, once for each occurrence."),
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
    Key("smtpuser", CREDENTIALS_INI, values.secret, "", False,
        "User for the mail server; empty: none is sent."),
    Key("smtppassword", CREDENTIALS_INI, values.secret, "", False,
        "Password of that user."),
    Key("alerturl", CREDENTIALS_INI, alertvalues.alert_url, "", False,
        "Address that alerts are posted to as JSON; empty: none."),
    Key("tenantid", CREDENTIALS_INI, values.secret, "", False,
        "Id of the tenant, as CI 360 shows it with the access point; for the external gateway."),
    Key("gatewaysecret", CREDENTIALS_INI, values.secret, "", False,
        "Client secret of the access point; for the external gateway."),
    Key("host", SERVICE_PY, values.host, "127.0.0.10", False,
        "Address to listen on."),
    Key("port", SERVICE_PY, values.whole(0, 65535), "8100", False,
        "Port to listen on; 0: a free one."),
    Key("debug", SERVICE_PY, values.flag, "False", False,
        "True: loglevel is DEBUG."),
)  # fmt: skip


def of_stp(stp: str, name: str) -> str:
    """Under what ``origins`` has a setting; ``stp`` is the stored process, or other destination,
    in lower case, or empty for the whole service."""
    return f"{section_of(stp)} {name}" if stp else name


def shown(value: Any) -> str:
    """One value as text for people; a secret stays one."""
    if type(value) is tuple:
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
