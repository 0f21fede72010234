"""What may be shown, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector_proxy import masking
from connector_proxy.secrethash import hashed
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import payload


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "GET https://b.s3.amazonaws.com/x?X-Amz-Signature=abc done",
            "GET https://b.s3.amazonaws.com/x?<masked> done",
        ),
        (
            "path /x?a=1&X-Amz-Security-Token=abc%3D&b=2",
            "path /x?a=1&X-Amz-Security-Token=<masked>&b=2",
        ),
        ("Authorization: Basic c2VjcmV0OnM=", "Authorization: Basic <masked>"),
        ("authorization: bearer abc.def.ghi", "authorization: bearer <masked>"),
        ("password hunter2 here", "password <masked> here"),
        ("https://b/x?'sig=1", "https://b/x?<masked>"),
        ("https://user:pw@host/x", "https://<masked>@host/x"),
        ("GET /k?sig=1&x=2", "GET /k?sig=<masked>&x=2"),
        ("nothing to hide? no", "nothing to hide? no"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert masking.mask(text, ["hunter2"]) == shown


@pytest.mark.parametrize(
    "said",
    ["ERROR: https://h/x?X-Amz-Security-Token=SECRET\nSECRETcontinues", "https:\\/\\/h\\/x?sig=SECRET",
     "url%3DX-Amz-Signature%3DSECRET", "https://h/x%3FX-Amz-Signature%3DSECRET", "GET /k?sig=SECRET",
     "password pa&ss  word<9 refused", "password pa&ss word<9 refused", "pa&amp;ss word&lt;9",
     "pa%26ss%20%20word%3C9", "Ym9iOnBhJnNzICB3b3JkPDk="],
)  # fmt: skip
def test_what_others_say_is_shown_without_our_secrets_in_any_shape(
    said: str, settings: Settings
) -> None:
    own = replace(settings, stpusername=Secret("bob"), stppassword=Secret("pa&ss  word<9"))
    shown = masking.foreign("Before. " + said + " x" * 3000, masking.secrets_of(own))
    assert shown.startswith("Before.")
    assert len(shown) <= 2000
    for secret in ("SECRET", "word<9", "word&lt;9", "word%3C9", "Ym9iOn"):
        assert secret not in shown


def test_a_password_is_masked_as_our_own_request_writes_it(settings: Settings) -> None:
    own = replace(settings, stpusername=Secret("bob"), stppassword=Secret('pässwort"&'))
    for said in ('p&#228;sswort"&amp;', 'p\\u00e4sswort\\"&', "p%C3%A4sswort%22%26"):
        assert masking.foreign(said, masking.secrets_of(own)) == "<masked>"


def test_secrets_of_callers_are_masked_each_of_them(settings: Settings) -> None:
    text = hashed("x")
    own = replace(
        settings,
        basicuser=Secret("agent"),
        basicpassword=Secret("old1, new2"),
        bearertoken=Secret(f"tok/en, {text}"),
        headervalue=Secret("va&lue"),
    )
    said = f"old1 new2 YWdlbnQ6bmV3Mg== tok%2Fen {text} va&amp;lue"
    assert masking.mask(said, masking.secrets_of(own)) == " ".join(["<masked>"] * 6)


def test_the_address_of_a_staged_file_is_shown_without_its_token() -> None:
    address = "http://proxy/files/0123456789abcdef0123456789abcdef.to-ken_x/data"
    assert masking.mask(address) == address.replace("to-ken_x", "<masked>")


def test_of_an_event_is_shown_which_one_it_is_and_nothing_of_the_customer() -> None:
    event = payload("triggered.json")
    shown = masking.shown_payload(event)
    for name in ("guid", "eventType", "eventName", "channelType", "date"):
        assert shown[name] == event[name]
    assert shown["outboundProperties"]["properties"] == {
        "greeting": "<masked>",
        "stpName": "OneCustomer",
    }
    assert shown["impression"]["creativeContent"] == shown["identityId"] == "<masked>"
    assert shown["page"] is None and shown["contactResponse"]["responseTrackingCode"] == ""
    assert shown["trace"]["tracePoints"] == [
        {"tracePointName": "<masked>", "tracePointTimestamp": "<masked>"}
    ]


def test_of_a_task_the_signatures_alone_are_left_out() -> None:
    task = payload()
    shown = masking.shown_payload(task)
    assert shown["task"] == task["task"]
    assert all(url.endswith("?<masked>") for url in shown["presignedUrls"].values())
    assert masking.private_texts(task) == []


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: hello", "greeting=HELLO!", "<p>Hello world</p>", "&lt;p&gt;Hello", "%3Cp%3EHello%0A%20world%3C%2Fp%3E",
        '"subject_id": "1669"', "621aba3e-2225-3552-90a1-d9a9a6484238",
    ],
)  # fmt: skip
def test_what_others_say_is_cut_off_where_it_quotes_the_event(said: str) -> None:
    private = masking.private_texts(payload("triggered.json"))
    shown = masking.foreign(f"The row OneCustomer 18a06b23 {said} and more", (), private)
    assert shown.startswith("The row OneCustomer 18a06b23 ")
    assert shown.endswith("?<masked> (the rest is left out)")
    assert "ello" not in shown.lower() and "1669" not in shown and "621aba3e" not in shown


def test_words_that_only_hold_a_value_of_the_event_stay() -> None:
    assert masking.foreign("othello 16690", (), ["hello", "1669"]) == "othello 16690"


@pytest.mark.parametrize(
    "bit",
    ["http:/", "http://", "X-Amz-", "X-Amz-a", "?", "%3F", "https:\\/\\/", "token", "Basic ", "a@"],
)
def test_a_text_that_somebody_made_for_it_costs_no_more_than_its_length(bit: str) -> None:
    """A pattern that looks again from each of its beginnings would take a quarter of an hour."""
    text = bit * (1_000_000 // len(bit))
    assert len(masking.mask(text)) > 0
    assert len(masking.foreign(text, ())) <= 2000
