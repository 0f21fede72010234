"""Where objects go: one target of the configuration, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from connector_proxy.settings import Settings
from connector_proxy.values import Secret


@dataclass(frozen=True)
class Target:
    """One target. ``scheme`` is s3, az, gs or file; ``bucket`` is empty for a folder, and
    ``prefix`` that of each key, with a slash at its end where there is one. ``folder`` is the one
    of a file URL. Times are in seconds."""

    scheme: str
    bucket: str
    prefix: str
    folder: Path
    region: str
    endpoint: str
    account: str
    encryption: str
    storage_class: str
    access_key: Secret
    secret_key: Secret
    sas_token: Secret
    connect_timeout: float
    read_timeout: float
    ca_bundle: Path | None
    proxy: str

    @classmethod
    def of(cls, settings: Settings) -> Target:
        """The target that the settings of one upload describe."""
        own = settings.own
        parts = urlsplit(own["url"])
        local = parts.scheme == "file"
        prefix = "" if local else unquote(parts.path).strip("/")
        return cls(
            scheme=parts.scheme,
            bucket=parts.netloc,
            prefix=prefix and prefix + "/",
            folder=Path(url2pathname(parts.path)) if local else Path(),
            region=own["region"],
            endpoint=own["endpoint"],
            account=own["account"],
            encryption=own["encryption"],
            storage_class=own["storageclass"],
            access_key=own["accesskey"],
            secret_key=own["secretkey"],
            sas_token=own["sastoken"],
            connect_timeout=settings.connecttimeout,
            read_timeout=settings.readtimeout,
            ca_bundle=settings.cabundle,
            proxy=settings.outboundproxy,
        )

    def __str__(self) -> str:
        place = f"{self.bucket}/{self.prefix}" if self.bucket else self.folder.as_posix()
        return f"{self.scheme}://{place}"
