"""The bundled SAS code: what can be known without SAS.

Static checks over the shipped files, and the contract between the stream that the proxy writes
and the map that SAS reads it with. Nothing here runs SAS code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from lxml import etree

from connector_proxy.destinations.embedded import result_document
from connector_proxy.intake import parse
from connector_proxy.stream import encode

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "stored_process"
DATA = Path(__file__).resolve().parent / "data"
PROGRAM = SHIPPED / "code" / "stpDownloadFile.sas"
CONFIG = SHIPPED / "conf" / "config.sas"
XML_MAP = SHIPPED / "conf" / "inpxmlmap.map"
JSON_MAP = SHIPPED / "conf" / "jsonmap.map"
TEXT_FILES = (PROGRAM, CONFIG, XML_MAP, JSON_MAP, SHIPPED / "README.md")
SAS_FILES = (PROGRAM, CONFIG)

WIDTHS = json.loads((DATA / "sas-widths.json").read_text(encoding="utf-8"))

# fmt: off
MACRO_LANGUAGE = {
    "macro", "mend", "do", "end", "to", "if", "then", "else", "let", "local", "put", "length",
    "scan", "superq", "symdel", "symexist", "sysfunc", "include",
}
BANNED = {
    "endsas", "abort", "sql", "import", "ds2", "lua", "hash", "hiter", "dosubl", "stpbegin",
    "stpend", "x", "automap", "dlgcdir",
}
# fmt: on


class Token(NamedTuple):
    kind: str
    text: str
    line: int


_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/)
      | (?P<string>'(?:[^']|'')*'[a-z]{0,2}|"(?:[^"]|"")*"[a-z]{0,2})
      | (?P<open>/\*|'|")
      | (?P<macro>%\w+)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<space>\s+)
      | (?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)


def tokens(source: str) -> list[Token]:
    """The tokens of SAS source. A string may hold line breaks for SAS; here it may not, since
    a quote that is never closed looks exactly like that."""
    found = []
    for match in _TOKEN.finditer(source):
        kind, text = str(match.lastgroup), match[0]
        line = source.count("\n", 0, match.start()) + 1
        assert kind != "open", f"line {line}: {text} is never closed"
        assert kind != "string" or "\n" not in text, f"line {line}: a string goes on"
        found.append(Token(kind, text, line))
    return found


def code(source: str) -> list[Token]:
    """The tokens that SAS acts on."""
    return [token for token in tokens(source) if token.kind not in ("comment", "space")]


def words(source: str) -> list[str]:
    return [token.text.lower() for token in code(source) if token.kind in ("word", "macro")]


def statements(source: str) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in code(source):
        if token.text == ";":
            yield statement
            statement = []
        else:
            statement.append(token)


class Macro(NamedTuple):
    name: str
    parameters: list[str]
    body: str


def macros(source: str) -> dict[str, Macro]:
    found = {}
    pattern = r"^%macro (\w+)(?:\(([^)]*)\))?;\n(.*?)^%mend (\w+);$"
    for name, parameters, body, end in re.findall(pattern, source, re.DOTALL | re.MULTILINE):
        assert name == end
        found[name] = Macro(name, [p.strip() for p in parameters.split(",") if p.strip()], body)
    return found


class Call(NamedTuple):
    name: str
    arguments: list[str]
    line: int


def calls(source: str) -> Iterator[Call]:
    """Calls of our own macros, with their arguments as SAS would split them."""
    found = tokens(source)
    for index, token in enumerate(found):
        if token.kind == "macro" and token.text.startswith("%cp_"):
            has_arguments = index + 1 < len(found) and found[index + 1].text == "("
            arguments = _arguments(found[index + 1 :]) if has_arguments else []
            yield Call(token.text[1:], arguments, token.line)


def _arguments(found: list[Token]) -> list[str]:
    depth, arguments = 0, [""]
    for token in found:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return [argument.strip() for argument in arguments]
        if token.text == "," and depth == 1:
            arguments.append("")
        elif not (token.text == "(" and depth == 1):
            arguments[-1] += token.text
    raise AssertionError(f"line {found[0].line}: a bracket is never closed")


def text(path: Path) -> str:
    return path.read_bytes().decode("ascii")


PROGRAM_TEXT = text(PROGRAM)
CONFIG_TEXT = text(CONFIG)
MACROS = macros(PROGRAM_TEXT)


def without_messages(source: str) -> str:
    """The code less the failure messages, which are free text."""
    return re.sub(r"%cp_fail\(.*\)$", "", source, flags=re.MULTILINE)


# The tokenizer and its friends have to see what they are for.


@pytest.mark.parametrize("source", ["x = 'a;", 'x = "a;', "/* x", "x = 'a\nb';"])
def test_the_tokenizer_sees_what_is_never_closed(source: str) -> None:
    with pytest.raises(AssertionError, match="line 1"):
        tokens(source)


def test_the_tokenizer_tells_strings_comments_and_code_apart() -> None:
    kinds = [
        (t.kind, t.text) for t in code("""x = 'it''s /* no */' || '0D'x; /* it's */ %let a;""")
    ]
    assert kinds == [
        ("word", "x"),
        ("mark", "="),
        ("string", "'it''s /* no */'"),
        ("mark", "|"),
        ("mark", "|"),
        ("string", "'0D'x"),
        ("mark", ";"),
        ("macro", "%let"),
        ("word", "a"),
        ("mark", ";"),
    ]


def test_arguments_are_split_as_sas_splits_them() -> None:
    assert list(calls("%cp_fail(a, b (c, d) 'e, f')")) == [
        Call("cp_fail", ["a", "b (c, d) 'e, f'"], 1)
    ]


# Files


def test_all_files_of_the_sas_side_are_shipped() -> None:
    assert all(path.is_file() for path in TEXT_FILES)
    assert (SHIPPED / "logs" / ".gitkeep").is_file()
    assert (SHIPPED / "output" / ".gitkeep").is_file()


@pytest.mark.parametrize("path", TEXT_FILES, ids=lambda path: path.name)
def test_files_are_ascii_with_lf_and_short_lines(path: Path) -> None:
    raw = path.read_bytes()
    raw.decode("ascii")
    assert b"\r" not in raw
    assert b"\t" not in raw
    assert raw.endswith(b"\n")
    limit = 120 if path.suffix == ".md" else 100
    assert max(len(line) for line in raw.splitlines()) <= limit


def test_the_program_says_that_it_was_not_run_on_sas() -> None:
    opening = tokens(PROGRAM_TEXT)[0]
    assert opening.kind == "comment"
    assert "not run on SAS" in opening.text
    assert "Reasoned, not run on SAS" in text(SHIPPED / "README.md")


def test_an_administrator_edits_one_line_near_the_top() -> None:
    outside = re.sub(r"^%macro .*?^%mend \w+;$", "", PROGRAM_TEXT, flags=re.DOTALL | re.MULTILINE)
    acts = ["".join(t.text for t in s) for s in statements(outside + ";")]
    assert [act[:13] for act in acts if act] == ["%letcp_root=C", '%include"&cp_', "%cp_main"]
    assert PROGRAM_TEXT.count("%let cp_root") == 1
    assert PROGRAM_TEXT[: PROGRAM_TEXT.index("%let cp_root")].count("\n") < 20


# Syntax


@pytest.mark.parametrize("path", SAS_FILES, ids=lambda path: path.name)
def test_quotes_and_comments_are_closed(path: Path) -> None:
    assert tokens(text(path))


@pytest.mark.parametrize("path", SAS_FILES, ids=lambda path: path.name)
def test_no_statement_is_a_comment_that_an_apostrophe_could_break(path: Path) -> None:
    assert not [s[0].line for s in statements(text(path)) if s and s[0].text in ("*", "%*")]


def test_every_macro_is_closed_once_and_by_its_name() -> None:
    assert words(PROGRAM_TEXT).count("%macro") == len(MACROS)
    assert words(PROGRAM_TEXT).count("%mend") == len(MACROS)
    assert all(len(name) <= 32 for name in MACROS)


@pytest.mark.parametrize("name", MACROS)
def test_blocks_are_balanced_in_every_macro(name: str) -> None:
    source = without_messages(MACROS[name].body)
    body = words(source)
    assert body.count("%do") == body.count("%end")
    assert body.count("do") + body.count("select") - body.count("end") == _end_options(name)
    brackets = [t.text for t in code(source) if t.kind == "mark"]
    for opening, closing in ("()", "{}"):
        assert brackets.count(opening) == brackets.count(closing)


def _end_options(name: str) -> int:
    """Less ``end`` than ``do`` for a PROC COPY with SELECT, more for an option END=."""
    body = MACROS[name].body
    selects = len(re.findall(r"^ *select &", body, re.MULTILINE))
    return selects - len(re.findall(r"\bend=", body))


@pytest.mark.parametrize("path", SAS_FILES, ids=lambda path: path.name)
def test_no_statement_runs_into_the_next_for_want_of_a_semicolon(path: Path) -> None:
    """%LET and %PUT swallow whatever stands before the next semicolon."""
    starts = {"%macro", "%mend", "%do", "%end", "%if", "%else", "%let", "%local", "%put"}
    for statement in statements(text(path)):
        for at, token in enumerate(statement):
            if token.text.lower() in ("%let", "%put", "%local", "%symdel", "%mend"):
                inside = [t.text.lower() for t in statement[at + 1 :]]
                assert not starts.intersection(inside), f"line {token.line}"


STEP_WORDS = {"data", "proc", "run", "quit"}


@pytest.mark.parametrize("name", MACROS)
def test_every_step_is_ended_before_the_next_begins(name: str) -> None:
    steps = []
    for line in MACROS[name].body.splitlines():
        first = re.match(r" *(\w+)\b(?! *=)", line)
        if first and first[1] in STEP_WORDS:
            steps.append(first[1] in ("run", "quit"))
    assert steps == [False, True] * (len(steps) // 2)


def test_every_macro_called_is_defined_and_every_one_defined_is_called() -> None:
    used = {token[1:] for token in words(PROGRAM_TEXT) if token.startswith("%")}
    own = {word for word in used if word.startswith("cp_")}
    assert used - own <= MACRO_LANGUAGE
    assert own <= set(MACROS)
    stages = {call.arguments[0] for call in calls(PROGRAM_TEXT) if call.name == "cp_stage"}
    stages.discard("stage")
    assert own | stages == set(MACROS)


def test_every_call_passes_what_the_macro_takes() -> None:
    """A comma in a message would become a second argument."""
    body = re.sub(r"^%macro .*$", "", PROGRAM_TEXT, flags=re.MULTILINE)
    for call in calls(re.sub(r"%mend \w+", "", body)):
        assert len(call.arguments) == len(MACROS[call.name].parameters), call


def test_stages_stop_at_the_first_failure_and_the_answer_always_follows() -> None:
    run = [call.name for call in calls(MACROS["cp_main"].body)]
    assert run[0] == "cp_begin"
    assert run[-2:] == ["cp_answer", "cp_end"]
    assert set(run[1:-2]) == {"cp_stage"}
    assert MACROS["cp_stage"].body.lstrip().startswith("%if &cp_code = 0 %then %do;")


def test_every_macro_variable_is_declared_where_it_can_be_seen() -> None:
    """A %LET of a name that is nowhere declared would be a guess about scopes."""
    main = _locals("cp_main")
    for macro in MACROS.values():
        known = main | _locals(macro.name) | set(macro.parameters) | {"syscc"}
        for name in re.findall(r"%let (\w+)|%do (\w+) =|symputx\('(\w+)'", macro.body):
            assert "".join(name) in known, (macro.name, name)


def _locals(name: str) -> set[str]:
    return set(" ".join(re.findall(r"%local ([^;]*);", MACROS[name].body)).split())


# What the program must not do


def test_nothing_that_harms_a_shared_server_or_cannot_be_checked_is_used() -> None:
    used = set(words(PROGRAM_TEXT)) | set(words(CONFIG_TEXT))
    assert not BANNED & {word.lstrip("%") for word in used}
    assert {m[1] for m in re.finditer(r"^ *proc (\w+)", PROGRAM_TEXT, re.MULTILINE)} == {
        "http",
        "copy",
        "datasets",
    }


def test_formats_and_informats_exist_and_their_widths_are_possible() -> None:
    kept = (t for t in tokens(without_messages(PROGRAM_TEXT)) if t.kind != "comment")
    source = "".join("''" if t.kind == "string" else t.text for t in kept)
    found = set(re.findall(r"(?<![\w.&])(\$?[A-Za-z_]*)(\d+)\.(?!\w)", source))
    assert {name for name, _ in found} == {"$char", "$hex", ""}
    for name, width in found:
        ranges = [WIDTHS[kind][name] for kind in ("informat", "format") if name in WIDTHS[kind]]
        assert ranges
        assert all(least <= int(width) <= most for least, most in ranges), (name, width)


def test_filerefs_and_librefs_are_short_enough_and_given_back() -> None:
    names = re.findall(r"^ *(?:filename|libname) (\w+) ", PROGRAM_TEXT, re.MULTILINE)
    assert len(names) == len(set(names)) > 5
    assert all(len(name) <= 8 for name in names)
    given_back = set(" ".join(re.findall(r"%let names = ([^;]*);", MACROS["cp_end"].body)).split())
    assert given_back == set(names)
    for number, listed in re.findall(r"names = ([^;]*);\s+%do number = 1 %to (\d+)", PROGRAM_TEXT):
        assert len(number.split()) == int(listed)


def test_a_url_is_never_resolved_but_inside_proc_http() -> None:
    assert "&cp_metaurl" not in PROGRAM_TEXT
    assert "&cp_dataurl" not in PROGRAM_TEXT
    assert re.findall(r"%superq\(&address\)", PROGRAM_TEXT) == ["%superq(&address)"]
    assert 'url="%superq(&address)"' in MACROS["cp_get_once"].body
    assert "call symput(" not in PROGRAM_TEXT
    assert not re.search(r"\bputlog\b|\bput _all_|\bput _infile_", PROGRAM_TEXT)


def test_secrets_and_rows_stay_off_the_log() -> None:
    options = re.search(r"^ *options (nomprint [^;]*);", PROGRAM_TEXT, re.MULTILINE)
    assert options
    wanted = {"nomprint", "nosymbolgen", "nomlogic", "noquotelenmax", "nosource2", "errors=0"}
    assert wanted <= set(options[1].split())
    assert "%let cp_debug = 0;" in CONFIG_TEXT


def test_a_url_is_checked_before_it_becomes_a_macro_variable() -> None:
    body = MACROS["cp_read_request"].body
    assert body.index("%cp_check_url") < body.index("'cp_metaurl'")
    assert body.count("%cp_check_url") == 2


# Messages and the answer


def _messages() -> list[str]:
    fails = [call.arguments[1] for call in calls(PROGRAM_TEXT) if call.name == "cp_fail"]
    notes = []
    for macro in MACROS.values():
        for statement in re.findall(r"\bnote = ([^;]*);", macro.body):
            notes += [t.text[1:-1] for t in tokens(statement) if t.kind == "string"]
    return fails + notes


def test_messages_can_travel_through_macros_and_xml() -> None:
    messages = _messages()
    assert len(messages) > 30
    for message in messages:
        # choosec() picks one of several, their commas stand between the strings
        assert not set("',;<>\"%") & set(message), message
        assert not re.search(r"&(?!\w)", message)
        assert len(message) < 150


def test_every_code_of_a_failure_is_a_word_and_documented() -> None:
    codes = {call.arguments[0] for call in calls(PROGRAM_TEXT) if call.name == "cp_fail"}
    codes -= {"code", "&code"}
    codes |= set(re.findall(r"\bcode = '(\w+)'", PROGRAM_TEXT))
    assert all(re.fullmatch(r"[a-z_]{1,32}", one) for one in codes)
    readme = text(SHIPPED / "README.md")
    assert {one for one in codes if f"`{one}`" not in readme} == set()


def test_the_answer_has_the_elements_that_the_proxy_reads() -> None:
    written = re.findall(r'put "<(\w+)>&\w+</(\w+)>"', MACROS["cp_answer"].body)
    assert all(opening == closing for opening, closing in written)
    expected = [child.tag for child in etree.fromstring(result_document("ok"))]
    assert [opening for opening, _ in written] == expected
    assert "put '<stpResult>';" in MACROS["cp_answer"].body
    assert "stpsrv_header('Content-type', 'text/xml')" in MACROS["cp_answer"].body


def test_the_header_is_set_in_a_step_before_the_answer_is_opened() -> None:
    body = MACROS["cp_answer"].body
    assert "run;" in body[body.index("stpsrv_header") : body.index("file _webout")]


def test_the_last_word_is_that_nothing_went_wrong() -> None:
    assert MACROS["cp_end"].body.rstrip().endswith("%let syscc = 0;")


# Settings


def test_every_setting_is_checked_used_and_explained() -> None:
    settings = re.findall(r"^%let (\w+) = [^;]+;$", CONFIG_TEXT, re.MULTILINE)
    checked = re.search(r"%let names = ([^;]*);", MACROS["cp_check_settings"].body)
    assert checked
    assert checked[1].split() == settings
    readme = text(SHIPPED / "README.md")
    for name in settings:
        assert f"&{name}" in PROGRAM_TEXT
        assert f"| `{name}` |" in readme


def test_the_configuration_holds_settings_and_one_comment_each() -> None:
    kinds = [t for t in tokens(CONFIG_TEXT) if t.kind != "space"]
    assert {t.text for t in kinds if t.kind == "macro"} == {"%let"}
    settings = sum(t.text == "%let" for t in kinds)
    assert sum(t.kind == "comment" for t in kinds) == settings + 1
    for first, second in pairwise(kinds):
        if second.text == "%let":
            assert first.kind == "comment"


def test_the_values_shipped_are_those_in_the_readme() -> None:
    readme = text(SHIPPED / "README.md")
    for name, value in re.findall(r"^%let (\w+) = ([^;]+);$", CONFIG_TEXT, re.MULTILINE):
        assert f"| `{name}` | `{value}` |" in readme


# The contract: what the proxy writes and what SAS reads of it


class Read(NamedTuple):
    rows: list[dict[str, str]]
    cut: set[str]


def read_with_map(document: bytes, xml_map: bytes) -> Read:
    """Read ``document`` as the XMLV2 engine does with a SXLEMAP 2.1: one row for each element
    at the table path, a blank where an element is missing, values cut at LENGTH bytes."""
    table = etree.fromstring(xml_map).find("TABLE")
    assert table is not None
    root = etree.fromstring(document)
    rows, cut = [], set()
    for element in root.xpath(str(table.findtext("TABLE-PATH"))):
        row = {}
        for column in table.findall("COLUMN"):
            name = column.get("name", "")
            path = str(column.findtext("PATH")).removeprefix(f"{table.findtext('TABLE-PATH')}/")
            found = element.findall(path)
            assert len(found) <= 1, f"{name} stands there twice"
            value = (found[0].text or "").encode() if found else b""
            width = int(str(column.findtext("LENGTH")))
            if len(value) > width:
                cut.add(name)
            row[name] = value[:width].decode(errors="ignore")
        rows.append(row)
    return Read(rows, cut)


def stream_of(payload: str) -> bytes:
    raw = (DATA / "payloads" / payload).read_bytes()
    return encode(parse(raw), "DownloadFile").document


def read(document: bytes) -> Read:
    return read_with_map(document, XML_MAP.read_bytes())


def test_the_map_is_a_static_sxlemap_2_1() -> None:
    root = etree.fromstring(XML_MAP.read_bytes())
    assert (root.tag, root.get("version")) == ("SXLEMAP", "2.1")
    assert [table.get("name") for table in root.findall("TABLE")] == ["InData"]
    for column in root.findall("TABLE/COLUMN"):
        assert re.fullmatch(r"[A-Za-z_]\w{0,31}", column.get("name", ""))
        assert column.findtext("PATH") == f"/Table/InData/{column.get('name')}"
        assert (column.findtext("TYPE"), column.findtext("DATATYPE")) == ("character", "string")
        assert 1 <= int(str(column.findtext("LENGTH"))) <= 32767
    names = [column.get("name", "").lower() for column in root.findall("TABLE/COLUMN")]
    assert len(names) == len(set(names))


def test_the_url_columns_are_wide_enough_to_notice_a_cut_url() -> None:
    root = etree.fromstring(XML_MAP.read_bytes())
    widths = {c.get("name"): int(str(c.findtext("LENGTH"))) for c in root.findall("TABLE/COLUMN")}
    assert widths["metadataFile"] == widths["dataFile"] == 8192
    assert "length(address) > 8000" in PROGRAM_TEXT
    assert f"length(occurrenceId) = {widths['occurrenceId']}" in PROGRAM_TEXT


@pytest.mark.parametrize("payload", ["bulk_stp.json", "bulk_odd_values.json"])
def test_what_the_sas_code_needs_of_a_bulk_task_arrives_whole(payload: str) -> None:
    source = json.loads((DATA / "payloads" / payload).read_text(encoding="utf-8"))
    result = read(stream_of(payload))
    assert result.cut == set()
    (row,) = result.rows
    assert row["occurrenceId"] == source["task"]["occurrenceId"]
    assert row["taskId"] == source["task"]["taskId"]
    assert row["taskName"] == source["task"]["taskName"]
    assert row["metadataFile"] == source["presignedUrls"]["metadataFile"]
    assert row["dataFile"] == source["presignedUrls"]["dataFile"]
    assert row["responseTrackingCode"] == source["contactResponse"]["responseTrackingCode"]
    assert row["stpName"] == source["sendParameters"]["stpName"]
    assert row["taskCode"] == source["sendParameters"].get("taskCode", "")
    assert row["guid"] == ""


def test_an_event_is_told_by_its_guid_and_has_no_files() -> None:
    result = read(stream_of("triggered.json"))
    assert result.cut == set()
    (row,) = result.rows
    assert row["guid"] == "18a06b23-390f-4435-9a0b-bc0dd63da938"
    assert row["stpName"] == "OneCustomer"
    assert row["metadataFile"] == row["dataFile"] == row["occurrenceId"] == ""


def test_the_reader_of_the_map_sees_a_value_that_is_cut() -> None:
    source = json.loads((DATA / "payloads" / "bulk_stp.json").read_bytes())
    source["presignedUrls"]["dataFile"] += "x" * 8192
    document = encode(parse(json.dumps(source).encode()), "DownloadFile").document
    result = read(document)
    assert result.cut == {"dataFile"}
    assert len(result.rows[0]["dataFile"]) == 8192


def test_the_columns_that_the_program_uses_are_in_the_map() -> None:
    root = etree.fromstring(XML_MAP.read_bytes())
    names = {column.get("name") for column in root.findall("TABLE/COLUMN")}
    used = {"occurrenceId", "taskName", "guid", "metadataFile", "dataFile"}
    assert used <= names
    assert used <= {t.text for t in code(PROGRAM_TEXT) if t.kind == "word"}
    wanted = {"occurrenceId", "taskId", "taskName", "guid", "stpName", "taskCode"}
    assert wanted | {"responseTrackingCode"} <= names


def test_the_addresses_of_real_payloads_pass_the_checks_of_the_program() -> None:
    """The characters that the program allows in a URL are those of RFC 3986."""
    body = MACROS["cp_check_url"].body
    listed = re.search(r"verify\(trim\(address\), (.*?)\) > 0", body, re.DOTALL)
    assert listed
    allowed = "".join(t.text[1:-1] for t in tokens(listed[1]) if t.kind == "string")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    assert sorted(allowed) == sorted(letters + "-._~:/?#[]@!$&'()*+,;=%")
    for payload in ("bulk_stp.json", "bulk_odd_values.json"):
        (row,) = read(stream_of(payload)).rows
        assert set(row["dataFile"] + row["metadataFile"]) <= set(allowed)


def test_the_json_map_describes_the_metadata_array() -> None:
    (table,) = json.loads(JSON_MAP.read_bytes())["DATASETS"]
    assert (table["DSNAME"], table["TABLEPATH"]) == ("columns", "/root")
    assert [(v["NAME"], v["TYPE"], v["PATH"], v["LENGTH"]) for v in table["VARIABLES"]] == [
        ("columnName", "CHARACTER", "/root/columnName", 256),
        ("dataType", "CHARACTER", "/root/dataType", 32),
    ]
    assert "cpjson.columns(keep=columnName)" in PROGRAM_TEXT
