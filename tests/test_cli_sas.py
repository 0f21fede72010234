"""The commands for the SAS side as an administrator types them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector_proxy.cli import cli
from connector_proxy.sascode import folder, site

WINDOWS = "C:\\SAS Stored Process"
FILES = sorted(folder.shipped())
PROGRAMS = [name for name, text in folder.shipped().items() if site.roots(text)]


def run(*arguments: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["sas", *map(str, arguments)], input=answer)


def export(target: Path, *more: str, answer: str = "") -> Result:
    return run("export", "--to", target, *more, answer=answer)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") >= 2, "there is an advice"
    return result.stderr


def edit(path: Path, old: str, new: str) -> None:
    raw = path.read_bytes()
    assert old.encode() in raw
    path.write_bytes(raw.replace(old.encode(), new.encode()))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An export as an administrator of a Windows server makes it."""
    target = tmp_path / "copy"
    done(export(target, "--root", WINDOWS))
    return target


# -- export ---------------------------------------------------------------------------------


def test_the_folder_is_complete(copy: Path) -> None:
    written = [p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file()]
    assert sorted(written) == FILES
    assert (copy / "logs").is_dir() and (copy / "output").is_dir()


def test_nothing_but_the_root_and_the_line_ends_is_changed(copy: Path) -> None:
    assert PROGRAMS
    for name, text in folder.shipped().items():
        raw = (copy / name).read_bytes()
        assert raw.count(b"\n") == raw.count(b"\r\n") == text.count("\n")
        assert raw.decode("ascii").replace("\r\n", "\n") == site.with_root(text, WINDOWS)
        assert raw.count(b"%let cp_root = C:\\SAS Stored Process;\r\n") == (name in PROGRAMS)


@pytest.mark.parametrize("root", ["\\\\server\\share\\CI 360", "d:/sas"])
def test_shares_and_slashes_are_of_windows_too(root: str, tmp_path: Path) -> None:
    done(export(tmp_path / "x", "--root", root))
    assert f"cp_root = {root};\r\n".encode() in (tmp_path / "x" / PROGRAMS[0]).read_bytes()


def test_without_a_root_it_is_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = done(run("export", "--to", "here/../there/"))
    raw = (tmp_path / "there" / PROGRAMS[0]).read_bytes()
    assert f"%let cp_root = {tmp_path / 'there'};".encode() in raw
    assert os.linesep.encode() in raw
    assert "Copy " not in output, "it lies where it is to lie"


@pytest.mark.parametrize(
    ("root", "encoding", "expected"),
    [
        ("C:\\Größe", None, b"C:\\Gr\xf6\xdfe"),
        ("C:\\Größe", "utf-8", "C:\\Größe".encode()),
        ("/srv/Größe", None, "/srv/Größe".encode()),
        ("/srv/Größe", "wlatin1", b"/srv/Gr\xf6\xdfe"),
        ("C:\\日本", "utf-8", "C:\\日本".encode()),
    ],
)
def test_the_root_is_written_in_the_encoding_of_sas(
    root: str, encoding: str | None, expected: bytes, tmp_path: Path
) -> None:
    done(export(tmp_path / "x", "--root", root, *(["--encoding", encoding] if encoding else [])))
    assert b"cp_root = " + expected + b";" in (tmp_path / "x" / PROGRAMS[0]).read_bytes()


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("stored_process", "is not absolute"),
        ("C:sas", "is not absolute"),
        ("C:\\a&b", "holds the character '&'"),
        ("/o'neill", 'holds the character "\'"'),
        ('/a"b', "holds the character '\"'"),
        ("/100%", "holds the character '%'"),
        ("/a;b", "holds the character ';'"),
        ("/a\nb", "holds the character '\\n'"),
        ("C:\\日本", "which the encoding wlatin1 lacks"),
    ],
)
def test_a_root_that_sas_code_cannot_hold_is_refused_and_nothing_is_written(
    root: str, words: str, tmp_path: Path
) -> None:
    assert words in refused(export(tmp_path / "x", "--root", root))
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_a_root_is_told(tmp_path: Path) -> None:
    words = refused(export(tmp_path / "a&b"))
    assert "holds the character '&'" in words and "--root" in words


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be used" in refused(export(tmp_path / "file" / "x", "--root", "/x"))
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "code").write_text("in the way")
    assert "cannot be used" in refused(export(tmp_path / "y", "--root", "/x"))


def test_the_shipped_folder_itself_is_left_alone() -> None:
    assert "it is what is shipped" in refused(export(folder.shipped_folder(), "--yes")).replace(
        str(folder.shipped_folder()), "it"
    )


def test_the_same_export_again_writes_nothing(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    output = done(export(copy, "--root", WINDOWS))
    assert output.count("same ") == len(FILES)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_without_a_root_the_one_of_the_copy_stays(copy: Path) -> None:
    assert done(export(copy)).count("same ") == len(FILES)


def test_settings_are_kept_whatever_is_said(copy: Path) -> None:
    config = copy / site.CONFIG
    edit(config, "%let debug = 0;", "%let debug = 1;")
    mine = config.read_bytes()
    for more in ([], ["--yes"], ["--root", "D:\\elsewhere", "--yes"]):
        assert re.search(r"^kept +\S+config\.sas$", done(export(copy, *more)), re.MULTILINE)
        assert config.read_bytes() == mine


def test_a_kept_configuration_is_told_what_is_new_in_this_release(copy: Path) -> None:
    config = copy / site.CONFIG
    shipped = site.settings(folder.shipped()[site.CONFIG])
    (gone, *_) = shipped.values()
    text = config.read_text(encoding="ascii")
    line = next(one for one in text.splitlines() if one.startswith(f"%let {gone.name} ="))
    config.write_text(text.replace(line, "%let oldsetting = 1;"), encoding="ascii")
    output = done(export(copy))
    assert "It lacks settings of this release; add these lines to it:" in output
    assert f"    %let {gone.name} = {gone.value};" in output
    assert gone.comment.splitlines()[0] in output
    assert "oldsetting is no setting any more; remove it" in output


def test_other_changes_are_replaced_after_a_question_only(copy: Path) -> None:
    changed, extra = copy / PROGRAMS[0], copy / "code" / "mine.sas"
    edit(changed, "not run on SAS", "run by me")
    extra.write_text("mine")
    mine = changed.read_bytes()
    for answer in ("n\n", "\n", ""):
        result = export(copy, answer=answer)
        assert result.exit_code == 1
        assert f"  {PROGRAMS[0]}\n" in result.output and "Replace them? [y/N]" in result.output
        assert changed.read_bytes() == mine
    assert "replaced " in done(export(copy, answer="y\n"))
    assert b"run by me" not in changed.read_bytes()
    assert extra.read_text() == "mine", "what is not ours is left alone"


def test_yes_replaces_without_asking(copy: Path) -> None:
    edit(copy / PROGRAMS[0], "not run on SAS", "run by me")
    output = done(export(copy, "--yes"))
    assert "Replace" not in output
    assert b"run by me" not in (copy / PROGRAMS[0]).read_bytes()


def test_the_steps_on_the_server_have_the_real_paths(tmp_path: Path) -> None:
    output = done(export(tmp_path / "x", "--root", WINDOWS))
    numbers = re.findall(r"^(\d+)\. ", output, re.MULTILINE)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    assert f"Copy {tmp_path / 'x'} to the SAS server, as {WINDOWS}" in output
    for words in (
        "SAS Management Console",
        f"{WINDOWS}\\conf\\config.sas",
        f"Source code repository: {WINDOWS}\\code    Source file: stpDownloadFile.sas",
        f"Source code repository: {WINDOWS}\\code    Source file: stpAppendRow.sas",
        "fileref instream",
        "Result capabilities: Stream",
    ):
        assert words in output
    assert "/opt/sas/code    Source file" in done(export(tmp_path / "y", "--root", "/opt/sas"))


# -- diff -----------------------------------------------------------------------------------


def test_an_export_differs_in_nothing(copy: Path) -> None:
    assert done(run("diff", copy)) == "".join(f"same      {name}\n" for name in FILES)


def test_line_ends_encoding_and_root_do_not_count(tmp_path: Path) -> None:
    for number, root in enumerate(("C:\\Größe", "/srv/Größe")):
        target = tmp_path / str(number)
        done(export(target, "--root", root, "--encoding", "wlatin1"))
        assert done(run("diff", target)).count("same ") == len(FILES)


def test_values_of_settings_are_shown_and_are_no_difference(copy: Path) -> None:
    edit(copy / site.CONFIG, "%let debug = 0;", "%let debug = 1;")
    output = done(run("diff", copy))
    assert "settings  conf/config.sas" in output
    assert "-%let debug = 0;\n+%let debug = 1;" in output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%let debug = 0;", ""),
        ("%let debug = 0;", "%let debug = 0;\r\n%let more = 1;"),
        ("%let debug = 0;", "%let debug = 0;\r\noptions mprint;"),
    ],
)
def test_another_setting_or_code_among_them_is_one(old: str, new: str, copy: Path) -> None:
    edit(copy / site.CONFIG, old, new)
    result = run("diff", copy)
    assert (result.exit_code, "changed   conf/config.sas" in result.output) == (1, True)


def test_changed_missing_and_extra_files_are_told(copy: Path) -> None:
    edit(copy / PROGRAMS[0], "not run on SAS", "run by me")
    (copy / "conf" / "jsonmap.map").unlink()
    (copy / "code" / "mine.sas").write_text("mine")
    (copy / "output" / "data.sas7bdat").write_bytes(b"\0")
    result = run("diff", copy)
    assert result.exit_code == 1
    assert f"changed   {PROGRAMS[0]}" in result.output
    assert "missing   conf/jsonmap.map" in result.output
    assert "extra     code/mine.sas" in result.output
    assert "sas7bdat" not in result.output
    assert f"--- shipped/{PROGRAMS[0]}\n+++ installed/{PROGRAMS[0]}\n@@ " in result.output
    assert re.search(r"^\+.*run by me", result.output, re.MULTILINE)


def test_a_missing_last_line_end_is_no_difference(copy: Path) -> None:
    path = copy / PROGRAMS[0]
    path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    assert done(run("diff", copy)).count("same ") == len(FILES)


# -- check ----------------------------------------------------------------------------------


def test_an_export_has_no_finding(copy: Path) -> None:
    assert done(run("check", copy)) == f"nothing was found in {len(FILES)} files\n"


def test_a_finding_is_told_with_file_line_and_what_to_do(copy: Path) -> None:
    edit(copy / site.CONFIG, "%let debug = 0;", "%let debgu = yes;")
    result = run("check", copy)
    assert result.exit_code == 1
    assert re.search(
        r"^conf/config\.sas:\d+: there is no setting debgu: did you mean debug\?$",
        result.output, re.MULTILINE,
    )  # fmt: skip
    assert "      Add the line: %let debug = 0;\n" in result.output
    assert result.output.endswith("2 found\n")


def test_the_advice_stands_once_behind_findings_that_have_the_same(copy: Path) -> None:
    for name in PROGRAMS:
        edit(copy / name, "%let cp_root", "\t%let cp_root")
    result = run("check", copy)
    assert result.exit_code == 1
    assert result.output.count("a control character ('\\t')") == len(PROGRAMS)


# -- both -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["diff", "check"])
def test_a_folder_without_a_copy_ends_with_2(command: str, tmp_path: Path) -> None:
    for place, words in ((tmp_path, "holds no copy"), (tmp_path / "none", "does not exist")):
        result = run(command, place)
        assert result.exit_code == 2
        assert words in result.output


@pytest.mark.parametrize("command", ["export", "diff", "check"])
def test_help_tells_what_the_command_does(command: str) -> None:
    assert "DIR" in done(run(command, "--help"))


def test_none_of_them_needs_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_PROXY_CONF", str(tmp_path / "none"))
    done(export(tmp_path / "x", "--root", "/x"))
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    done(run("diff", tmp_path / "y"))
