"""Names of objects: made of a template and the payload, never outside of their prefix."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.errors import Unprocessable
from connector_proxy.objectname import name_issue, named, object_name, one_segment
from tests.conftest import payload

AT = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)
PARAMETERS = ("s3_filename", "blob_filename", "file_name")


def of(template: str = "{filename}", **parameters: object) -> str:
    return object_name(
        {
            "sendParameters": parameters,
            "task": {"taskName": "Spring / sale", "occurrenceId": "o-1"},
        },
        template,
        PARAMETERS,
        AT,
    )


def refused(template: str = "{filename}", **parameters: object) -> Unprocessable:
    with pytest.raises(Unprocessable) as caught:
        of(template, **parameters)
    return caught.value


def test_the_name_of_the_published_payload_loses_its_blanks() -> None:
    assert (
        object_name(payload("bulk_s3_trailing_blank.json"), "{filename}", PARAMETERS, AT)
        == "my_audience.csv"
    )


@pytest.mark.parametrize("key", ["s3_filename", "S3_FileName ", " blob_filename", "FILE_NAME"])
def test_the_parameter_is_found_in_any_case_and_with_blanks(key: str) -> None:
    assert of(**{key: " audience.csv\t"}) == "audience.csv"


def test_the_first_parameter_that_is_not_blank_counts() -> None:
    assert of(file_name="c", blob_filename="b", s3_filename="  ") == "b"


def test_a_template_takes_send_parameters_the_task_and_the_day_in_utc() -> None:
    template = "audiences/{taskCode}/{Date}/{taskName}-{occurrenceId}/{filename}"
    name = of(template, taskCode="TSK_1", s3_filename="sub/a.csv")
    assert name == "audiences/TSK_1/2026-11-25/Spring _ sale-o-1/sub/a.csv"


def test_what_a_parameter_says_is_no_template() -> None:
    assert "U+007B" in refused(s3_filename="{date}").details[0].issue


def test_what_is_missing_is_named() -> None:
    assert refused().details[0].field == "sendParameters.s3_filename"
    assert refused("{taskCode}/x").details[0].field == "sendParameters.taskCode"
    assert "list or object" in refused(s3_filename=["a"]).details[0].issue


ATTACKS = [
    "../a.csv", "a/../../b.csv", "..", ".", "a/./b", "a//b", "/etc/passwd", "//host/share", "a/", "C:\\a.csv",
    "C:/a.csv", "\\\\host\\share", "a\\..\\b", "%2e%2e/a", "..%2fa", "a\x00.csv", "a\nb", "a\rb", "a\x7f", "a\u2028b",
    "a\u202egpj.csv", "a\ufeffb", "\ud800", "a?versionId=1", "a#b", "a|b", "a>b", "a:b", "a*b", '"a"', "$(id)", "`id`",
    ".../a", "a. /b", "a./b", "nul", "NUL.csv", "con/a", "lpt1.txt", "x" * 801, "x" * 201, "é" * 101, "{}", "a;b", "s3://other/a",
    "..\u200b/a", "\uff0e\uff0e/a\uff0fb\uff1a", "~/../a",
]  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS, ids=range(len(ATTACKS)))
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    error = refused("in/{filename}", s3_filename=name)
    assert error.status == 422
    assert error.details[0].field == "sendParameters.s3_filename"


@pytest.mark.parametrize("name", ATTACKS, ids=range(len(ATTACKS)))
def test_any_other_placeholder_is_one_segment_whatever_it_says(name: str) -> None:
    try:
        made = of("in/{taskCode}/a.csv", taskCode=name)
    except Unprocessable:
        return
    assert made.count("/") == 2
    assert made.startswith("in/")
    assert not name_issue(made)


@pytest.mark.parametrize(
    "name",
    [
        "Frühling.csv",
        "客户.csv",
        "a b (1) & c,'d'@=+-_~!.csv",
        "a/b/c.d",
        ".hidden",
        "e\u0301t\u00e9.csv",
    ],
)
def test_names_of_people_are_legal(name: str) -> None:
    assert of(s3_filename=name)


def test_names_that_look_the_same_are_the_same() -> None:
    assert of(s3_filename="e\u0301.csv") == of(s3_filename="\u00e9.csv") == "\u00e9.csv"


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_leads_out_of_the_prefix(one: str, other: str) -> None:
    try:
        name = of("in/{taskCode}/{filename}", taskCode=one, s3_filename=other)
    except Unprocessable:
        return
    steps = name.split("/")
    assert steps[0] == "in" and len(steps) >= 3
    assert not {"", ".", ".."} & set(steps)
    assert name.isprintable() and "\\" not in name


@given(st.text(min_size=1))
def test_any_text_becomes_a_segment(text: str) -> None:
    assert "/" not in one_segment(text)
    assert one_segment(text) not in ("", ".", "..")


@pytest.mark.parametrize(
    ("name", "content", "compress", "made"),
    [
        ("a.csv", "file", "none", "a.csv"), ("a", "csv", "none", "a"), ("a.csv", "parquet", "none", "a.parquet"),
        ("a.b", "xpt", "none", "a.b.xpt"), ("a.PARQUET", "parquet", "none", "a.PARQUET"), ("a", "parquet", "none", "a.parquet"),
        ("a.csv", "file", "gzip", "a.csv.gz"), ("a.csv.gz", "file", "gzip", "a.csv.gz"), ("a.txt", "xpt", "zstd", "a.xpt.zst"),
    ],
)  # fmt: skip
def test_the_ending_says_what_is_inside(name: str, content: str, compress: str, made: str) -> None:
    own: dict[str, Any] = {
        "objectname": "{filename}",
        "nameparameters": PARAMETERS,
        "content": content,
        "compress": compress,
        "tags": {},
    }
    assert named({"sendParameters": {"s3_filename": name}}, own, AT).name == made
