"""The sections [upload] and [upload:NAME]: understood, explained, or an error that names the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector_proxy import masking
from connector_proxy.errors import ConfigurationError
from connector_proxy.keys import Key
from connector_proxy.loading import load
from connector_proxy.objectstore.target import Target
from connector_proxy.uploadkeys import KEYS
from tests.conftest import ROOT


@pytest.mark.parametrize("key", KEYS, ids=[key.name for key in KEYS])
def test_every_key_stands_in_its_shipped_file_and_in_the_document(key: Key) -> None:
    shipped = (ROOT / "conf" / key.file).read_text(encoding="utf-8")
    assert f"# {key.sentence}\n#{key.name} =" in shipped
    document = (ROOT / "docs" / "uploads.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{key.name}` \|.*$", document, re.MULTILINE)
    assert not key.default or f"`{key.default}`" in row


def test_what_is_shipped_works_when_the_signs_are_taken_away(conf: Path) -> None:
    for name in ("serviceConfig.ini", "credentials.ini"):
        text = (ROOT / "conf" / name).read_text(encoding="utf-8")
        (conf / name).write_text(re.sub(r"^#(?=\[upload\]|\w+ =)", "", text, flags=re.MULTILINE))
    settings = load(conf, {}).for_stp("upload:default")
    assert (settings.kind, settings.fetches, settings.embedded) == ("upload", True, False)
    assert str(Target.of(settings)) == "s3://bucket/audiences/"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[upload]\n", "url cannot be used"),
        ("[upload]\nurl = bucket\n", "write s3://"),
        ("[upload]\nurl = s3://b/../x\n", "write s3://"),
        ("[upload]\nurl = s3://user:pw@bucket/x\n", "write s3://"),
        ("[upload]\nurl = s3://bucket/x?versionId=1\n", "write s3://"),
        ("[upload]\nurl = file://host/share\n", "write s3://"),
        ("[upload]\nurl = ftp://host/x\n", "write s3://"),
        ("[upload]\nurl = s3://bucket\nobjectname = /a\n", "begins with"),
        ("[upload]\nurl = s3://bucket\nobjectname = ../{filename}\n", "between slashes"),
        ("[upload]\nurl = s3://bucket\nobjectname = a{\n", "not allowed"),
        ("[upload]\nurl = s3://bucket\nobjectname = {}\n", "write a name such as"),
        ("[upload]\nurl = s3://bucket\nonexisting = keep\n", "replace or refuse or version"),
        ("[upload]\nurl = s3://bucket\ntags = team\n", "write tags such as"),
        ("[upload]\nurl = s3://bucket\nencryption = rot13\n", "AES256"),
        ("[upload]\nurl = s3://bucket\nbeside = all\n", "metadata, manifest"),
        ("[upload]\nurl = s3://bucket\nsecretkey = x\n", "no setting 'secretkey'"),
        ("[upload]\nurl = s3://bucket\nstage = True\n", "no setting 'stage'"),
        ("[upload]\nurl = s3://bucket\nthreads = 3\n", "counts for the whole service"),
        ("[upload]\nurl = s3://bucket\n[UPLOAD:Default]\nurl = s3://b2\n", "stands twice"),
        ("[upload:a b]\nurl = s3://bucket\n", "letters, digits"),
        ("[stp]\n", r"write \[DEFAULT\], \[stp:NAME\], \[upload\]"),
        ("[DEFAULT]\ndestinations = stp, upload\n", r"needs the section \[upload\]"),
        ("[stp:A]\ndestinations = upload:b\n", r"line 2: destinations needs the section \[upload:b\]"),
        ("[DEFAULT]\ndestinations =\n", "one or several"),
        ("[DEFAULT]\nonexisting = refuse\n", "replace or version"),
    ],
)  # fmt: skip
def test_a_fault_names_what_to_write(text: str, why: str, conf: Path) -> None:
    (conf / "serviceConfig.ini").write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        load(conf, {})


def test_a_target_takes_from_upload_what_it_does_not_say(conf: Path) -> None:
    (conf / "serviceConfig.ini").write_text(
        "[upload]\nurl = s3://bucket/in\nregion = eu-west-1\nretryschedule = 1s\n"
        "[upload:Archive]\nurl = file:///srv/archive\ntags = a=b\n"
    )
    (conf / "credentials.ini").write_text("[upload]\naccesskey = AK\nsecretkey = s3cret-of-all\n")
    settings = load(conf, {})
    own = settings.for_stp("UPLOAD:archive")
    assert (own.own["region"], own.own["tags"], tuple(own.retryschedule)) == (
        "eu-west-1",
        {"a": "b"},
        (1,),
    )
    assert Target.of(own).folder == Path("/srv/archive")
    assert settings.retryschedule != own.retryschedule
    assert "s3cret-of-all" in masking.secrets_of(settings)
    assert "s3cret" not in repr(own)


@pytest.mark.parametrize(
    ("ini", "credentials", "why"),
    [
        ("url = az://container/x", "", "az:// needs account"),
        ("url = s3://bucket/x", "accesskey = AKIA", "belong together"),
        ("url = s3://bucket/x", "secretkey = s", "belong together"),
    ],
)
def test_what_belongs_together_is_told_at_the_start(
    ini: str, credentials: str, why: str, conf: Path
) -> None:
    (conf / "serviceConfig.ini").write_text(f"[upload]\n{ini}\n")
    (conf / "credentials.ini").write_text(f"[upload]\n{credentials}\n")
    with pytest.raises(ConfigurationError, match=why):
        load(conf, {})
