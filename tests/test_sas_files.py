"""stpDownloadFile with files that were downloaded for it and are named by their path, where the
setting ``filefolder`` allows that.

What such a run must not leave behind or let out: see ``Site``.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from tests.sassite import EMPTY_SHA, MakeSite, Site, metadata

ID = "7451e683-9c1a-4a53-9a3c-0d3f6a8a3e11"
PAIR = metadata("a", "b")
PLACES = [
    ("unix", "utf-8", "{real}"),
    ("unix", "wlatin1", "{real}"),
    ("windows", "utf-8", r"\\server\CI 360 (new)\files"),
    ("windows", "wlatin1", r"D:\ci360\files"),
    ("windows", "wlatin1", "//server/ci360/files"),
]
EVERYWHERE = pytest.mark.parametrize(("platform", "encoding", "folder"), PLACES)


class Shared:
    """A site whose SAS server sees ``folder``, in which files of deliveries lie."""

    def __init__(self, site: Site, real: Path, folder: str = "{real}") -> None:
        real.mkdir()
        self.site, self.real = site, real
        self.folder = folder.format(real=real)
        if site.platform == "windows":
            site.shares[self.folder] = real
        site.configure(filefolder=self.folder)

    @property
    def mark(self) -> str:
        return "\\" if "\\" in self.folder else "/"

    def path(self, name: str, delivery: str = ID) -> str:
        """The path of a file as the SAS server sees it."""
        return self.mark.join((self.folder, delivery, name))

    def put(self, columns: bytes, data: bytes, delivery: str = ID) -> dict[str, Any]:
        """Put both files into the folder; returns the payload that names their paths."""
        (self.real / delivery).mkdir()
        (self.real / delivery / "metadata").write_bytes(columns)
        (self.real / delivery / "data").write_bytes(data)
        payload = self.site.bulk(b"", b"")
        return self.named(payload, self.path("metadata", delivery), self.path("data", delivery))

    @staticmethod
    def named(payload: dict[str, Any], meta: str, data: str) -> dict[str, Any]:
        return {**payload, "presignedUrls": {"metadataFile": meta, "dataFile": data}}

    def refuses(self, payload: dict[str, Any], code: str, words: str) -> None:
        answer, _ = self.site.call(payload)
        assert (answer.status, answer.code) == ("error", code), answer
        assert words in answer.message
        assert self.site.saved() == []
        assert self.site.store.seen == []


@pytest.fixture
def shared(site: Site, tmp_path: Path) -> Shared:
    """A shared folder on Unix."""
    return Shared(site, tmp_path / "CI 360 files")


@pytest.fixture
def windows(make_site: MakeSite, tmp_path: Path) -> Shared:
    r"""A share, ``\\server\ci360\files``, on Windows."""
    return Shared(make_site("windows"), tmp_path / "share", r"\\server\ci360\files")


# What arrives


@EVERYWHERE
def test_files_are_read_where_they_lie(
    make_site: MakeSite, tmp_path: Path, platform: str, encoding: str, folder: str
) -> None:
    shared = Shared(make_site(platform, encoding), tmp_path / "CI 360 (new)", folder)
    data = 'id-1,12.5,"a, ""b"""\r\nid-2,,Grüße\n'.encode()
    payload = shared.put(metadata("id", ("n", "numeric"), "note"), data)
    before = {one: one.read_bytes() for one in (shared.real / ID).iterdir()}
    answer, run = shared.site.call(payload)
    assert (answer.status, answer.rows, answer.columns) == ("ok", 2, 3), answer
    assert answer.sha256 == hashlib.sha256(data).hexdigest()
    assert shared.site.table(answer.data_set) == {
        "id": ["id-1", "id-2"], "n": [12.5, None], "note": ['a, "b"', "Grüße"],
    }  # fmt: skip
    assert {one: one.read_bytes() for one in (shared.real / ID).iterdir()} == before
    assert (shared.site.store.seen, run.sleeps) == ([], [])


@EVERYWHERE
def test_the_paths_that_the_service_hands_over_are_taken(
    make_site: MakeSite,
    tmp_path: Path,
    settings: Settings,
    platform: str,
    encoding: str,
    folder: str,
) -> None:
    shared = Shared(make_site(platform, encoding), tmp_path / "files of tasks", folder)
    delivery_id = uuid.uuid4().hex
    payload = shared.put(PAIR, b"1,2\n", delivery_id)
    own = replace(settings, stageas="path", publicpath=shared.folder)
    answer, _ = shared.site.call(Staging(shared.real).handed_over(delivery_id, payload, own))
    assert (answer.status, answer.rows) == ("ok", 1), answer


def test_a_file_without_rows_is_a_dataset_without_rows(shared: Shared) -> None:
    answer, _ = shared.site.call(shared.put(PAIR, b""))
    assert (answer.status, answer.rows, answer.sha256) == ("ok", 0, EMPTY_SHA)


def test_the_older_metadata_and_marks_of_byte_order_are_read_by_path(windows: Shared) -> None:
    mark = b"\xef\xbb\xbf"
    answer, _ = windows.site.call(windows.put(mark + b"a,b\r\n", mark + b"1,\x1a2\r\n"))
    assert windows.site.table(answer.data_set) == {"a": ["1"], "b": ["\x1a2"]}


def test_bad_rows_and_compressed_files_are_found_by_path_too(shared: Shared) -> None:
    shared.refuses(shared.put(PAIR, b"1,2,3\n"), "bad_data", "has 3 values")
    shared.refuses(shared.put(PAIR, b"\x1f\x8b\x08", "other"), "bad_data", "is compressed")
    shared.refuses(shared.put(b"", b"1,2\n", "third"), "bad_data", "The metadata file is empty.")


def test_one_file_may_be_a_path_and_the_other_a_url(shared: Shared) -> None:
    payload = shared.put(PAIR, b"1,2\n")
    url = shared.site.bulk(PAIR, b"3,4\n")["presignedUrls"]["dataFile"]
    answer, _ = shared.site.call(shared.named(payload, shared.path("metadata"), url))
    assert shared.site.table(answer.data_set) == {"a": ["3"], "b": ["4"]}


def test_without_an_occurrence_the_path_tells_runs_apart(shared: Shared) -> None:
    names = set()
    for delivery in ("one", "two"):
        payload = shared.put(PAIR, b"1,2\n", delivery)
        del payload["task"]["occurrenceId"]
        names |= {shared.site.call(payload)[0].data_set for _ in range(2)}
    assert len(names) == 2


def test_a_path_may_be_as_long_as_windows_takes_it(windows: Shared) -> None:
    deep = r"\\server\ci360" + r"\a folder with a long name" * 6
    windows.site.shares[deep] = windows.real
    windows.site.configure(filefolder=deep)
    windows.put(PAIR, b"1,2\n", "x" * 64)
    paths = [f"{deep}\\{'x' * 64}\\{name}" for name in ("metadata", "data")]
    assert 200 < len(paths[0]) < 260
    answer, _ = windows.site.call(windows.named(windows.site.bulk(b"", b""), *paths))
    assert answer.status == "ok", answer


@pytest.mark.parametrize(
    "setting",
    ["\\\\server\\ci360\\files\\", "//server/ci360/files/", r"\\SERVER\Ci360\Files"],
)
def test_slashes_and_on_windows_the_case_of_letters_make_no_difference(
    windows: Shared, setting: str
) -> None:
    payload = windows.put(PAIR, b"1,2\n")
    windows.site.configure(filefolder=setting)
    for path in (r"\\server\ci360\files\{}\{}", "//Server/CI360/files/{}/{}", r"//server\ci360/files\{}/{}"):  # fmt: skip
        paths = [path.format(ID, name) for name in ("metadata", "data")]
        answer, _ = windows.site.call(windows.named(payload, *paths))
        assert answer.status == "ok", answer


def test_on_unix_the_case_of_letters_counts(shared: Shared) -> None:
    payload = shared.put(PAIR, b"1,2\n")
    other = shared.path("data").replace("CI 360", "ci 360")
    shared.refuses(
        shared.named(payload, shared.path("metadata"), other),
        "url_not_allowed", "The path of the data file does not begin with filefolder.",
    )  # fmt: skip


# What is not allowed


def test_no_path_is_allowed_as_shipped(site: Site, tmp_path: Path) -> None:
    (tmp_path / "id").mkdir()
    (tmp_path / "id" / "data").write_bytes(b"1,2\n")
    for path in (f"{tmp_path}/id/data", "/id/data", "//id/data", "\\\\s\\id\\data", "C:/id/data"):
        payload = Shared.named(site.bulk(PAIR, b"1,2\n"), site.url("occurrence-1-metadata"), path)
        answer, _ = site.call(payload)
        assert answer.code == "url_not_allowed"
        assert answer.message == (
            "The path of the data file is not allowed: filefolder in conf/config.sas is empty."
        )


OUTSIDE = "does not begin with filefolder"
ODD = "is not that of a file one folder below filefolder"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{folder}", ODD),
        ("{folder}/", ODD),
        ("{folder}/data", ODD),
        ("{folder}/id/", ODD),
        ("{folder}//id/data", ODD),
        ("{folder}/id//data", ODD),
        ("{folder}/id/data/", ODD),
        ("{folder}/id/sub/data", ODD),
        ("{folder}/../id/data", ODD),
        ("{folder}/../data", ODD),
        ("{folder}/./data", ODD),
        ("{folder}/id/..", ODD),
        ("{folder}/id/.", ODD),
        ("{folder}/id/../../id/data", ODD),
        ("{folder}\\..\\data", ODD),
        ("{folder}/id/a..b", ODD),
        ("{folder}/id/.part", ODD),
        ("{folder}/id/data.", ODD),
        ("{folder}/i.d/data", ODD),
        ("{folder}/id/da ta", ODD),
        ("{folder} /id/data", ODD),
        ("{folder}/ id/data", ODD),
        ("{folder}s/id/data", ODD),
        ("{folder}id/data", ODD),
        ("{folder}/id/data:stream", ODD),
        ("{folder}/id/*", ODD),
        ("{folder}/id/dat?", ODD),
        ("{folder}/i[d]/data", ODD),
        ("{folder}/~root/data", ODD),
        ("{folder}/$HOME/data", ODD),
        ("{folder}/id/däta", ODD),
        ("{folder}/" + "x" * 65 + "/data", ODD),
        ("{folder}/id/" + "x" * 130, ODD),
        ("{folder}/id/" + "x" * 9000, ODD),
        ("{folder}/id/d'ata", ODD),
        ('{folder}/id/data"', ODD),
        ('{folder}/id/data"); endsas; %put ("', ODD),
        ("{folder}/id/&cp_root", ODD),
        ("{folder}/id/%put", ODD),
        ("{folder}/id/%sysget(HOME)", ODD),
        ("{folder}/id/data;x", ODD),
        ("{folder}/id/data,temp", ODD),
        ("{folder}/id/da\nta", ODD),
        ("{folder}/id/data\n.", ODD),
        ("{folder}/id/data\n", ODD),
        ("{folder}/con/data", ODD),
        ("{folder}/id/NUL", ODD),
        ("{folder}/id/com1.txt", ODD),
        ("/etc/passwd", OUTSIDE),
        ("/", OUTSIDE),
        ("//", OUTSIDE),
        ("\\", OUTSIDE),
        ("C:\\Windows\\win.ini", OUTSIDE),
        ("c:/id/data", OUTSIDE),
        ("//elsewhere/share/id/data", OUTSIDE),
        ("\\\\?\\C:\\id\\data", OUTSIDE),
        ("\\\\.\\pipe\\data", OUTSIDE),
        ("/&cp_root/id/data", OUTSIDE),
        ("&cp_root/id/data", "does not begin with a scheme"),
        ("C:id/data", "does not begin with a scheme"),
        ("file:///shared/id/data", "does not begin with a scheme"),
        ("file:\\\\server\\id\\data", "holds a character"),
        ("id/data", "does not begin with a scheme"),
        ("../id/data", "does not begin with a scheme"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("platform", ["unix", "windows"])
def test_a_path_is_checked_before_it_is_used(
    make_site: MakeSite, tmp_path: Path, platform: str, path: str, words: str
) -> None:
    """Files lie wherever such a path could lead to, so that one that is let through is seen."""
    place = "{real}" if platform == "unix" else r"\\server\ci360\files"
    shared = Shared(make_site(platform), tmp_path / "files", place)
    payload = shared.put(PAIR, b"1,2\n", "id")
    for near in (tmp_path / "data", tmp_path / "filess" / "id" / "data", shared.real / "data"):
        near.parent.mkdir(parents=True, exist_ok=True)
        near.write_bytes(b"1,2\n")
    bad = path.replace("{folder}", shared.folder)
    for data, meta in ((bad, shared.path("metadata", "id")), (shared.path("data", "id"), bad)):
        answer, _ = shared.site.call(shared.named(payload, meta, data))
        assert (answer.status, answer.code) == ("error", "url_not_allowed"), answer
        assert words in answer.message
    assert shared.site.saved() == []


@pytest.mark.parametrize("beside", ["/id/data", "\\id\\data"])
def test_another_folder_with_the_same_beginning_is_not_the_folder(
    make_site: MakeSite, tmp_path: Path, beside: str
) -> None:
    site = make_site("windows")
    shared = Shared(site, tmp_path / "files", r"\\server\ci360\files")
    site.shares[r"\\server\ci360\files2"] = tmp_path / "files2"
    shared.refuses(
        shared.named(shared.put(PAIR, b""), shared.path("metadata"), shared.folder + "2" + beside),
        "url_not_allowed", ODD,
    )  # fmt: skip


def test_a_path_never_reaches_code_or_the_answer(windows: Shared) -> None:
    loud = {"mprint": True, "symbolgen": True, "mlogic": True, "source2": True}
    payload = windows.put(PAIR, b"1,Geheim\n")
    windows.site.secrets += ["Geheim"]
    answer, run = windows.site.call(payload, options=loud)
    assert answer.status == "ok"
    assert ID not in run.whole_log + run.webout.decode()


# What is not there


def test_a_file_that_is_not_there_is_told(shared: Shared) -> None:
    payload = shared.put(PAIR, b"1,2\n")
    (shared.real / ID / "data").unlink()
    shared.refuses(payload, "file_gone", "The data file is not in filefolder")
    (shared.real / ID / "metadata").unlink()
    (shared.real / ID).rmdir()
    shared.refuses(payload, "file_gone", "The metadata file is not in filefolder")


@pytest.mark.parametrize("folder", ["{real}", r"\\server\ci360\files"])
def test_a_share_that_is_away_may_come_back(
    make_site: MakeSite, tmp_path: Path, folder: str
) -> None:
    platform = "unix" if folder == "{real}" else "windows"
    shared = Shared(make_site(platform), tmp_path / "files", folder)
    payload = shared.put(PAIR, b"1,2\n")
    shared.real.rename(tmp_path / "away")
    shared.refuses(payload, "download_failed", "folder of the setting filefolder cannot be reached")
    (tmp_path / "away").rename(shared.real)
    assert shared.site.call(payload)[0].status == "ok"


def test_a_file_that_cannot_be_opened_is_told(shared: Shared) -> None:
    payload = shared.put(PAIR, b"1,2\n")
    (shared.real / ID / "data").unlink()
    (shared.real / ID / "data").mkdir()
    shared.refuses(payload, "download_failed", "The data file cannot be opened by the account")


# The setting


@pytest.mark.parametrize(
    ("platform", "setting"),
    [
        ("unix", "files"),
        ("unix", "/"),
        ("unix", "~/files"),
        ("unix", "D:/files"),
        ("unix", '"/shared/files"'),
        ("unix", "'/shared/files'"),
        ("unix", "/shared/fil*"),
        ("unix", "/shared/100%/files"),
        ("unix", "/" + "x" * 500),
        ("windows", "/shared/files"),
        ("windows", r"\shared\files"),
        ("windows", "D:files"),
        ("windows", "D:\\"),
        ("windows", r'"D:\files"'),
    ],
)
def test_a_folder_that_cannot_be_one_is_told_before_anything_is_read(
    make_site: MakeSite, platform: str, setting: str
) -> None:
    site = make_site(platform, filefolder=setting)
    answer, _ = site.call(site.bulk(PAIR, b"1,2\n"))
    assert (answer.code, answer.message) == (
        "settings", "The setting filefolder is no whole path or holds a quote or wildcard.",
    )  # fmt: skip
    assert site.store.seen == []


def test_the_folder_may_lie_below_that_of_the_programs(site: Site) -> None:
    site.configure(filefolder="&cp_root/files")
    (site.home / "files" / ID).mkdir(parents=True)
    for name, content in (("metadata", PAIR), ("data", b"1,2\n")):
        (site.home / "files" / ID / name).write_bytes(content)
    paths = [f"{site.home}/files/{ID}/{name}" for name in ("metadata", "data")]
    answer, _ = site.call(Shared.named(site.bulk(b"", b""), *paths))
    assert answer.status == "ok", answer


def test_an_event_does_not_mind_the_setting(shared: Shared) -> None:
    event = {"guid": "g-1", "eventType": "outboundSystem", "sendParameters": {"stpName": "Events"}}
    answer, _ = shared.site.call(event, "stpAppendRow")
    assert (answer.status, answer.rows) == ("ok", 1), answer
