"""The bundled SAS code: what can be known of it without SAS and without running it.

The static checks are those of ``connector-proxy sas check`` (tests/test_sas_checks.py). Here stand
what only the shipped files promise, and the contract between the stream that the proxy writes and
the map that SAS reads it with.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
import requests
from lxml import etree

from connector_proxy.destinations.embedded import result_document
from connector_proxy.emulator import Behaviour, Emulator, Ran
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.intake import parse
from connector_proxy.outcomes import is_harmless
from connector_proxy.sascode import folder, lexer, program, site
from connector_proxy.sascode.checks.maps import LEAST_LENGTHS
from connector_proxy.stream import build_request, encode
from tests import sxlemap
from tests.conftest import PAYLOADS, ROOT

SHIPPED = ROOT / "stored_process"
TEXTS = folder.shipped()
SOURCES = {name: program.read(name, text) for name, text in TEXTS.items() if name.endswith(".sas")}
MACROS = {macro.name: macro for source in SOURCES.values() for macro in source.macros}
STORED_PROCESSES = ("code/stpDownloadFile.sas", "code/stpAppendRow.sas")
README = TEXTS["README.md"]
XML_MAP = TEXTS["conf/inpxmlmap.map"].encode()


# -- files ----------------------------------------------------------------------------------


def test_all_files_of_the_sas_side_are_shipped() -> None:
    wanted = {"README.md", "code/cpCommon.sas", "code/smoke.sas", "conf/config.sas", "conf/inpxmlmap.map"}  # fmt: skip
    assert wanted | {"conf/procxmlmap.map", "conf/jsonmap.map", *STORED_PROCESSES} == set(TEXTS)
    for name in folder.EMPTY_FOLDERS:
        assert [path.name for path in (SHIPPED / name).iterdir()] == [".gitkeep"]


def test_the_shipped_files_have_lf() -> None:
    for name in TEXTS:
        assert b"\r" not in (SHIPPED / name).read_bytes()


@pytest.mark.parametrize("name", [name for name in SOURCES if name != site.CONFIG])
def test_a_program_says_that_it_was_not_run_on_sas(name: str) -> None:
    opening = lexer.tokens(TEXTS[name])[0]
    assert opening.kind == "comment"
    assert "not run on SAS" in " ".join(opening.text.split())
    assert "not run on SAS" in README


@pytest.mark.parametrize("name", STORED_PROCESSES)
def test_an_administrator_edits_one_line_near_the_top(name: str) -> None:
    """Outside of macros stand that line, the two files included, and the call that starts it."""
    outside = list(lexer.statements(SOURCES[name].outside))
    acts = ["".join(token.text for token in statement) for statement in outside]
    assert acts[0].startswith("%letcp_root=")
    assert acts[1:3] == ['%include"&cp_root/conf/config.sas"', '%include"&cp_root/code/cpCommon.sas"']  # fmt: skip
    assert [re.fullmatch(r"%cp_\w+", act) is not None for act in acts[3:]] == [True]
    assert site.root_lines(TEXTS[name])[0] < 20


# -- messages and the answer ----------------------------------------------------------------


def fails() -> list[program.Call]:
    calls = (call for source in SOURCES.values() for call in program.calls(source.code))
    return [call for call in calls if call.name == "cp_fail" and "&message" not in words(call)]


def words(call: program.Call) -> str:
    """The message of a failure as the source has it, macro variables and functions left out."""
    return " ".join(token.text for token in call.arguments[1]) if len(call.arguments) > 1 else ""


_BRACKETS = r"(?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*"


def plain(message: str) -> str:
    """A message with a word in the place of each macro variable and function."""
    return re.sub(rf"%\w+\({_BRACKETS}\)|&\w+\.?", "x", message)


def messages() -> list[str]:
    """What the calls of the failure macro say."""
    pattern = rf"%cp_fail\(\w+, ({_BRACKETS})\)"
    return [plain(said) for text in TEXTS.values() for said in re.findall(pattern, text)]


def notes() -> list[str]:
    """The pieces that DATA steps put their messages together from."""
    found = []
    for macro in MACROS.values():
        for statement in lexer.statements(program.acting(macro.body)):
            texts = [token.text for token in statement]
            at = texts.index("note") if "note" in texts else -1
            if at >= 0 and texts[at + 1 : at + 2] == ["="]:
                found += [plain(t.text[1:-1]) for t in statement[at:] if t.kind == "string"]
    return [said for said in found if said.strip()]


def test_every_message_of_a_failure_is_one_that_the_proxy_shows() -> None:
    assert len(messages()) > 30
    assert len(notes()) > 10
    assert [said for said in messages() if not is_harmless(said) or len(said) > 200] == []
    assert [said for said in notes() if not is_harmless(said.strip())] == []


def test_every_code_of_a_failure_is_a_word_and_documented() -> None:
    codes = {call.arguments[0][0].text for call in fails() if call.arguments[0][0].kind == "word"}
    sources = "".join(TEXTS[name] for name in SOURCES)
    codes |= set(re.findall(r"\bcode = '(\w+)'", sources))
    assert len(codes) > 5
    assert all(re.fullmatch(r"[a-z_]{1,32}", one) for one in codes)
    assert {one for one in codes if f"`{one}`" not in README} == set()


def test_the_answer_has_the_elements_that_the_proxy_reads() -> None:
    put = re.findall(r"""put ["']<(\w+)>&\w+</(\w+)>["'];""", TEXTS["code/cpCommon.sas"])
    assert all(opening == closing for opening, closing in put)
    expected = [child.tag for child in etree.fromstring(result_document("ok"))]
    assert [opening for opening, _ in put] == expected


def test_the_map_of_the_answer_reads_what_the_embedded_stored_process_answers() -> None:
    document = result_document(
        "ok", {"occurrenceId": "o-1"}, data_set="A_1", rows=3, columns=8, rejected_rows=1, sha256="0f" * 32
    )  # fmt: skip
    result = sxlemap.read(document, TEXTS["conf/procxmlmap.map"].encode())
    expected = {child.tag: child.text or "" for child in etree.fromstring(document)}
    assert (result.rows, result.cut, result.unread) == ([expected], set(), set())


def test_the_last_word_is_that_nothing_went_wrong() -> None:
    ends = [t.text for t in MACROS["cp_end"].body][-5:]
    assert ends == ["%let", "syscc", "=", "0", ";"]


# -- what must not be there -----------------------------------------------------------------


def test_a_url_is_resolved_nowhere_but_in_proc_http() -> None:
    """Its macro variable is handed on by name; %SUPERQ keeps & and % from the macro processor."""
    for source in SOURCES.values():
        text = " ".join(token.text for token in source.code)
        assert not re.search(r"&cp_(?:meta|data)url\b", text)
    used = [
        (macro.name, token.text)
        for macro in MACROS.values() for token in macro.body
        if token.kind == "string" and "%superq(&address)" in token.text
    ]  # fmt: skip
    (one,) = used
    assert one[1] == '"%superq(&address)"'
    procs = [second.low for first, second in pairwise(MACROS[one[0]].body) if first.low == "proc"]
    assert procs == ["http"]


def test_secrets_and_rows_stay_off_the_log() -> None:
    sources = "".join(TEXTS[name] for name in SOURCES)
    options = re.search(r"^ *options (nomprint [^;]*);", sources, re.MULTILINE)
    assert options
    wanted = {"nomprint", "nosymbolgen", "nomlogic", "noquotelenmax", "nosource2", "errors=0"}
    assert wanted <= set(options[1].split())
    assert {"debug": "0", "saslogredirect": "0"}.items() <= {
        name: setting.value for name, setting in site.settings(TEXTS[site.CONFIG]).items()
    }.items()


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", site.settings(TEXTS[site.CONFIG]))
def test_a_setting_is_explained_where_it_stands_and_in_the_readme(name: str) -> None:
    setting = site.settings(TEXTS[site.CONFIG])[name]
    assert setting.comment.count("\n") == 0 and setting.comment.endswith(". */")
    shown = f"`{setting.value}`" if setting.value else "empty"
    assert re.search(rf"^\| `{setting.name}` \| {re.escape(shown)} \|", README, re.MULTILINE)


# -- the contract: what the proxy writes and what SAS reads of it ---------------------------


def readable() -> list[str]:
    """The payloads that the proxy accepts as JSON objects."""
    found = []
    for path in sorted(PAYLOADS.iterdir()):
        try:
            parse(path.read_bytes())
        except ConnectorProxyError:
            continue
        found.append(path.name)
    return found


def leaves(value: Any) -> Any:
    """(key, value) of everything below objects, in document order."""
    for key, child in value.items():
        if isinstance(child, dict) and child:
            yield from leaves(child)
        elif not isinstance(child, list):
            yield key, "" if child is None or child == {} else child


def shown(value: Any) -> str:
    """A JSON value as the stream has it: characters that XML forbids are blanks."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", " ", text)


def expected(payload: str, columns: list[str], stp_name: str) -> dict[str, str]:
    """For each column the first value of that name in the payload."""
    document = json.loads((PAYLOADS / payload).read_bytes().decode("utf-8-sig"), parse_float=str)
    first: dict[str, str] = {}
    for key, value in leaves(document):
        first.setdefault(key.lower(), shown(value))
    first.setdefault("stpname", stp_name)
    return {name: first.get(name.lower(), "") for name in columns}


@pytest.fixture(scope="module")
def carried() -> Any:
    """Sends a stream through the pretend SAS BI Web Services; returns what SAS is handed."""
    seen: list[bytes] = []

    def stored_process(instream: bytes) -> Ran:
        seen.append(instream)
        return Ran(result_document("ok"))

    with Emulator(stored_process, behaviour=Behaviour(one_line=True)) as emulator:

        def carry(payload: str, family: str) -> bytes:
            stream = encode(parse((PAYLOADS / payload).read_bytes()), "Download File")
            template = f"{emulator.url}/SASBIWS/{family}/{{{{stpName}}}}"
            request = build_request(template, "Download File", stream)
            answer = requests.post(
                request.url, data=request.body, headers=dict(request.headers), timeout=10
            )
            assert answer.status_code == 200
            return seen.pop()

        yield carry


def test_the_payloads_of_the_tests_are_read() -> None:
    assert {"bulk_stp.json", "bulk_odd_values.json", "triggered.json"} < set(readable())
    assert len(readable()) >= 6


@pytest.mark.parametrize("family", ["rest/storedProcesses/X", "services"])
@pytest.mark.parametrize("payload", readable())
def test_every_value_that_the_map_names_arrives_whole(
    payload: str, family: str, carried: Any
) -> None:
    direct = encode(parse((PAYLOADS / payload).read_bytes()), "Download File").document
    for document in (direct, carried(payload, family)):
        result = sxlemap.read(document, XML_MAP)
        assert (result.cut, result.repeated) == (set(), set())
        assert result.rows == [expected(payload, result.columns, "Download File")]


def test_the_reader_of_the_map_sees_a_value_that_is_cut() -> None:
    source = json.loads((PAYLOADS / "bulk_stp.json").read_bytes())
    source["presignedUrls"]["dataFile"] += "x" * 8192
    result = sxlemap.read(encode(parse(json.dumps(source).encode()), "X").document, XML_MAP)
    assert result.cut == {"dataFile"}
    assert len(result.rows[0]["dataFile"]) == 8192


def test_the_reader_of_the_map_sees_what_stands_there_twice_and_what_nobody_reads() -> None:
    twice = b"<Table><InData><guid>1</guid><guid>2</guid><other/></InData><InData/></Table>"
    result = sxlemap.read(twice, XML_MAP)
    assert (result.repeated, result.unread, len(result.rows)) == ({"guid"}, {"other"}, 2)


def test_the_map_names_what_the_program_asks_for() -> None:
    names = set(sxlemap.read(b"<Table/>", XML_MAP).columns)
    used = {"occurrenceId", "taskName", "guid", "metadataFile", "dataFile"}
    assert used | {"taskId", "stpName", "taskCode", "responseTrackingCode"} <= names
    assert used <= {token.text for token in SOURCES["code/stpDownloadFile.sas"].code}
    assert {name.lower() for name in names} <= set(LEAST_LENGTHS) | {name.lower() for name in names}


def test_the_addresses_of_real_payloads_pass_the_checks_of_the_program() -> None:
    """The characters that the program allows in a URL are those of RFC 3986."""
    listed = re.search(
        r"verify\(trim\(address\), (.*?)\) > 0", TEXTS["code/stpDownloadFile.sas"], re.DOTALL
    )
    assert listed
    strings = [token for token in lexer.tokens(listed[1]) if token.kind == "string"]
    allowed = "".join(token.text[1:-1].replace("''", "'") for token in strings)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    assert sorted(allowed) == sorted(letters + "-._~:/?#[]@!$&'()*+,;=%")
    for payload in readable():
        (row,) = sxlemap.read(encode(parse((PAYLOADS / payload).read_bytes()), "X").document, XML_MAP).rows  # fmt: skip
        assert set(row["dataFile"] + row["metadataFile"]) <= set(allowed) | {" "}


def test_the_json_map_describes_the_metadata_array() -> None:
    (table,) = json.loads(TEXTS["conf/jsonmap.map"])["DATASETS"]
    assert (table["DSNAME"], table["TABLEPATH"]) == ("columns", "/root")
    named = [(v["NAME"], v["TYPE"], v["PATH"]) for v in table["VARIABLES"]]
    assert named == [
        ("columnName", "CHARACTER", "/root/columnName"), ("dataType", "CHARACTER", "/root/dataType"),
    ]  # fmt: skip
    assert "cpjson.columns" in TEXTS["code/stpDownloadFile.sas"]
