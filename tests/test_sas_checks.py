"""Every static check finds what it is for, and finds nothing in what is shipped.

Nothing here runs SAS code. A small installation without a fault is changed in one place at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.sascode import folder, lexer, site
from connector_proxy.sascode.checks import check
from connector_proxy.sascode.findings import Finding

MAIN = """/* A program. */
%let cp_root = C:/SAS;

%include "&cp_root/conf/config.sas";
%include "&cp_root/code/common.sas";

/* Statements. */
%macro cp_take(target, length=8);
  &target = substr(_infile_, 1, &length);
  if &target = ' ' then do;
    &target = 'none';
  end;
%mend cp_take;

%macro cp_work;
  filename cpdata temp;
  data work.cp_rows(keep=name day);
    length name $ 32 day 8;
    infile cpdata lrecl=32767 end=last;
    input;
    %cp_take(name, length=32)
    day = input(name, ?? yymmdd10.);
    format day e8601da10.;
    select (name);
      when ('a') output;
      otherwise do;
        n = 1.5;
      end;
    end;
    call symputx('cp_rows', _n_);
  run;
  proc copy in=work out=work memtype=data;
    select cp_rows;
  run;
  %if &cp_rows > 3 %then %do;
    %cp_fail(bad_data, More than 3 rows (they are &cp_rows).)
  %end;
%mend cp_work;

%macro cp_main;
  %local cp_code cp_rows;
  %let cp_code = 0;
  %let cp_rows = 0;
  %cp_stage(cp_work)
  %put NOTE: do what it says, &cp_code, %superq(filefolder), &debug, %superq(hosts);
%mend cp_main;

%cp_main
"""
COMMON = """/* What programs share. */
%macro cp_fail(code, message);
  %if &cp_code = 0 %then %let cp_code = &code;
  %put ERROR: &code &message;
%mend cp_fail;

%macro cp_stage(stage);
  %if &cp_code = 0 %then %do;
    %&stage
  %end;
%mend cp_stage;
"""
CONFIG = """/* Settings. */

/* 1 writes more to the log. */
%let debug = 0;

/* Hosts. */
%let hosts = .example.com;
%let filefolder = ;
"""
XML_MAP = """<?xml version="1.0" encoding="UTF-8"?>
<SXLEMAP name="stream" version="2.1">
  <TABLE name="InData">
    <TABLE-PATH syntax="XPath">/Table/InData</TABLE-PATH>
    <COLUMN name="taskName">
      <PATH syntax="XPath">/Table/InData/taskName</PATH>
      <TYPE>character</TYPE>
      <DATATYPE>string</DATATYPE>
      <LENGTH>512</LENGTH>
    </COLUMN>
    <COLUMN name="dataFile">
      <PATH syntax="XPath">/Table/InData/dataFile</PATH>
      <TYPE>character</TYPE>
      <DATATYPE>string</DATATYPE>
      <LENGTH>8192</LENGTH>
    </COLUMN>
  </TABLE>
</SXLEMAP>
"""
JSON_MAP = """{"DATASETS": [{"DSNAME": "columns", "TABLEPATH": "/root", "VARIABLES": [
  {"NAME": "columnName", "TYPE": "CHARACTER", "PATH": "/root/columnName", "LENGTH": 256}]}]}
"""
SAMPLE = {
    "README.md": "# What it is\n",
    "code/main.sas": MAIN,
    "code/common.sas": COMMON,
    "conf/config.sas": CONFIG,
    "conf/stream.map": XML_MAP,
    "conf/json.map": JSON_MAP,
}
WIDTHS = folder.widths()


def found(files: dict[str, str]) -> list[Finding]:
    return check(files, SAMPLE, WIDTHS)


def changed(file: str, old: str, new: str) -> dict[str, str]:
    assert SAMPLE[file].count(old) >= 1, old
    return {**SAMPLE, file: SAMPLE[file].replace(old, new, 1)}


def messages(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{one.file}:{one.line}: {one.message}" for one in findings)


def test_the_files_that_are_shipped_have_no_finding() -> None:
    shipped = folder.shipped()
    assert messages(check(shipped, shipped, WIDTHS)) == ""


def test_the_sample_has_no_finding() -> None:
    assert messages(found(SAMPLE)) == ""


CODE = "code/main.sas"
SHARED = "code/common.sas"
SETTINGS = "conf/config.sas"
STREAM = "conf/stream.map"
JSON = "conf/json.map"
FAULTS = [
    # characters and lines
    (CODE, "/* A program. */", "/* Ein Gerät. */", "1: 'ä' is not ASCII"),
    (CODE, "/* A program. */", "/* A\tprogram. */", r"1: a control character ('\t')"),
    (CODE, "/* A program. */", "/* A\rprogram. */", r"1: a control character ('\r')"),
    (CODE, "/* A program. */", "\ufeff/* A program. */", "1: the file begins with a byte order mark"),
    (CODE, "/* A program. */", f"/* {'x' * 95} */", "1: the line has 101 characters, more than 100"),
    (CODE, "/* A program. */", "/* A program. */ ", "1: the line ends with a blank"),
    (CODE, "%cp_main\n", "%cp_main", "the last line has no line end"),
    (SETTINGS, "/* Hosts. */", "/* Größe. */", "6: 'ö' is not ASCII"),
    ("README.md", "# What", "#" + "x" * 120, "1: the line has 127 characters, more than 120"),
    # what is never closed
    (CODE, "/* Statements. */", "/* Statements.", "7: the comment that opens in this line is never closed"),
    (CODE, "/* A program. */", "/* A program.", "1: the comment that opens in this line goes on over another one"),
    (CODE, "    &target = 'none';", "    &target = 'none;", "11: the quote ' that opens in this line is never closed"),
    (CODE, '"&cp_root/code/common.sas"', '"&cp_root/code/common.sas', '5: the quote " that opens'),
    (CODE, "(they are &cp_rows)", "(that isn't allowed)", "36: the quote ' that opens"),
    (SETTINGS, "/* Hosts. */", "/* Hosts.", "6: the comment that opens in this line is never closed"),
    # macros and calls
    (CODE, "%mend cp_take;", "%mend cp_tak;", "13: this %mend does not name cp_take"),
    (CODE, "%mend cp_take;\n", "", "8: macro cp_take is not closed by a %mend"),
    (CODE, "%macro cp_main;", "", "%mend closes no macro"),
    (SHARED, "%macro cp_stage(stage);", "%macro cp_fail(code, message);\n%mend cp_fail;\n%macro cp_stage(stage);", "macro cp_fail is defined again"),
    (SHARED, "%macro cp_stage(stage);", f"%macro {'x' * 33};\n%mend {'x' * 33};\n%macro cp_stage(stage);", "is longer than 32 characters"),
    (SHARED, "%macro cp_stage(stage);", "%macro cp_idle;\n%mend cp_idle;\n%macro cp_stage(stage);", "7: macro cp_idle is called nowhere"),
    (CODE, "    %cp_take(name, length=32)", "    %cp_tkae(name)", "21: %cp_tkae is no macro of these files"),
    (CODE, "    %cp_take(name, length=32)", "    %cp_take(name, 32)", "21: %cp_take takes 1 arguments and is given 2"),
    (CODE, "    %cp_take(name, length=32)", "    %cp_take", "21: %cp_take takes 1 arguments and is given 0"),
    (CODE, "More than 3 rows", "More, than 3 rows", "36: %cp_fail takes 2 arguments and is given 3"),
    (CODE, "%cp_stage(cp_work)", "%cp_stage(cp_wrok)", "44: %cp_stage is to call the macro cp_wrok, which is not there"),
    (CODE, "%cp_stage(cp_work)", "%cp_stage()", "44: %cp_stage takes 1 arguments"),
    (CODE, "  %let cp_rows = 0;", "  %sysexec ls;", "43: SYSEXEC starts a program"),
    (CODE, "  %let cp_rows = 0;", "  %stpbegin;", "43: STPBEGIN writes ODS output"),
    # macro variables
    (CODE, "  %let cp_rows = 0;", "  %let cp_rwos = 0;", "43: cp_rwos is given a value and declared in no macro"),
    (CODE, "symputx('cp_rows'", "symputx('cp_rwos'", "30: cp_rwos is given a value and declared in no macro"),
    (CODE, "%local cp_code cp_rows;", "%local cp_code;", "43: cp_rows is given a value and declared"),
    (CODE, "%if &cp_rows > 3", "%if &cp_rwos > 3", "35: nothing gives &cp_rwos a value"),
    (CODE, "%superq(hosts)", "%superq(hostss)", "45: nothing gives &hostss a value"),
    (CODE, '%include "&cp_root/conf', '%include "&cp_roott/conf', "4: nothing gives &cp_roott a value"),
    # blocks, brackets, steps, semicolons
    (CODE, "    &target = 'none';\n  end;", "    &target = 'none';", "10: DO in macro cp_take is not closed by END"),
    (CODE, "  if &target = ' ' then do;", "  if &target = ' ' then;", "12: END in macro cp_take closes nothing"),
    (CODE, "    select (name);\n", "", "END in macro cp_work closes nothing"),
    (CODE, "  %end;\n%mend cp_work;", "%mend cp_work;", "35: %DO in macro cp_work is not closed by %END"),
    (CODE, "%then %do;", "%then", "37: %END in macro cp_work closes nothing"),
    (CODE, "%if &cp_rows > 3 %then", "%if &cp_rows > 3", "35: %IF without %THEN"),
    (CODE, "%if &cp_rows > 3 %then", "%if &cp_rows > 3 %then %if 1", "35: %IF without %THEN"),
    (CODE, "if &target = ' ' then do;", "if &target = ' ' do;", "10: IF without THEN"),
    (SHARED, "%macro cp_stage(stage);", "%macro cp_stage(stage;", "7: the brackets of macro cp_stage do not match"),
    (CODE, "substr(_infile_, 1, &length)", "substr(_infile_, 1, &length", "9: ( in macro cp_take is never closed"),
    (CODE, "substr(_infile_, 1, &length)", "substr(_infile_, 1, &length))", "9: ) in macro cp_take closes nothing"),
    (CODE, "substr(_infile_, 1, &length)", "substr(_infile_, 1, &length}", "9: } in macro cp_take closes nothing"),
    (CODE, "_n_);\n  run;", "_n_);", "17: the step that begins here in macro cp_work is not ended"),
    (CODE, "    select cp_rows;\n  run;", "    select cp_rows;", "32: the step that begins here in macro cp_work is not ended"),
    (CODE, "_n_);\n  run;", "_n_)\n  run;", "31: a semicolon is missing before run"),
    (CODE, "  filename cpdata temp;", "  run;", "16: run in macro cp_work ends no step"),
    (CODE, "  %let cp_code = 0;", "  %let cp_code = 0", "43: a semicolon is missing before %let"),
    (CODE, "&debug, %superq(hosts);", "&debug, %superq(hosts)\n  %if 1 %then %let cp_rows = 1;", "46: a semicolon is missing before %if"),
    (CODE, "  filename cpdata temp;", "  * it is a comment;", "16: a comment with * is broken by an apostrophe"),
    (CODE, "  filename cpdata temp;", "  %* it is a comment;", "16: a comment with * is broken by an apostrophe"),
    # what must not be there
    (CODE, "    n = 1.5;", "    n = 1.5; abort;", "ABORT ends the server process"),
    (CODE, "%cp_main\n", "%cp_main\nendsas;\n", "49: ENDSAS ends the server process"),
    (CODE, "  %let cp_rows = 0;", "  %abort cancel;", "43: ABORT ends the server process"),
    (CODE, "  proc copy in=work out=work memtype=data;", "  proc sql;", "32: PROC SQL is none of those that can be checked"),
    (CODE, "  proc copy in=work out=work memtype=data;", "  proc import datafile='x' out=y;", "32: PROC IMPORT is none of those"),
    (CODE, "    input;\n", "    declare hash h();\n", "20: DECLARE HASH is outside of what can be checked"),
    (CODE, "    input;\n", "    rc = dosubl('x');\n", "20: DOSUBL runs code where no check sees it"),
    (CODE, "    input;\n", "    call execute('x');\n", "20: EXECUTE runs code where no check sees it"),
    (CODE, "    input;\n", "    call system('x');\n", "20: CALL SYSTEM starts a program"),
    (CODE, "    input;\n", "    rc = dlgcdir('x');\n", "20: DLGCDIR changes the folder"),
    (CODE, "    input;\n", "    putlog name;\n", "20: PUTLOG may bring customer data into the log"),
    (CODE, "    input;\n", "    put _all_;\n", "20: PUT _ALL_ brings customer data into the log"),
    (CODE, "    input;\n", "    put _infile_;\n", "20: PUT _INFILE_ brings customer data"),
    (CODE, "call symputx(", "call symput(", "30: CALL SYMPUT keeps blanks"),
    (CODE, "  filename cpdata temp;", "  x 'ls';", "16: X starts a program"),
    (CODE, "  filename cpdata temp;", "  filename cpdata pipe 'ls';", "16: FILENAME PIPE starts a program"),
    (CODE, "  filename cpdata temp;", "  libname cpreq xmlv2 automap=replace;", "16: AUTOMAP rewrites the shared map"),
    # formats and names
    (CODE, "?? yymmdd10.", "?? yymmdd40.", "22: yymmdd40. has the width 40; SAS allows 6 to 32 for this informat"),
    (CODE, "?? yymmdd10.", "?? yymmdd4.", "22: yymmdd4. has the width 4"),
    (CODE, "?? yymmdd10.", "?? 33.", "22: 33. has the width 33; SAS allows 1 to 32"),
    (CODE, "?? yymmdd10.", "?? yymmmdd10.", "22: yymmmdd10. is no informat of SAS"),
    (CODE, "?? yymmdd10.", "?? best12x.", "is no informat of SAS"),
    (CODE, "e8601da10.", "e8601da11.", "23: e8601da11. has the width 11; SAS allows 10 to 10 for this format"),
    (CODE, "e8601da10.", "yymmddq10.", "23: yymmddq10. is no format of SAS"),
    (CODE, "    input;\n", "    input name $char32768.;\n", "20: $char32768. has the width 32768"),
    (CODE, "    input;\n", "    put name $hex0.;\n", "20: $hex0. has the width 0"),
    (CODE, "%superq(hosts);", "1;\n  %let cp_rows = %sysfunc(datetime(), b8601dt99.);", "46: b8601dt99. has the width 99"),
    (CODE, "  filename cpdata temp;", "  filename cpdatafile temp;", "16: cpdatafile is longer than 8 characters"),
    # maps
    (STREAM, "</SXLEMAP>", "", "the map is not well-formed XML"),
    (STREAM, 'version="2.1"', 'version="1.2"', "the map is no SXLEMAP of version 2.1"),
    (STREAM, "/Table/InData</TABLE-PATH>", "</TABLE-PATH>", "the table InData has no TABLE-PATH"),
    (STREAM, "/Table/InData/taskName", "/Table/taskName", "the column taskName has the path /Table/taskName, which is not below"),
    (STREAM, "<TYPE>character", "<TYPE>numeric", "the column taskName is not character and string"),
    (JSON, '"DSNAME": "columns"', '"DSNAME": "the columns"', "'the columns' is no name that SAS can hold"),
    (STREAM, "</TABLE>", "<COLUMN name='n'><PATH>/Table/InData/n</PATH><TYPE>numeric</TYPE><DATATYPE>string</DATATYPE></COLUMN></TABLE>", "the column n is numeric and string"),
    (STREAM, "<TABLE name", "<TABLES name", "the map is not well-formed XML"),
    (STREAM, "<LENGTH>512", "<LENGTH>32768", "the column taskName has the length 32768; it goes from 1 to 32767"),
    (STREAM, "<LENGTH>512", "<LENGTH>511", "the column taskName has the length 511 and needs 512"),
    (STREAM, "<LENGTH>8192", "<LENGTH>2000", "the column dataFile has the length 2000 and needs 8192"),
    (STREAM, "<LENGTH>8192</LENGTH>", "", "the column dataFile has the length (none)"),
    (STREAM, '<COLUMN name="dataFile">', '<COLUMN name="TaskName">', "the column taskname stands there twice"),
    (STREAM, '<COLUMN name="dataFile">', '<COLUMN name="data file">', "'data file' is no name that SAS can hold"),
    (JSON, "]}]}", "]}", "the map is no JSON map"),
    (JSON, '"VARIABLES"', '"COLUMNS"', "the map is no JSON map"),
    (JSON, "/root/columnName", "/columnName", "the column columnName has the path /columnName, which is not below /root"),
    (JSON, '"LENGTH": 256', '"LENGTH": 32', "the column columnName has the length 32 and needs 256"),
    (JSON, ', "LENGTH": 256', "", "the column columnName has the length (none)"),
    # the installation
    (CODE, "%let cp_root = C:/SAS;", "%let cp_root = SAS;", "2: the root folder is not absolute"),
    (CODE, "%let cp_root = C:/SAS;", "%let cp_root = C:/S&S;", "2: the root folder holds the character '&'"),
    (CODE, "%let cp_root = C:/SAS;", "%let cp_rott = C:/SAS;", "0: 0 lines begin with %let cp_root = instead of 1"),
    (CODE, "%let cp_root = C:/SAS;", "%let cp_root = C:/SAS;\n%let cp_root = D:/SAS;", "the programs name different root folders: C:/SAS, D:/SAS"),
    (CODE, "code/common.sas", "code/commons.sas", "5: %include of code/commons.sas, which is missing"),
    (SETTINGS, "%let debug = 0;", "%let debgu = 0;", "4: there is no setting debgu: did you mean debug?"),
    (SETTINGS, "%let debug = 0;", "%let colour = 0;", "4: there is no setting colour: remove the line"),
    (SETTINGS, "%let debug = 0;", "", "0: the setting debug is missing"),
    (SETTINGS, "%let debug = 0;", "%let debug = yes;", "4: debug is yes; it is a whole number"),
    (SETTINGS, "%let debug = 0;", "%let debug = ;", "4: debug is empty; it is a whole number"),
    (SETTINGS, "%let debug = 0;", "%let debug = 0;\noptions mprint;", "5: something else than a setting stands here"),
    (SETTINGS, "filefolder = ;", "filefolder = files;", "8: filefolder is not absolute"),
    (SETTINGS, "filefolder = ;", 'filefolder = "D:/files";', "8: filefolder holds the character '\"'"),
    (SETTINGS, "filefolder = ;", "filefolder = &cp_root_files;", "8: filefolder holds the character '&'"),
    (SETTINGS, "%let debug = 0;", "%let debug = 0", "7: a semicolon is missing before %let"),
    (CODE, ", &debug,", ",", "4: no program uses the setting debug"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "words"), FAULTS)
def test_a_fault_is_found(file: str, old: str, new: str, words: str) -> None:
    findings = found(changed(file, old, new))
    assert words in messages(findings)
    assert all(one.advice for one in findings)


@pytest.mark.parametrize("file", [name for name in SAMPLE if name != "README.md"])
def test_a_file_that_is_missing_is_found(file: str) -> None:
    files = {name: text for name, text in SAMPLE.items() if name != file}
    assert f"{file}:0: the file is missing" in messages(found(files))


HARMLESS = [
    (CODE, "%let cp_root = C:/SAS;", "%let cp_root = D:\\Größe\\" + "x" * 120 + ";"),
    (SETTINGS, ".example.com;", ".example.com .größe.example " + "x" * 120 + ";"),
    (SETTINGS, "%let debug = 0;", "%let debug = 1;"),
    (SETTINGS, "filefolder = ;", r"filefolder = \\server\the share\files;"),
    (SETTINGS, "filefolder = ;", "filefolder = D:/ci360/files;"),
    (SETTINGS, "filefolder = ;", "filefolder = &cp_root/files;"),
    (SETTINGS, "filefolder = ;", "filefolder = &cp_root;"),
    (SETTINGS, "/* Hosts. */", "/* Hosts, as ordered on Monday. */"),
    (SETTINGS, "/* Hosts. */", ""),
    (CODE, "    n = 1.5;", "    n = 100.5 + x(1, 40.25);"),
    (CODE, "    n = 1.5;", "    do n = 1 to 3;\n    end;"),
    (CODE, "    n = 1.5;", "    end = 1;\n    run = 2;"),
    (CODE, "?? yymmdd10.", "?? 32."),
    (
        STREAM,
        "</TABLE>",
        "<COLUMN name='n'><PATH>/Table/InData/n</PATH><TYPE>numeric</TYPE>\n<DATATYPE>integer</DATATYPE></COLUMN></TABLE>",
    ),
    (CODE, "e8601da10.", "yymmddn8."),
    (CODE, "  filename cpdata temp;", "  %cp_take(target=name)"),
]


@pytest.mark.parametrize(("file", "old", "new"), HARMLESS)
def test_what_is_allowed_is_no_finding(file: str, old: str, new: str) -> None:
    assert messages(found(changed(file, old, new))) == ""


def test_two_programs_with_different_roots_are_found() -> None:
    files = {**SAMPLE, "code/second.sas": MAIN.replace("C:/SAS", "D:/SAS")}
    shipped = {**SAMPLE, "code/second.sas": MAIN}
    assert "code:0: the programs name different root folders: C:/SAS, D:/SAS" in messages(
        check(files, shipped, WIDTHS)
    )


def test_a_program_that_shares_a_part_of_the_macros_is_judged_by_that_part() -> None:
    """It sets up what it calls; what it does not call may need more."""
    second = """%let cp_root = C:/SAS;
%include "&cp_root/code/common.sas";
%macro second;
  %local cp_code;
  %cp_fail(x, y)
%mend second;
%second
"""
    files = {**SAMPLE, "code/second.sas": second}
    assert messages(check(files, files, WIDTHS)) == ""
    broken = {**files, "code/second.sas": second.replace("  %local cp_code;\n", "")}
    assert "code/common.sas:3: cp_code is given a value and declared in no macro" in messages(
        check(broken, files, WIDTHS)
    )


def test_a_program_with_an_open_quote_is_looked_at_no_further() -> None:
    findings = found(changed(CODE, "'none'", "'none"))
    assert [one.line for one in findings if one.file == CODE] == [11]


@given(st.text("ab'\"/*%&;(){}= \n\t.$1é,", max_size=80), st.sampled_from(sorted(SAMPLE)))
def test_no_text_whatever_raises(text: str, file: str) -> None:
    assert isinstance(found({**SAMPLE, file: text}), list)


@given(st.data())
def test_a_program_that_lost_a_piece_raises_nothing(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([CODE, SHARED, SETTINGS, STREAM, JSON]))
    pieces = [token.text for token in lexer.tokens(SAMPLE[file])]
    del pieces[data.draw(st.integers(0, len(pieces) - 1))]
    assert isinstance(found({**SAMPLE, file: "".join(pieces)}), list)


def test_the_widths_cover_what_the_types_of_ci_360_need() -> None:
    for name in ("e8601da", "e8601dt", "e8601dz", "", "$char", "$varying"):
        assert name in WIDTHS["informat"] and name in WIDTHS["format"]


def test_the_settings_that_are_shipped_are_explained_one_by_one() -> None:
    settings = site.settings(folder.shipped()[site.CONFIG])
    assert len(settings) > 5
    assert all(setting.comment for setting in settings.values())


_OPENED_OR_CLOSED = {"(", ")", "%do", "%end", "do", "end", "run", "%then", "%mend", "%macro", "*/"}


def left_out(text: str) -> Iterable[tuple[int, str]]:
    """Copies of a program that each lost one thing that opens or closes another, with its line."""
    tokens = lexer.tokens(text)
    for at, token in enumerate(tokens):
        shorter = token.text.rstrip("xX")[:-1] if token.kind == "string" else token.text[:-2]
        if token.low in _OPENED_OR_CLOSED or token.kind in ("string", "comment"):
            kept = shorter if token.kind in ("string", "comment") else ""
            pieces = [*(t.text for t in tokens[:at]), kept, *(t.text for t in tokens[at + 1 :])]
            yield token.line, "".join(pieces)


@pytest.mark.parametrize("name", [name for name in folder.shipped() if name.startswith("code/")])
def test_whatever_is_left_out_of_a_shipped_program_is_found(name: str) -> None:
    """One of sixty places, since all of them would take minutes."""
    shipped = folder.shipped()
    for line, text in list(left_out(shipped[name]))[::60]:
        assert check({**shipped, name: text}, shipped, WIDTHS), line
