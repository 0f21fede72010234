"""The settings of an upload: sections ``[upload]`` and ``[upload:NAME]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from connector_proxy import objectname, values
from connector_proxy.keys import CREDENTIALS_INI, SERVICE_INI, Key

_TEMPLATE = "write a name such as audiences/{taskCode}/{date}/{filename}"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_MOST_TAGS = 10


def url(text: str, home: Path) -> str:
    """Where objects go, without a slash at the end: s3://, az://, gs:// and a bucket, or a file
    URL of a folder."""
    advice = "write s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or file:///folder"
    text = text.rstrip("/")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(advice) from None
    if parts.scheme == "file":
        good = not parts.netloc and len(parts.path) > 1
    else:
        good = parts.scheme in ("s3", "az", "gs") and bool(_BUCKET.fullmatch(parts.netloc))
        prefix = parts.path.removeprefix("/")
        good = good and not (prefix and objectname.name_issue(prefix))
    if not good or parts.query or parts.fragment:
        raise ValueError(advice)
    return text


def template(text: str, home: Path) -> str:
    """A name with placeholders."""
    tried = objectname.PLACEHOLDER.sub("x", text)
    if not all(name.strip() for name in objectname.PLACEHOLDER.findall(text)):
        raise ValueError(_TEMPLATE)
    if issue := objectname.name_issue(tried):
        raise ValueError(f"it {issue}; {_TEMPLATE}")
    return text


def names(text: str, home: Path) -> tuple[str, ...]:
    """Names of send parameters, separated by commas."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise ValueError("write names of send parameters, separated by commas")
    return found


def tags(text: str, home: Path) -> Mapping[str, str]:
    """``team=crm, task={taskCode}`` as a mapping of templates."""
    found = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, pair.partition("="))
        if not name or not equals or len(name) > 128:
            raise ValueError("write tags such as team=crm, task={taskCode}")
        found[name] = value
    if len(found) > _MOST_TAGS:
        raise ValueError(f"write {_MOST_TAGS} tags at most")
    return _Tags(found)


class _Tags(dict[str, str]):
    """Prints as somebody wrote it."""

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.items())


def beside(text: str, home: Path) -> tuple[str, ...]:
    """What is put beside the data file; empty: nothing."""
    return values.words("metadata", "manifest")(text, home) if text else ()


def endpoint(text: str, home: Path) -> str:
    """The address of a store that is not the provider's own; empty: the provider's."""
    return values.public_url(text, home)


def encryption(text: str, home: Path) -> str:
    """``AES256``, ``aws:kms``, or ``aws:kms:`` and the key; empty: as the bucket says."""
    if text and not re.fullmatch(r"AES256|aws:kms(:dsse)?|aws:kms:[\w:/-]{1,300}", text):
        raise ValueError("write AES256, aws:kms, or aws:kms:KEY")
    return text


def plain(text: str, home: Path) -> str:
    """A word of the provider, or nothing."""
    if text and not re.fullmatch(r"[\w.-]{1,100}", text):
        raise ValueError("write a name of letters, digits and . _ -")
    return text


KEYS = (
    Key("url", SERVICE_INI, url, "", True,
        "Where files go: s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or "
        "file:///folder."),
    Key("region", SERVICE_INI, plain, "", True,
        "Region of the bucket (S3); empty: as the provider's own tools find it."),
    Key("endpoint", SERVICE_INI, endpoint, "", True,
        "Address of a store that is not the provider's own, such as MinIO, https://host:port."),
    Key("account", SERVICE_INI, plain, "", True,
        "Storage account (Azure)."),
    Key("objectname", SERVICE_INI, template, "{filename}", True,
        "Name of the object below url: text, {filename}, {date}, and send parameters such as "
        "{taskCode}."),
    Key("nameparameters", SERVICE_INI, names, "s3_filename, blob_filename, file_name", True,
        "Send parameters that may give {filename}, the first one first."),
    Key("onexisting", SERVICE_INI, values.word("replace", "refuse", "version"), "replace", True,
        "When the object is there already: replace it, refuse the delivery, or write the next "
        "version beside it."),
    Key("content", SERVICE_INI, values.word("file", "csv", "parquet", "xpt"), "file", True,
        "What is put there: the file as it came, csv with a header line, parquet or xpt."),
    Key("compress", SERVICE_INI, values.word("none", "gzip", "zstd"), "none", True,
        "Pack the object: none, gzip or zstd."),
    Key("beside", SERVICE_INI, beside, "", True,
        "What is put beside it: metadata, manifest, both, or nothing."),
    Key("encryption", SERVICE_INI, encryption, "", True,
        "Server-side encryption (S3): AES256, aws:kms or aws:kms:KEY; empty: as the bucket says."),
    Key("storageclass", SERVICE_INI, plain, "", True,
        "Storage class or tier; empty: as the bucket says."),
    Key("tags", SERVICE_INI, tags, "", True,
        "Tags of the object, such as team=crm, task={taskCode}."),
    Key("accesskey", CREDENTIALS_INI, values.secret, "", True,
        "Access key id (S3); empty: the usual chain of the provider."),
    Key("secretkey", CREDENTIALS_INI, values.secret, "", True,
        "Secret access key (S3), or account key (Azure); empty: the usual chain of the provider."),
    Key("sastoken", CREDENTIALS_INI, values.secret, "", True,
        "Shared access signature (Azure), instead of an account key."),
)  # fmt: skip
