"""What a server answers in, a verdict out: the table of the BI Web Services guide."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from connector_proxy.outcomes import KEPT, is_harmless, own_error
from connector_proxy.records import Outcome, Verdict
from connector_proxy.reply import read_reply

SHA256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
OK = (
    "<stpResult><status>ok</status><code>0</code><message/><occurrenceId>o-1</occurrenceId>"
    "<dataSet>OUT.A_1</dataSet><rows>3</rows><columns>8</columns><rejectedRows>1</rejectedRows>"
    f"<unreadableValues>2</unreadableValues><sha256>{SHA256}</sha256></stpResult>"
)
FACTS = {
    "rows": 3, "columns": 8, "rejectedRows": 1, "unreadableValues": 2, "dataSet": "OUT.A_1", "sha256": SHA256.lower(),
}  # fmt: skip


def read(
    status: int = 200, body: str | bytes = "", kind: str = "text/xml", raw: bool = False, **headers: str
) -> Outcome:  # fmt: skip
    named = {"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
    content = body.encode() if isinstance(body, str) else body
    return read_reply(status, CaseInsensitiveDict(named), content, raw=raw, complete=True)


def envelope(value: str, content_type: str = "text/xml;charset=utf-8") -> str:
    stream = f'<_WEBOUT contentType="{content_type}"><Value>{value}</Value></_WEBOUT>'
    return f"<downloadFileResponse><downloadFileResult><Streams>{stream}</Streams></downloadFileResult></downloadFileResponse>"


def fault(code: int, extra: str = "") -> str:
    return f'<Fault code="{code}"><Exception message="Words of SAS">{extra}</Exception></Fault>'


def soap_fault(code: int) -> str:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f"<faultcode>s:Server</faultcode><faultstring>Words of SAS</faultstring><detail>{fault(code)}</detail>"
        "</s:Fault></s:Body></s:Envelope>"
    )


@pytest.mark.parametrize(
    ("status", "verdict", "code"),
    [
        (401, Verdict.REFUSED, "credentials"),
        (403, Verdict.REFUSED, "credentials"),
        (404, Verdict.REFUSED, "not_callable"),
        (429, Verdict.RETRY, "busy"),
        (503, Verdict.RETRY, "busy"),
        (502, Verdict.RETRY, "sas_unreachable"),
        (504, Verdict.UNKNOWN, "outcome_unknown"),
        (301, Verdict.REFUSED, "logon_page"),
        (302, Verdict.REFUSED, "logon_page"),
        (307, Verdict.REFUSED, "logon_page"),
        (500, Verdict.REFUSED, "not_sasbiws"),
        (418, Verdict.REFUSED, "not_sasbiws"),
    ],
)
@pytest.mark.parametrize("body", ["", "<html><body>proxy error</body></html>"])
def test_the_status_decides_first(status: int, verdict: Verdict, code: str, body: str) -> None:
    outcome = read(status, body, "text/html")
    assert (outcome.verdict, outcome.code, outcome.status) == (verdict, code, status)
    assert outcome.advice and outcome.message


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (1000, Verdict.REFUSED),
        (2000, Verdict.REFUSED),
        (3000, Verdict.REFUSED),
        (4000, Verdict.RETRY),
        (5000, Verdict.UNKNOWN),
        (9999, Verdict.REFUSED),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("form", [fault, soap_fault])
@pytest.mark.parametrize("raw", [False, True])
def test_a_fault_decides_in_every_form(code: int, verdict: Verdict, status: int, form: object, raw: bool) -> None:  # fmt: skip
    outcome = read(status, form(code), raw=raw)  # type: ignore[operator]
    assert outcome.verdict is verdict
    assert "Words of SAS" in outcome.cause


def test_syscc_and_the_message_of_sas_are_kept() -> None:
    extra = "<SYSCC>1012</SYSCC><SYSMSG>File X does not exist.</SYSMSG>"
    outcome = read(500, fault(3000, extra))
    assert "SYSCC 1012" in outcome.message
    assert "File X does not exist." in outcome.cause
    assert "File X" not in outcome.message


def test_retry_after_is_honoured_in_seconds_and_bounded() -> None:
    assert read(503, Retry_After="7").retry_after == 7
    assert read(503, Retry_After="99999999").retry_after == 86_400
    assert read(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (envelope(OK), "application/xml"),
        (envelope(OK.upper().replace("OK", "ok")), "application/xml"),
        (envelope(f"<![CDATA[{OK}]]>"), "application/xml"),
        (envelope(base64.b64encode(OK.encode()).decode(), "application/octet-stream"), "application/xml"),
        (f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{envelope(OK)}</e:Body></e:Envelope>', "text/xml"),
        (f'<n:aResponse xmlns:n="http://tempuri.org/a">{envelope(OK)}</n:aResponse>', "text/xml"),
        ('<?xml version="1.0" encoding="windows-1252"?>' + envelope(OK), "application/xml"),
        ("\n  " + envelope(OK), "application/xml"),
    ],
)  # fmt: skip
def test_a_good_reply_is_done_with_what_the_stored_process_says(body: str, kind: str) -> None:
    outcome = read(200, body, kind)
    assert outcome.verdict is Verdict.DONE
    assert outcome.result["rows"] == 3
    assert outcome.result["columns"] == 8


def test_the_raw_contract_is_read_without_an_envelope() -> None:
    outcome = read(200, OK, raw=True)
    assert (outcome.verdict, dict(outcome.result)) == (Verdict.DONE, FACTS)


@pytest.mark.parametrize(
    "body",
    [
        "<xResponse><xResult/></xResponse>",
        envelope(""),
        envelope("12 rows &amp; more", "text/plain"),
        envelope("!!! not Base64 !!!", "application/pdf"),
        envelope("<TABLE><ROW/></TABLE>"),
        "<xResponse><xResult><Parameters><ROWS>3</ROWS></Parameters></xResult></xResponse>",
    ],
)
def test_a_reply_without_a_word_of_its_own_counts_as_done(body: str) -> None:
    outcome = read(200, body)
    assert (outcome.verdict, dict(outcome.result)) == (Verdict.DONE, {})


def test_a_raw_stream_may_be_any_text_but_not_broken_xml() -> None:
    assert read(200, "12 rows", "text/plain", raw=True).verdict is Verdict.DONE
    assert read(200, "", "text/plain", raw=True).verdict is Verdict.DONE
    assert read(200, OK[:-5], "text/xml", raw=True).code == "not_sasbiws"
    assert read(200, "rows", "text/xml", raw=True).code == "not_sasbiws"


@pytest.mark.parametrize(
    "own",
    [
        "<stpResult><status>error</status><code>9</code><message>No library ORACLE.</message></stpResult>",
        "<stpResult><message>No library ORACLE.</message></stpResult>",
        '<result status="error">No library ORACLE.</result>',
        "<stpResult><STATUS>Error</STATUS><message>No library ORACLE.</message></stpResult>",
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_an_error_of_the_stored_process_is_refused_with_its_message(own: str, raw: bool) -> None:
    outcome = read(200, own if raw else envelope(own), raw=raw)
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "stored_process_error")
    assert outcome.cause == "No library ORACLE."
    assert outcome.message.startswith("The stored process reported an error of its own")
    assert outcome.message.endswith(": No library ORACLE.")


HARMLESS = [
    "No library ORACLE.",
    "Line 2 of the data file has 4 values, the metadata names 8 columns.",
    "The URL of the data file has expired (HTTP status 403, AccessDenied); run the task again!",
    "The setting urlhosts in conf/config.sas is empty.",
    "Größe der Spalte 日本: 3 + 4 - 1 #5",
    "Was it saved? Nobody knows.",
    "x" * 40,
    "ab " * 99 + "abc",
]
DOUBTFUL = [
    "",
    "https://b.s3.amazonaws.com/key",
    "b.s3.amazonaws.com/exports/data",
    "bucket.example/key",
    "see C:/SAS/logs",
    "see /var/log",
    "see C:\\SAS",
    "logs/a/b",
    "jane@example.com",
    "page?id",
    "?X-Amz-Signature",
    "token=abc",
    "a & b",
    "50 %2F",
    "it's closed",
    'the "name"',
    "<b>bold</b>",
    "`ls`",
    "a\u202eb",
    "a\0b",
    "x" * 41,
    "ab " * 100 + "c",
    SHA256,
]


@pytest.mark.parametrize("words", HARMLESS)
def test_a_harmless_message_may_be_shown(words: str) -> None:
    assert is_harmless(words)


@pytest.mark.parametrize("words", DOUBTFUL)
def test_a_message_that_may_hold_more_stays_in_the_log(words: str) -> None:
    assert not is_harmless(words)
    outcome = own_error(200, "9", words)
    assert outcome.message == "The stored process reported an error of its own (code 9)."
    assert (outcome.advice, outcome.cause) == (
        "Its message stands in the log of connector-proxy under this delivery id.", words,
    )  # fmt: skip


def test_a_message_over_several_lines_is_shown_on_one() -> None:
    outcome = own_error(200, "", "\n No library\n\tORACLE.  ")
    assert outcome.message.endswith(" of its own: No library ORACLE.")


@given(st.text(max_size=400))
def test_whatever_is_shown_holds_no_address_and_no_markup(words: str) -> None:
    if is_harmless(words):
        assert not set(words) & set("@=&%<>\"'`\\|{}[]$*~^\r\n\t")
        assert "://" not in words
        assert len(words) <= 300


def test_a_download_that_failed_inside_the_stored_process_may_be_repeated() -> None:
    own = "<stpResult><status>error</status><code>download_failed</code></stpResult>"
    assert read(200, envelope(own)).verdict is Verdict.RETRY


def test_a_fault_below_value_is_the_own_business_of_the_stored_process() -> None:
    assert read(200, envelope("<Exception>just data</Exception>")).verdict is Verdict.DONE
    report = "<report><Exception>none</Exception></report>"
    assert read(200, report, raw=True).verdict is Verdict.DONE


def test_output_that_is_broken_xml_is_not_taken_for_done() -> None:
    error = "<stpResult><status>error</status></stpResult>"
    for own, code in (
        (error[:-5], "not_sasbiws"),
        ("<!DOCTYPE x>" + error, "not_sasbiws"),
        ('<?xml version="1.0" encoding="UTF-16"?>' + error, "stored_process_error"),
    ):
        assert read(200, envelope(f"<![CDATA[{own}]]>")).code == code


@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_a_page_for_people_is_never_a_success(kind: str) -> None:
    page = "<!DOCTYPE html><html><form><input type='password'/></form></html>"
    assert read(200, page, kind).code == "logon_page"
    assert read(200, page, kind, raw=True).code == "logon_page"
    assert read(200, "<html>welcome</html>", kind).code == "logon_page"


@pytest.mark.parametrize("body", ["", "{}", "<weather/>", "<a><b></a>", "\0\0", "<Responses/>"])
def test_anything_else_is_not_an_answer_of_sasbiws(body: str) -> None:
    outcome = read(200, body, "application/xml")
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "not_sasbiws")


def test_entities_are_never_expanded() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]><rResponse>&l11;</rResponse>'
    assert read(200, bomb).code == "not_sasbiws"
    file = '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><rResponse>&f;</rResponse>'
    outcome = read(200, file)
    assert outcome.code == "not_sasbiws"
    assert "root:" not in outcome.cause


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("body", ["", OK[:20], envelope(OK)[:40]])
def test_an_answer_that_may_have_been_cut_leaves_the_outcome_unknown(body: str, raw: bool) -> None:
    kind = {"Content-Type": "text/xml"}
    outcome = read_reply(200, kind, body.encode(), raw=raw, delimited=False)
    assert outcome.verdict is Verdict.UNKNOWN


def test_a_compressed_or_utf_16_answer_is_not_taken_for_done() -> None:
    error = "<stpResult><status>error</status></stpResult>"
    assert read(200, error, raw=True, Content_Encoding="gzip").code == "not_sasbiws"
    utf16 = error.encode("utf-16")
    assert read(200, utf16, "text/plain; charset=utf-16", raw=True).code == "stored_process_error"


def test_a_fault_with_a_million_elements_is_read_at_once() -> None:
    body = "<Fault>" * 200 + "<a/>" * 300_000 + "</Fault>" * 200
    assert read(500, body).code == "sas_error"


def test_deep_nesting_and_a_cut_reply_are_not_an_answer() -> None:
    assert read(200, "<a>" * 5000 + "</a>" * 5000).code == "not_sasbiws"
    cut = read_reply(200, {}, envelope(OK).encode(), raw=False, complete=False)
    assert (cut.verdict, cut.code) == (Verdict.REFUSED, "not_sasbiws")


def test_the_charset_of_the_header_counts_where_the_document_has_none() -> None:
    body = envelope("<stpResult><status>ok</status><dataSet>Größe</dataSet></stpResult>").encode(
        "cp1252"
    )
    assert read(200, body, "text/xml;charset=windows-1252").result["dataSet"] == "Größe"
    assert read(200, body, "text/xml;charset=no-such").code == "not_sasbiws"


def test_only_small_and_harmless_facts_come_into_the_result() -> None:
    own = "<stpResult><status>ok</status><rows>-1</rows><columns>x</columns><dataSet>/path/with?query</dataSet><sha256>9f86</sha256></stpResult>"
    assert dict(read(200, envelope(own)).result) == {}


def test_what_a_foreign_server_says_is_kept_shortened() -> None:
    assert len(read(200, "x" * 100_000, "text/plain").cause) == KEPT


@settings(max_examples=300, deadline=None)
@given(
    st.integers(100, 599),
    st.binary(max_size=80) | st.text("<>/aRespontFuVl &;\"'=", max_size=80).map(str.encode),
    st.sampled_from(["", "text/xml", "text/html; charset=x", "application/xml;charset=utf-16"]),
    st.booleans(),
)
def test_no_reply_whatever_raises(status: int, body: bytes, kind: str, raw: bool) -> None:
    outcome = read(status, body, kind, raw)
    assert outcome.verdict in Verdict
    assert outcome.verdict is not Verdict.DONE or 200 <= status < 300
