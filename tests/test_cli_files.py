"""The commands that make, list and show datasets."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from connector_proxy.cli import cli
from connector_proxy.dataset import shelf
from connector_proxy.progress import Progress
from tests.conftest import PAYLOADS
from tests.filestore import FileStore, asked, s3

METADATA = PAYLOADS / "metadata_array.json"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.fixture
def output(conf: Path) -> Path:
    """Where the configuration puts datasets; the hard file is there already."""
    result = run("convert", "--conf", conf, PAYLOADS / "data_hard.csv", METADATA)
    assert result.exit_code == 0, result.output
    return conf.parent / "output"


def test_convert_writes_what_the_configuration_says_and_tells_it(conf: Path, output: Path) -> None:
    assert pyarrow.parquet.read_metadata(output / "data_hard.parquet").num_rows == 3
    again = run("convert", "--conf", conf, PAYLOADS / "data_hard.csv", METADATA)
    assert "3 rows of 8 columns, 0 rows rejected" in again.output
    assert f"parquet: {output / 'data_hard.parquet'}" in again.output


def test_convert_writes_several_forms_under_another_name_elsewhere(
    conf: Path, tmp_path: Path
) -> None:
    place = tmp_path / "else where"
    forms = [word for form in ("csv", "xpt", "duckdb") for word in ("--format", form)]
    result = run(
        "convert", "--conf", conf, *forms, "--bom", "--to", place, "--name", "Spring", PAYLOADS / "data_hard.csv", METADATA
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert {path.name for path in place.glob("[!.]*")} == {
        "Spring.csv",
        "Spring.xpt",
        "Spring.json",
        "datasets.duckdb",
    }
    assert (place / "Spring.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert "duckdb: table spring in" in result.output


def test_convert_says_why_a_file_is_refused_and_rejects_rows_when_told(conf: Path) -> None:
    refused = run("convert", "--conf", conf, PAYLOADS / "data_bad_rows.csv", METADATA)
    assert refused.exit_code == 1
    assert "error: Line 2 of the data file has 4 values" in refused.output
    result = run(
        "convert",
        "--conf",
        conf,
        "--on-bad-row",
        "reject",
        PAYLOADS / "data_bad_rows.csv",
        METADATA,
    )
    assert "2 rows of 8 columns, 4 rows rejected" in result.output


def test_convert_tells_when_a_column_is_not_what_its_metadata_says(
    conf: Path, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text("1234567890123456\n")
    (tmp_path / "m").write_text('[{"columnName": "id", "dataType": "numeric"}]')
    result = run("convert", "--conf", conf, tmp_path / "d.csv", tmp_path / "m")
    assert "column id is character: a number has more than 15 digits" in result.output


def test_convert_does_not_write_over_the_files_it_reads(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("1\n")
    (tmp_path / "m.json").write_text('[{"columnName": "id"}]')
    for name in ("d", "m"):
        result = run(
            "convert",
            "--conf",
            conf,
            tmp_path / "d.csv",
            tmp_path / "m.json",
            "--to",
            tmp_path,
            "--name",
            name,
            "--format",
            "csv",
        )
        assert result.exit_code == 1
        assert "could be overwritten" in result.output
    assert (tmp_path / "d.csv").read_text() == "1\n"


def test_convert_into_a_table_needs_a_database(conf: Path) -> None:
    result = run(
        "convert", "--conf", conf, "--format", "table", PAYLOADS / "data_hard.csv", METADATA
    )
    assert result.exit_code == 1
    assert "Set datasettable." in result.output


def test_convert_into_a_place_that_is_a_file_says_so(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(
        "convert",
        "--conf",
        conf,
        "--to",
        tmp_path / "file" / "x",
        PAYLOADS / "data_hard.csv",
        METADATA,
    )
    assert result.exit_code == 1
    assert "Traceback" not in result.output and "cannot be written" in result.output


def test_datasets_are_listed_shown_and_their_first_rows_printed(conf: Path, output: Path) -> None:
    assert "3 rows  data_hard  (parquet)" in run("datasets", "list", "--conf", conf).output
    shown = run("datasets", "show", "--conf", conf, "data_h").output
    assert "rows: 3" in shown and "  date       birth_dt" in shown
    head = run("datasets", "head", "--conf", conf, "--rows", "1", "data_hard").output.splitlines()
    assert len(head) == 2
    assert head[1].startswith(
        '2d43e717-1209-313a-b5e0-5d4c63ffffbb | 007 | Doe, "Jane" | 12.5 | 1990-02-28'
    )
    as_json = json.loads(run("datasets", "list", "--conf", conf, "--json").output)
    assert as_json[0] == json.loads(
        run("datasets", "show", "--conf", conf, "--json", "data_hard").output
    )


def test_a_name_that_fits_none_or_two_is_told(conf: Path, output: Path) -> None:
    run("convert", "--conf", conf, PAYLOADS / "data_hard.csv", METADATA, "--name", "data_soft")
    assert "There is no dataset with" in run("datasets", "show", "--conf", conf, "x").output
    assert "There are 2 datasets with" in run("datasets", "show", "--conf", conf, "data").output


def test_other_json_files_are_no_datasets(conf: Path, output: Path) -> None:
    (output / "other.json").write_text('{"a": 1}')
    (output / "broken.json").write_text("{")
    (output / "foreign.json").write_text('{"dataset": "theirs", "files": 3}')
    assert len(json.loads(run("datasets", "list", "--conf", conf, "--json").output)) == 1


def test_control_characters_of_a_value_reach_no_terminal(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("\x1b[2J\x1b]0;x\x07\n")
    (tmp_path / "m").write_text('[{"columnName": "a"}]')
    run("convert", "--conf", conf, tmp_path / "d.csv", tmp_path / "m")
    shown = run("datasets", "head", "--conf", conf, "d").output
    assert shown.splitlines() == ["a", r"\x1b[2J\x1b]0;x\x07"]


def test_datasets_are_removed_by_age_with_all_their_files(output: Path) -> None:
    (output / "mine.csv").write_text("not a dataset")
    now = datetime.now(UTC)
    assert shelf.remove_older(output, now - timedelta(days=1)) == 0
    assert shelf.remove_older(output, now + timedelta(days=1)) == 1
    assert [path.name for path in output.iterdir()] == ["mine.csv"]


def test_a_manifest_that_names_files_elsewhere_removes_nothing_there(
    output: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("x")
    manifest = {
        "dataset": "bad",
        "madeBy": "connector-proxy 1",
        "finishedAt": "2020-01-01T00:00:00+00:00",
        "files": [{"name": "../../precious"}, {"name": str(tmp_path / "precious")}],
    }
    (output / "bad.json").write_text(json.dumps(manifest))
    assert shelf.remove_older(output, datetime.now(UTC) - timedelta(days=1)) == 1
    assert (tmp_path / "precious").exists()


def test_progress_tells_part_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.tell("download", 20_000_000, 100_000_000)
    progress._since -= 2.0
    line = progress.line(40_000_000, 100_000_000)
    assert line == "download    [########            ]  40%  40 MB  10 MB/s  6 s left"
    assert progress.line(40_000_000, None) == "download    40 MB  10 MB/s"
    progress.end()
    assert capsys.readouterr().err == "", "nothing where there is no terminal"


@pytest.fixture
def open_hosts(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_PROXY_DOWNLOADHOSTS", f"http://127.0.0.1:{store.port}")
    monkeypatch.setenv("CONNECTOR_PROXY_GETTRIES", "1")


@pytest.mark.usefixtures("open_hosts")
def test_fetch_makes_a_dataset_of_two_urls_and_says_what_it_did(
    conf: Path, store: FileStore
) -> None:
    urls = store.urls(b"a,b", b"1,2\n3,4\n")
    result = run(
        "fetch", "--conf", conf, urls["dataFile"], urls["metadataFile"], "--name", "Spring"
    )
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(b"1,2\n3,4\n").hexdigest()
    assert f"SHA-256 of the data file: {digest}" in result.output
    assert "downloaded 8 bytes" in result.output
    assert "2 rows of 2 columns" in result.output
    output = conf.parent / "output"
    assert {path.name for path in output.iterdir()} == {"Spring.parquet", "Spring.json"}


@pytest.mark.usefixtures("open_hosts")
def test_fetch_goes_on_where_the_same_command_was_cut(conf: Path, store: FileStore) -> None:
    body = b"1,2\n" * 500_000
    urls = store.urls(b"a,b", body)
    store.answers["data"] = s3(body, cut=1_500_000)
    command = ("fetch", "--conf", conf, urls["dataFile"], urls["metadataFile"])
    failed = run(*command)
    assert failed.exit_code == 1
    assert "could not be downloaded to its end" in failed.output
    assert "The same command goes on where it was" in failed.output
    assert "Signature" not in failed.output
    store.answers["data"] = s3(body)
    again = run(*command)
    assert again.exit_code == 0, again.output
    assert "500,000 rows" in again.output
    assert asked(store.seen[-1]) == 1_500_000
    assert sum("/metadata" in one.path for one in store.seen) == 1
    assert not list((conf.parent / "output").glob(".part-*"))


def test_fetch_calls_no_host_that_is_not_allowed(conf: Path, store: FileStore) -> None:
    urls = store.urls(b"a,b", b"1,2\n")
    result = run("fetch", "--conf", conf, urls["dataFile"], urls["metadataFile"])
    assert result.exit_code == 1
    assert "downloadhosts" in result.output
    assert store.seen == []
