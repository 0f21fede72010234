"""The test-only runner does what the SAS documentation says, feature by feature.

Small programs, so that what the scenarios say about stored_process/ can be trusted.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.sas import (
    Column,
    Dataset,
    Fault,
    Killed,
    Run,
    RunnerFault,
    Session,
    Unknown,
    members,
    read,
    write,
)

QUIET = {"source": False}
GOES_ON = {"source": False, "syntaxcheck": False}


def run(program: str, **more: Any) -> Run:
    instream = more.pop("instream", None)
    more.setdefault("options", GOES_ON)
    return Session(**more).run(program, instream)


def said(program: str, **more: Any) -> list[str]:
    """Lines of the log that are neither notes nor empty."""
    lines = run(program, **more).log.split("\n")
    return [line for line in lines if line and not line.startswith("NOTE: ")]


def shown(expression: str, before: str = "", **more: Any) -> str:
    """What PUT makes of a character expression, with marks around it."""
    program = f"data _null_; length s $ 200; {before} s = '[' || ({expression}) || ']'; put s; run;"
    return said(program, **more)[0]


def number(expression: str, before: str = "", **more: Any) -> str:
    """What PUT makes of a numeric expression."""
    return said(f"data _null_; {before} n = {expression}; put n; run;", **more)[0].strip()


def refused(program: str, match: str, kind: type[RunnerFault] = Fault, **more: Any) -> None:
    with pytest.raises(kind, match=match):
        run(program, **more)


# Macro variables and text


def test_a_dot_ends_a_reference_and_two_dots_leave_one() -> None:
    assert said("%let a = x; %put &a.b &a..b &a;") == ["xb x.b x"]


def test_several_ampersands_are_resolved_from_left_to_right() -> None:
    program = (
        "%let i = 2; %let name2 = found; %let found = last; %put &&name&i &&&name&i &&name&i..z;"
    )
    assert said("%let name = n; %let n2 = other; " + program) == ["found other foundz"]


def test_nothing_is_resolved_in_single_quotes() -> None:
    assert said("%let a = x; data _null_; put '&a %a' \"&a\"; run;") == ["&a %ax"]


def test_an_unknown_reference_is_a_warning_and_stays_as_it_is() -> None:
    result = run("%put &nowhere;")
    assert "WARNING: Apparent symbolic reference NOWHERE not resolved." in result.log
    assert "&nowhere" in result.log
    assert result.syscc == 4


def test_an_unknown_macro_is_a_warning() -> None:
    assert (
        "WARNING: Apparent invocation of macro NOWHERE not resolved." in run("%put %nowhere;").log
    )


def test_blanks_around_a_value_go_and_masked_ones_stay() -> None:
    assert said("%let a =   x  ; %let b = %str( y ); %put [&a][&b];") == ["[x][ y ]"]


def test_a_comment_is_no_text() -> None:
    assert said("%let a = 1/* no */2; %* none; * nor this &such; %put &a;") == [
        "WARNING: Apparent symbolic reference SUCH not resolved.",
        "1 2",
    ]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("1 + 2 * 3 = 7", True),
        ("10 / 4 = 2", True),
        ("2 ** 3 = 8", True),
        ("9 < 10", True),
        ("a < b", True),
        ("10 < 9a", True),  # one is no number: characters are compared
        ("1.5 < 1.45", False),  # a period makes it characters
        ("abc = ABC", False),
        ("not 0", True),
        ("not 1 = 0", True),  # NOT binds tighter than the comparison
        ("1 and 0 or 1", True),
        ("%str(and) = %str(and)", True),
        ("&empty =", True),
        ("&empty ne x", True),
        ("-1 < 1", True),
        ("(1 or 0) and 0", False),
    ],
)
def test_conditions_are_evaluated_as_eval_does(condition: str, holds: bool) -> None:
    program = f"%let empty = ; %macro m; %if {condition} %then %put yes; %else %put no; %mend; %m"
    assert said(program) == ["yes" if holds else "no"]


@pytest.mark.parametrize(
    "condition", ["UTF-8 = UTF-8", "a/b = c", "%eval(1.5 + 1)", "x and 1", "abc"]
)
def test_an_operator_beside_text_that_is_no_number_is_an_error(condition: str) -> None:
    refused(f"%macro m; %if {condition} %then %put x; %mend; %m", "character operand")


def test_a_masked_hyphen_is_no_minus() -> None:
    program = "%let e = utf-8; %macro m; %if %superq(e) = %str(utf-8) %then %put same; %mend; %m"
    assert said(program) == ["same"]


def test_an_empty_condition_is_an_error() -> None:
    refused("%macro m; %let x = ; %if &x %then %put y; %mend; %m", "empty")


def test_sysevalf_knows_fractions_and_conversions() -> None:
    assert said("%put %sysevalf(1.5 + 1) %sysevalf(7 / 2, ceil) %sysevalf(0.5, boolean);") == [
        "2.5 4 1"
    ]


def test_do_loops_count_and_the_variable_ends_behind_the_last() -> None:
    program = "%macro m; %local i; %do i = 1 %to 3; %put &i; %end; %put end &i; %mend; %m"
    assert said(program) == ["1", "2", "3", "end 4"]
    assert said("%macro m; %do i = 5 %to 1 %by -2; %put &i; %end; %mend; %m") == ["5", "3", "1"]


def test_while_looks_before_and_until_after() -> None:
    program = "%macro m; %let i = 9; %do %while (&i < 3); %put w; %end; %do %until (&i > 3); %put u; %end; %mend; %m"
    assert said(program) == ["u"]


def test_return_leaves_one_macro() -> None:
    program = "%macro in; %put a; %return; %put b; %mend; %macro out; %in %put c; %mend; %out"
    assert said(program) == ["a", "c"]


def test_the_nearest_variable_is_assigned_and_a_new_one_is_local() -> None:
    program = """
        %let g = global;
        %macro inner; %let g = changed; %let mine = inner; %let own = x; %mend;
        %macro outer; %local own; %let own = outer; %inner %put own=&own mine=%symexist(mine); %mend;
        %outer
        %put g=&g own=%symexist(own);
    """
    assert said(program) == ["own=x mine=0", "g=changed own=0"]


def test_a_local_variable_hides_a_global_one() -> None:
    program = "%let a = g; %macro m; %local a; %let a = l; %put &a; %mend; %m %put &a;"
    assert said(program) == ["l", "g"]


def test_symputx_assigns_the_nearest_or_the_first_table_that_is_not_empty() -> None:
    program = """
        %macro inner; data _null_; call symputx('new', 'v'); run; %mend;
        %macro outer; %local here; %inner %put outer sees %symlocal(new); %mend;
        %outer
        %put global %symexist(new);
    """
    assert said(program) == ["outer sees 1", "global 0"]


def test_symputx_strips_and_symput_does_not() -> None:
    program = "data _null_; length a $ 5; a = ' x'; call symputx('s', a); call symput('k', a); run; %put [&s][&k];"
    assert said(program) == ["[x][ x   ]"]


def test_symputx_can_name_the_table() -> None:
    program = "%macro m; %local a; data _null_; call symputx('a', 1, 'G'); run; %mend; %m"
    refused(program, "global")
    program = "%macro m; data _null_; call symputx('b', 1, 'L'); run; %put %symlocal(b); %mend; %m %put %symexist(b);"
    assert said(program) == ["1", "0"]


def test_parameters_are_positional_or_keywords_with_defaults() -> None:
    program = "%macro m(a, b, c=3); %put &a-&b-&c; %mend; %m(1) %m(1, 2, c=4) %m(1, b=5)"
    assert said(program) == ["1--3", "1-2-4", "1-5-3"]


def test_a_comma_of_a_resolved_value_splits_arguments_unless_it_is_masked() -> None:
    refused("%macro m(a); %mend; %let x = 1,2; %m(&x)", "more positional parameters")
    assert said("%macro m(a); %put &a; %mend; %let x = 1,2; %m(%superq(x))") == ["1,2"]


def test_text_with_an_equal_sign_behind_a_name_is_a_keyword_parameter() -> None:
    refused("%macro m(a); %mend; %m(recfm=n)", "keyword parameter recfm")
    assert said("%macro m(a); %put &a; %mend; %m(the recfm=n)") == ["the recfm=n"]


def test_a_macro_without_parameters_leaves_brackets_alone() -> None:
    assert said("%macro m; x %mend; %put %m(1);") == ["x (1)"]


def test_a_macro_can_be_called_by_the_name_in_a_variable() -> None:
    assert said("%macro m(a); %put got &a; %mend; %let name = m; %&name(5)") == ["got 5"]


def test_superq_hands_on_what_the_macro_processor_would_act_on() -> None:
    program = """
        data _null_; call symputx('u', 'https://h/?a&b=%c,;''"x'); run;
        %macro show(name); data _null_; v = "%superq(&name)"; put v; run; %mend;
        %show(u)
    """
    assert said(program) == ["""https://h/?a&b=%c,;'"x"""]


def test_a_quote_in_a_resolved_value_is_a_fault() -> None:
    refused("%let q = %str(%'); %let v = %unquote(&q); data _null_; x = &v; run;", "quote")


def test_functions_unmask_and_their_q_twins_mask() -> None:
    program = "%let a = hidden; %let t = %nrstr(x &a); %put %scan(&t, 2, %str( )); %put %qscan(&t, 2, %str( ));"
    assert said(program) == ["hidden", "&a"]


def test_sysfunc_calls_functions_of_the_data_step() -> None:
    assert said(
        "%put %sysfunc(countw(a b c)) %sysfunc(verify(12x, 0123456789)) %sysfunc(sum(1, 2.5));"
    ) == ["3 3 3.5"]


def test_sysfunc_writes_numbers_with_best12_or_the_format() -> None:
    now = dt.datetime(2026, 11, 21, 8, 0, 0, 125000)
    assert said("%put %sysfunc(datetime()) %sysfunc(datetime(), 17.3);", now=now) == [
        "2110867200.1 2110867200.125"
    ]
    assert said("%put %sysfunc(today(), yymmddn8.);", now=now) == ["20261121"]


def test_open_code_if_needs_blocks_and_is_not_nested() -> None:
    assert said("%if 1 %then %do; %put a; %end; %else %do; %put b; %end;") == ["a"]
    refused("%if 1 %then %put a;", "open code")
    refused("%if 1 %then %do; %if 1 %then %do; %put a; %end; %end;", "nested")
    refused("%do i = 1 %to 2; %end;", "open code")


def test_a_step_runs_at_its_run_before_the_macro_language_goes_on() -> None:
    program = """
        %macro m; %local x; %let x = before;
        data _null_; call symputx('x', 'after'); y = "&x"; put y; run;
        %put &x; %mend; %m
    """
    assert said(program) == ["before", "after"]


def test_a_step_without_run_ends_where_the_next_one_begins() -> None:
    program = "%let x = 0; data _null_; call symputx('x', 1); data _null_; y = &x; put y; run;"
    assert said(program) == ["1"]


def test_a_macro_variable_is_at_most_65534_long() -> None:
    program = "%macro m; %local i; %do i = 1 %to 18; %let a = &a&a; %end; %mend; %let a = x; %m"
    refused(program, "65534")


def test_read_only_variables_and_statements_that_are_not_known() -> None:
    refused("%let syserr = 0;", "read-only")
    refused("%goto x;", "%goto", Unknown)
    refused("%macro m / minoperator; %mend;", "options of %MACRO", Unknown)


def test_mprint_shows_what_a_macro_makes() -> None:
    options = {"source": False, "mprint": True}
    program = '%let secret = s3cr3t; %macro m; data _null_; x = "&secret"; run; %mend; %m'
    assert 'MPRINT(M):   x = "s3cr3t";' in run(program, options=options).log
    assert "s3cr3t" not in run(program).log


def test_symbolgen_and_mlogic_show_values() -> None:
    log = run(
        "%macro m(a); %if &a = 1 %then %put x; %mend; %m(1)",
        options={"symbolgen": True, "mlogic": True, "source": False},
    ).log
    assert "SYMBOLGEN:  Macro variable A resolves to 1" in log
    assert "MLOGIC(M):  Parameter A has value 1" in log
    assert "MLOGIC(M):  %IF condition 1 = 1 is TRUE" in log


def test_source_lines_stand_in_the_log_when_source_is_on() -> None:
    assert " %put a;" in run("%put a;\n", options={}).log
    assert " %put a;" not in run("%put a;\n").log


def test_include_reads_a_file_in_the_middle_of_a_step(tmp_path: Path) -> None:
    (tmp_path / "part.sas").write_text("x = 5;\n%let seen = yes;\n")
    program = f"""
        filename part "{tmp_path}/part.sas";
        %macro m; data _null_; %include part; put x "&seen"; run; %mend; %m
        filename part clear;
    """
    assert said(program) == ["5 yes"]


def test_an_include_that_is_not_there_is_an_error_that_leaves_syscc_alone() -> None:
    result = run("%include '/nowhere/x.sas'; %put on;")
    assert "ERROR: Cannot open %INCLUDE file '/nowhere/x.sas'." in result.log
    assert result.syscc == 0


# Expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("7 - 2 - 1", "4"),
        ("1 + (2 < 3)", "2"),
        ("not 0", "1"),
        ("'a' < 'B'", "0"),
        ("'a' = 'a  '", "1"),
        ("'abc' =: 'ab'", "1"),
        ("'abc' ne: 'b'", "1"),
        ("'b' in ('a' 'b')", "1"),
        ("3 not in (1, 2)", "1"),
        ("1 < 2 < 3", "1"),
        ("1 < 2 < 2", "0"),
        (". < -5", "1"),
        (".a < 0", "1"),
        (". < .a", "1"),
        ("1 + .", "."),
        ("0FFx", "255"),
        ("1.5e3", "1500"),
        ("'21NOV2026'd", "24431"),
        ("'01JAN1960:00:00:01.5'dt", "1.5"),
    ],
)
def test_expressions(expression: str, value: str) -> None:
    assert number(expression) == value


def test_both_sides_of_and_are_evaluated() -> None:
    refused("data _null_; x = 0; if x > 0 and substr('a', x, 1) = 'a' then put x; run;", "SUBSTR")


@pytest.mark.parametrize(
    "statement",
    [
        "x = 'a' + 1",
        "length c $ 3; c = 5",
        "x = 1 || 'a'",
        "n = 1; if n = 'a' then put n",
        "x = length(5)",
    ],
)
def test_an_automatic_conversion_is_a_fault(statement: str) -> None:
    refused(f"data _null_; {statement}; run;", "convert|number beside|comparison of a character")


def test_what_was_never_given_a_value_is_a_fault() -> None:
    refused("data _null_; x = y + 1; run;", "Variable y is uninitialized")
    only_declared = run("data work.a; length y $ 5; x = 1; run;")
    assert "NOTE: Variable y is uninitialized." in only_declared.log


def test_a_missing_value_in_arithmetic_is_missing_and_a_division_by_zero_a_fault() -> None:
    assert number("x * 2", "x = .;") == "."
    refused("data _null_; x = 1 / 0; run;", "division by zero")


def test_not_in_front_of_a_comparison_needs_brackets() -> None:
    refused("data _null_; x = 1; if not x = 2 then put x; run;", "brackets")


# Lengths


def test_the_first_assignment_gives_the_length() -> None:
    assert shown("a || '.'", "a = 'xy'; a = 'long';") == "[lo.]"


def test_lengths_that_functions_give(tmp_path: Path) -> None:
    program = f"""
        libname o '{tmp_path}';
        data o.t; length v $ 7; v = 'a b';
          a = scan(v, 1); b = substr(v, 2); c = upcase(v); d = v || 'xx'; e = cats(v, 'x'); f = put(1, 5.);
          g = char(v, 1); h = input('abc', $char2.); i = tranwrd(v, 'a', 'b'); j = translate(v, 'a', 'b');
        run;"""
    run(program)
    lengths = {column.name: column.length for column in read(tmp_path, "t").columns}
    assert lengths == {
        "v": 7, "a": 200, "b": 7, "c": 7, "d": 9, "e": 200, "f": 5, "g": 1, "h": 2, "i": 200, "j": 7,
    }  # fmt: skip


def test_a_length_that_is_not_documented_has_to_be_declared() -> None:
    refused("data _null_; x = prxchange('s/a/b/', -1, 'a'); run;", "LENGTH")
    assert shown("x", "length x $ 3; x = prxchange('s/a/b/', -1, 'aaaa');").startswith("[bbb")


def test_a_length_after_the_first_use_is_a_fault() -> None:
    refused("data _null_; x = 'a'; length x $ 5; run;", "comes after")


def test_a_cat_function_that_does_not_fit_leaves_a_blank_and_a_warning() -> None:
    result = run(
        "data _null_; length a $ 3; a = catx(' ', 'ab', 'cd'); b = '[' || a || ']'; put b; run;"
    )
    assert "[   ]" in result.log
    assert "WARNING: In a call to the CATX function, the buffer allocated" in result.log
    assert result.syscc == 4


def test_a_number_that_does_not_fit_its_format_is_stars() -> None:
    assert shown("put(100, 2.)") == "[**]"
    assert shown("put(1000, 3.)") == "[1E3]"


# Functions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("trim('a  ') || 'b'", "[ab]"),
        ("trim(' ') || 'b'", "[ b]"),
        ("strip('  a ') || 'b'", "[ab]"),
        ("left('  a') || 'b'", "[a  b]"),
        ("substr('abc', 2)", "[bc]"),
        ("substrn('abc', 0, 2)", "[a]"),
        ("substrn('abc', 3, 5)", "[c]"),
        ("char('abc', 5)", "[ ]"),
        ("scan('a,b;c', 2, ',;')", "[b]"),
        ("scan('a,,c', 2, ',')", "[c]"),
        ("scan('a,,c', 2, ',', 'm')", "[]"),
        ("scan('a b c', -1)", "[c]"),
        ("scan('\"a,b\",c', 1, ',', 'q')", '["a,b"]'),
        ("scan('a.b', 2)", "[b]"),
        ("compress('a-b c', '- ')", "[abc]"),
        ("compress('a1b2', '12', 'k')", "[12]"),
        ("compress('a1b2', '', 'd')", "[ab]"),
        ("translate('abc', 'x', 'b')", "[axc]"),
        ("translate('abc', 'xy', 'b', 'z', 'c')", "[axz]"),
        ("tranwrd('a\"\"b', '\"\"', '\"')", '[a"b]'),
        ("catx('-', 'a ', ' ', ' b')", "[a-b]"),
        ("cats('a ', 5, ' b')", "[a5b]"),
        ("cat('a ', 'b')", "[a b]"),
        ("coalescec(' ', 'b')", "[b]"),
        ("choosec(2, 'a', 'b')", "[b]"),
        ("ifc(0, 'a', 'b')", "[b]"),
        ("repeat('ab', 2)", "[ababab]"),
        ("lowcase('AbC') || upcase('d')", "[abcD]"),
        ("put('ab', $hex4.)", "[6162]"),
        ("input('6162', $hex4.)", "[ab]"),
        ("put(sha256('abc'), $hex8.)", "[BA7816BF]"),
        ("put(hashing('sha256', 'abc'), $8.)", "[BA7816BF]"),
        ("put(5, z4.)", "[0005]"),
        ("put(1234.5, comma9.1)", "[  1,234.5]"),
        ("put(255, hex4.)", "[00FF]"),
        ("put(0.5, 4.1) || put(-1.25, 6.2)", "[ 0.5 -1.25]"),
        ("put(., 3.) || put(.b, 2.)", "[  . B]"),
        ("put(1/3, best8.)", "[0.333333]"),
        ("put(123456789012345, best32.)", "[                 123456789012345]"),
        ("put('21NOV2026'd, e8601da10.)", "[2026-11-21]"),
        ("put('21NOV2026:08:00:00.5'dt, e8601dt23.3)", "[2026-11-21T08:00:00.500]"),
        ("put('21NOV2026:08:00:00'dt, e8601dt21.)", "[2026-11-21T08:00:00  ]"),
        ("put(1257000, best6.) || put(1257000, best3.)", "[1.26E61E6]"),
        ("put('21NOV2026'd, date9.)", "[21NOV2026]"),
        ("prxchange('s/[^A-Z]/_/', -1, 'aBc')", "[_B_]"),
        ("prxchange('s/(a)(b)/$2$1/', 1, 'abab')", "[baab]"),
        ("prxchange('s/A/x/i', -1, 'aA')", "[xx]"),
    ],
)
def test_functions_that_give_characters(expression: str, value: str) -> None:
    assert shown(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("length(' ')", "1"),
        ("lengthn(' ')", "0"),
        ("find('abcabc', 'b', 3)", "5"),
        ("find('abc', 'x')", "0"),
        ("find('abc', 'c', 9)", "0"),
        ("index('abc', 'bc')", "2"),
        ("indexc('abc', 'xc')", "3"),
        ("verify('12a', '0123456789')", "3"),
        ("verify('12 ', '0123456789')", "3"),  # the blanks that pad a value count
        ("findw('ab abc', 'abc', ' ')", "4"),
        ("countw('a b  c')", "3"),
        ("countw('a,,c', ',', 'm')", "3"),
        ("countc('a,b,c', ',')", "2"),
        ("anydigit('ab1')", "3"),
        ("whichc('b', 'a', 'b ')", "2"),
        ("missing(' ') + missing(.)", "2"),
        ("n(1, ., 2) * 10 + nmiss(1, .)", "21"),
        ("max(., 3, 1)", "3"),
        ("sum(1, ., 2)", "3"),
        ("mod(-7, 3)", "-1"),
        ("int(-1.5) * 10 + floor(-1.5)", "-12"),
        ("ceil(1.2)", "2"),
        ("round(2.5)", "3"),
        ("prxmatch('/^a+$/', 'aaa')", "1"),
        ("prxmatch('/^a+$/', 'aaa ')", "0"),  # the blank is part of the value
        ("input('  12 ', 5.)", "12"),
        ("input('1.5E2', 8.)", "150"),
        ("input('1D2', 8.)", "100"),
        ("input('125', 5.2)", "1.25"),
        ("input('1.2', 5.2)", "1.2"),
        ("input('.', 5.)", "."),
        ("input(' ', 5.)", "."),
        ("input('1,5', ?? 5.)", "."),
        ("input('1 5', ?? 5.)", "."),
        ("input('0x1F', ?? 5.)", "."),
        ("input('1-5', ?? 5.)", "."),
        ("input('nan', ?? 5.)", "."),
        ("input('2026-11-21', e8601da10.)", "24431"),
        ("input('2026-02-30', ?? e8601da10.)", "."),
        ("input('1960-01-01T00:00:01.25', e8601dt26.)", "1.25"),
        ("input('1960-01-01 00:00:01', ?? e8601dt26.)", "."),
        ("input('1960-01-01T01:00:00+01:00', e8601dz35.)", "0"),
        ("input('1960-01-01T00:00:00Z', e8601dz35.)", "0"),
        ("input('1960-01-01T00:00:00+01', ?? e8601dz35.)", "."),
        ("input('20261121', yymmdd8.)", "24431"),
        ("datepart('21NOV2026:10:00:00'dt)", "24431"),
    ],
)
def test_functions_that_give_numbers(expression: str, value: str) -> None:
    assert number(expression) == value


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("x = substr('abc', 4)", "second argument to function SUBSTR"),
        ("x = substr('abc', 2, 5)", "third argument to function SUBSTR"),
        ("length x $ 5; x = choosec(3, 'a', 'b')", "index of CHOOSEC"),
        ("x = length('a', 'b')", "too many arguments"),
        ("x = put(1, $5.)", "other type"),
        ("x = input('a', e8601da8.)", "not within 10-10"),
        ("x = put(1, best40.)", "not within 1-32"),
        ("x = put('a', $char40000.)", "not within"),
    ],
)
def test_arguments_and_widths_that_are_not_valid_are_faults(statement: str, match: str) -> None:
    refused(f"data _null_; {statement}; run;", match)


@pytest.mark.parametrize(
    "statement",
    [
        "x = soundex('a')",
        "x = put(1, words20.)",
        "x = input('1', percent5.)",
        "declare hash h()",
        "x = 1; abort",
        "x = 1 <> 2",
        "x = scan('a', 1, ',', 'z')",
        "infile datalines",
        "input x 1-5",
        "goto there",
        "length x 4",
        "call execute('x')",
    ],
)
def test_what_is_not_in_the_subset_is_named(statement: str) -> None:
    with pytest.raises(Unknown):
        run(f"data _null_; {statement}; run;")


@pytest.mark.parametrize(
    "statement",
    [
        "proc sql; quit;",
        "endsas;",
        "x 'ls';",
        "title 'a';",
        "options noerrabend;",
        "libname a oracle path=x;",
    ],
)
def test_statements_and_procedures_that_are_not_in_the_subset_are_named(statement: str) -> None:
    with pytest.raises(Unknown):
        run(statement)


def test_functions_work_on_bytes_and_their_k_twins_on_characters() -> None:
    assert number("length('äb')") == "3"
    assert number("length('äb')", encoding="wlatin1") == "2"
    assert number("klength('äb')") == "2"
    assert shown("ktruncate('aä', 1, 2)") == "[a]"


def test_invalid_data_is_dumped_into_the_log_unless_two_question_marks_stand_there() -> None:
    program = "data _null_; secret = 'x1'; n = input(secret, {} 5.); put n; run;"
    log = run(program.format("")).log
    assert "NOTE: Invalid argument to function INPUT" in log
    assert "secret=x1 n=. _ERROR_=1 _N_=1" in log
    assert "secret" not in run(program.format("??")).log


def test_errors_0_says_only_that_there_were_some() -> None:
    log = run(
        "options errors=0; data _null_; secret = 'x1'; n = input(secret, 5.); put n; run;"
    ).log
    assert "x1" not in log
    assert "Limit set by ERRORS= option reached" in log


# Control flow


def test_do_loops_of_every_kind() -> None:
    program = """
        data _null_;
          do i = 1 to 3; put i @; end; put i;
          do i = 3 to 1 by -1 while (i > 1); put i @; end; put;
          do i = 5, 7, 9; put i @; end; put;
          x = 0; do until (x >= 0); x + 1; put 'u' x @; end; put;
          do while (x < 3); x + 1; if x = 2 then continue; put 'w' x @; if x = 3 then leave; end; put;
        run;"""
    assert [line.strip() for line in said(program)] == ["1 2 3 4", "3 2", "5 7 9", "u1", "w3"]


def test_else_belongs_to_the_nearest_if() -> None:
    program = """data _null_; do x = 1 to 3;
        if x = 1 then put 'one'; else if x = 2 then do; put 'two'; end; else put 'more'; end; run;"""
    assert said(program) == ["one", "two", "more"]


def test_select_takes_the_first_that_fits() -> None:
    program = "data _null_; x = 2; select (x); when (1) put 'a'; when (2, 3) put 'b'; otherwise put 'c'; end; run;"
    assert said(program) == ["b"]
    refused("data _null_; x = 9; select (x); when (1) put 'a'; end; run;", "OTHERWISE")


def test_link_comes_back_and_return_ends_the_iteration_with_output() -> None:
    program = """
        data work.t; x = 1; link twice; link twice; y = 7; return; y = 9;
        twice: x = x * 2; return;
        run;
        data _null_; set work.t; put x y; run;"""
    assert said(program) == ["4 7"]


def test_a_label_is_run_into_when_nothing_stops_it() -> None:
    assert said("data _null_; put 'a'; there: put 'b'; run;") == ["a", "b"]


def test_output_stop_delete_and_a_subsetting_if() -> None:
    program = """
        data work.a; do x = 1 to 5; output; end; run;
        data work.b; set work.a; if x = 2 then delete; if x < 5; if x = 4 then stop; run;
        data _null_; set work.b; put x; run;"""
    assert said(program) == ["1", "3"]


def test_several_datasets_are_written_in_one_step() -> None:
    program = """
        data work.a(keep=x) work.b(drop=x rename=(y=z)); x = 1; y = 2; output work.b; output; run;
        data _null_; set work.b(in=from) work.a; if from then put z; else put x; run;"""
    assert said(program) == ["2", "2", "1"]


def test_variables_start_missing_in_each_iteration_unless_retained() -> None:
    program = """
        data work.a; do x = 1 to 2; output; end; run;
        data _null_; set work.a; retain r 5; r = r + x; if x = 1 then f = 9; s + x; put r f s; run;"""
    assert said(program) == ["6 9 1", "8 . 3"]


def test_temporary_arrays_keep_their_values_and_subscripts_are_checked() -> None:
    program = """
        data work.a; do x = 1 to 2; output; end; run;
        data _null_; set work.a; array t {3} _temporary_ (3 * 5); array c {2} $ 4 _temporary_ ('ab' 'cd');
          t{x} = t{x} + x; y = t{1}; n = dim(t); w = whichc('cd', of c{*}); put y n w; run;"""
    assert said(program) == ["6 3 2", "6 3 2"]
    refused("data _null_; array t {3} _temporary_; x = t{4}; run;", "subscript out of range")


def test_substr_on_the_left_changes_a_part() -> None:
    assert shown("a", "length a $ 4; a = 'abcd'; substr(a, 2, 2) = 'x';") == "[ax d]"


def test_a_step_that_reads_nothing_runs_once_and_an_endless_one_is_a_fault() -> None:
    assert said("data _null_; put _n_; run;") == ["1"]
    refused("data _null_; do while (1); x = 1; end; run;", "never ends")
    refused("data work.a; x = 1; run; data _null_; if 0 then set work.a; run;", "for ever")
    refused("%macro m; %do %while (1); %end; %mend; %m", "never ends")
    refused("%macro m; %m %mend; %m", "deep")
    refused("data _null_; link a; return; a: link a; return; run;", "deeply")


# Datasets


def test_set_knows_its_end_and_the_number_of_rows() -> None:
    program = """
        data work.a; do x = 1 to 3; output; end; run;
        data _null_; if 0 then set work.a nobs=count; put count; stop; run;
        data _null_; set work.a(firstobs=2 where=(x < 9)) end=last; put x last; run;"""
    assert said(program) == ["3", "2 0", "3 1"]


def test_a_set_that_is_exhausted_ends_the_step_at_once() -> None:
    program = """
        data work.a; do x = 1 to 3; output; end; run;
        data work.b; do y = 1 to 2; output; end; run;
        data _null_; set work.a; set work.b; put x y; run;"""
    assert said(program) == ["1 1", "2 2"]


def test_merge_by_keeps_the_last_row_of_the_shorter_one() -> None:
    program = """
        data work.a; k = 1; a = 'x'; output; k = 2; a = 'y'; output; run;
        data work.b; k = 1; b = 1; output; b = 2; output; k = 3; b = 3; output; run;
        data _null_; merge work.a(in=ina) work.b(in=inb) end=last; by k;
          put k a b ina inb first.k last.k last; run;"""
    assert said(program) == [
        "1 x 1 1 1 1 0 0",
        "1 x 2 1 1 0 1 0",
        "2 y . 1 0 1 1 0",
        "3   3 0 1 1 1 1",
    ]


def test_by_needs_sorted_data_and_proc_sort_sorts() -> None:
    program = """
        data work.a; do x = 3, 1, 2, 1; output; end; run;
        data _null_; set work.a; by x; run;
        proc sort data=work.a out=work.b nodupkey; by x; run;
        data _null_; set work.b; by x; put x; run;"""
    result = run(program)
    assert "ERROR: BY variables are not properly sorted on data set WORK.A." in result.log
    assert [
        line for line in result.log.split("\n") if line.isdigit() or line.strip().isdigit()
    ] == ["1", "2", "3"]


def test_a_longer_value_of_a_second_dataset_is_cut_with_a_warning() -> None:
    program = """
        data work.a; c = 'ab'; run; data work.b; c = 'wxyz'; run;
        {} data _null_; set work.a work.b; put c; run;"""
    result = run(program.format(""))
    assert "WARNING: Multiple lengths were specified for the variable c" in result.log
    assert "wx" in result.log
    assert run(program.format("options varlenchk=nowarn;")).problems() == []


def test_character_and_numeric_variables_of_one_name_stop_the_step() -> None:
    result = run(
        "data work.a; c = 'ab'; run; data work.b; c = 1; run; data work.d; set work.a work.b; run;"
    )
    assert "ERROR: Variable c has been defined as both character and numeric." in result.log
    assert result.work == ["A", "B"]


def test_labels_formats_and_values_reach_a_library(tmp_path: Path) -> None:
    program = f"""
        libname out '{tmp_path}';
        data out.Table(label='mine' compress=char);
          length name $ 10; format day e8601da10.; label name = 'Who''s';
          name = 'Ä'; day = '21NOV2026'd; special = .b; none = .;
        run;"""
    # FORMAT before DAY has a type is a fault, so the program is put right here
    program = program.replace("format day e8601da10.;", "length day 8; format day e8601da10.;")
    run(program)
    table = read(tmp_path, "table")
    assert table.columns[0] == Column("name", "char", 10, "Who's")
    assert table.column("day").format == "E8601DA10."
    row = table.python_rows()[0]
    assert (row["name"], row["day"], str(row["special"]), row["none"]) == ("Ä", 24431.0, ".B", None)
    assert (table.label, table.compress, members(tmp_path)) == ("mine", "char", ["TABLE"])


def test_a_dataset_that_is_read_and_written_in_one_step(tmp_path: Path) -> None:
    write(tmp_path, "t", Dataset([Column("x", "num", 8)], [(1.0,), (2.0,)]))
    run(f"libname o '{tmp_path}'; data o.t; set o.t; x = x * 10; run;")
    assert read(tmp_path, "t").values("x") == [10.0, 20.0]


def test_replace_no_keeps_a_permanent_dataset(tmp_path: Path) -> None:
    program = f"libname o '{tmp_path}'; data o.t; x = 1; run; data o.t(replace=no); x = 2; run; %put &syserr;"
    result = run(program)
    assert "was not replaced because of NOREPLACE option" in result.log
    assert read(tmp_path, "t").values("x") == [1.0]
    assert result.syscc > 4


# External files


def reads(raw: bytes, tmp_path: Path, infile: str, rest: str, **more: Any) -> Run:
    (tmp_path / "in.txt").write_bytes(raw)
    path = "C:\\data\\in.txt" if more.get("platform") == "windows" else tmp_path / "in.txt"
    if more.get("platform") == "windows":
        more["roots"] = {"C:\\data": tmp_path}
    return run(f"data _null_; infile '{path}' {infile}; {rest} run;", **more)


def lines(result: Run) -> list[str]:
    return [line for line in result.log.split("\n") if line and not line.startswith("NOTE: ")]


def test_records_end_at_lf_on_unix_and_at_both_on_windows(tmp_path: Path) -> None:
    raw, rest = b"a\r\nb\nc", "input; n = length(_infile_); put n;"
    assert lines(reads(raw, tmp_path, "", rest)) == ["2", "1", "1"]
    assert lines(reads(raw, tmp_path, "", rest, platform="windows")) == ["1", "1", "1"]
    assert lines(reads(raw, tmp_path, "termstr=lf", rest, platform="windows")) == ["2", "1", "1"]
    assert lines(reads(raw, tmp_path, "termstr=crlf", rest)) == ["1", "3"]


def test_a_byte_1a_ends_a_file_on_windows_unless_it_is_ignored(tmp_path: Path) -> None:
    raw, rest = b"a\n\x1ab\nc\n", "input; put _n_;"
    assert lines(reads(raw, tmp_path, "", rest)) == ["1", "2", "3"]
    assert lines(reads(raw, tmp_path, "", rest, platform="windows")) == ["1"]
    assert lines(reads(raw, tmp_path, "ignoredoseof", rest, platform="windows")) == ["1", "2", "3"]
    with pytest.raises(Fault, match="Windows"):
        reads(raw, tmp_path, "ignoredoseof", rest)


def test_a_record_beyond_lrecl_is_cut_and_noted(tmp_path: Path) -> None:
    result = reads(
        b"x" * 50 + b"\nshort\n", tmp_path, "lrecl=10 length=len", "input; n = len; put n;"
    )
    assert lines(result) == ["10", "5"]
    assert "NOTE: One or more lines were truncated." in result.log
    assert "NOTE: 2 records were read" in result.log


def test_length_and_end_tell_about_the_record_at_hand(tmp_path: Path) -> None:
    result = reads(b"abc\n\nde\n", tmp_path, "length=len end=last", "input; n = len; put n last;")
    assert lines(result) == ["3 0", "0 0", "2 1"]


def test_a_held_record_is_read_again_until_it_is_let_go(tmp_path: Path) -> None:
    rest = "length a b $ 2; input @1 a $char2. @; input @3 b $char2. @; input; put a b; input a $char1.; put a;"
    assert lines(reads(b"abcd\nx\n", tmp_path, "truncover", rest)) == ["ab cd", "x"]


def test_a_single_trailing_at_holds_within_the_iteration_alone(tmp_path: Path) -> None:
    assert lines(reads(b"a\nb\n", tmp_path, "", "input x $char1. @; put x;")) == ["a", "b"]
    assert lines(
        reads(b"ab\n", tmp_path, "truncover", "input x $char1. @@; put x; if x = 'b' then stop;")
    ) == [
        "a",
        "b",
    ]


def test_varying_reads_as_much_as_its_variable_says_beyond_32767_too(tmp_path: Path) -> None:
    rest = """length w $ 10; input @; n = 3; at = 40001; input @at w $varying10. n @; put w;
        n = 0; input @1 w $varying10. n @; m = missing(w); put m; n = 99; input @1 w $varying10. n @; put w;"""
    raw = b"y" * 40000 + b"abcdef\n"
    assert lines(reads(raw, tmp_path, "lrecl=100000 truncover", rest)) == ["abc", "1", "yyyyyyyyyy"]


def test_the_buffer_infile_holds_no_more_than_32767_bytes(tmp_path: Path) -> None:
    rest = "input; n = length(_infile_); put n;"
    assert lines(reads(b"x" * 40000 + b"\n", tmp_path, "lrecl=100000", rest)) == ["32767"]


def test_reading_past_the_end_of_a_line_is_a_fault_without_truncover(tmp_path: Path) -> None:
    rest = "length x $ 5; input x $char5.; put x;"
    with pytest.raises(Fault, match="past the end of a line"):
        reads(b"abc\nde\n", tmp_path, "", rest)
    assert lines(reads(b"abc\n", tmp_path, "truncover", rest)) == ["abc"]
    assert lines(reads(b"abc\n", tmp_path, "missover", rest)) == [" "]


def test_a_file_in_another_encoding_is_transcoded(tmp_path: Path) -> None:
    raw = "Jürgen\n".encode()
    rest = "input; n = length(_infile_); put n;"
    assert lines(reads(raw, tmp_path, "encoding='utf-8'", rest)) == ["7"]
    assert lines(reads(raw, tmp_path, "encoding='utf-8'", rest, encoding="wlatin1")) == ["6"]
    assert lines(reads(raw, tmp_path, "", rest, encoding="wlatin1")) == ["7"]
    result = reads("Łódź\n".encode(), tmp_path, "encoding='utf-8'", rest, encoding="wlatin1")
    assert "WARNING: A character that could not be transcoded was encountered." in result.log
    assert result.syscc == 4


def test_recfm_n_copies_every_byte(tmp_path: Path) -> None:
    raw = bytes(range(256)) + b"\r\n\x1a\n"
    program = f"""
        filename in '{tmp_path}/a'; filename out '{tmp_path}/b';
        data _null_; infile in recfm=n; file out recfm=n; input byte $char1.; put byte $char1.; run;"""
    (tmp_path / "a").write_bytes(raw)
    run(program)
    assert (tmp_path / "b").read_bytes() == raw


def test_what_recfm_n_does_not_promise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="RECFM=N"):
        reads(b"a", tmp_path, "recfm=n end=last", "input x $char1.; put last;")


def test_list_input_takes_words(tmp_path: Path) -> None:
    assert lines(reads(b"12  abc\n", tmp_path, "", "input n c $; put c n;")) == ["abc 12"]


def test_put_writes_lists_formats_and_pointers(tmp_path: Path) -> None:
    program = f"""
        data _null_; file '{tmp_path}/out.txt';
          length name $ 8; name = 'ab'; n = 5;
          put 'length ' name '$ ' n ';';
          put '<' name +(-1) '>' n z3. @20 'x';
          put name= n=;
          put 'held' @; put ' on';
        run;"""
    run(program)
    assert (tmp_path / "out.txt").read_text() == (
        "length ab $ 5 ;\n<ab>005            x\nname=ab n=5\nheld on\n"
    )


def test_lines_end_with_cr_lf_on_windows_and_mod_appends(tmp_path: Path) -> None:
    program = "data _null_; file 'C:/d/o.txt'; put 'a'; run; data _null_; file 'c:\\D\\O.TXT' mod; put 'b'; run;"
    run(program, platform="windows", roots={"C:\\d": tmp_path})
    assert (tmp_path / "o.txt").read_bytes() == b"a\r\nb\r\n"


def test_a_relative_path_on_windows_is_a_fault() -> None:
    refused("data _null_; file 'o.txt'; put 'a'; run;", "current folder", platform="windows")


@pytest.mark.parametrize("name", ["nul", "sub\\COM1.txt", "Aux/x", "x.", "sub /x"])
def test_a_name_that_windows_does_not_take_is_a_fault(tmp_path: Path, name: str) -> None:
    program = f"%put %sysfunc(fileexist(C:\\d\\{name}));"
    refused(program, "does not take", platform="windows", roots={"C:\\d": tmp_path})


@pytest.mark.parametrize("name", ["*", "x?"])
def test_a_path_that_may_be_several_files_is_a_fault(tmp_path: Path, name: str) -> None:
    refused(f"data _null_; rc = filename('f', '{tmp_path}/{name}'); put rc; run;", "wildcard")


def test_a_folder_is_there_but_cannot_be_opened(tmp_path: Path) -> None:
    program = f"""
        data _null_; rc = filename('f', '{tmp_path}'); there = fexist('f'); id = fopen('f');
          put rc there id; run; filename f clear;"""
    assert lines(run(program)) == ["0 1 0"]


def test_filerefs_tell_whether_they_and_their_files_are_there(tmp_path: Path) -> None:
    program = """
        %put %eval(%sysfunc(fileref(t)) > 0);
        filename t temp; %put %eval(%sysfunc(fileref(t)) < 0);
        data _null_; file t; put 'a'; run; %put %sysfunc(fileref(t)) %sysfunc(fexist(t));
        filename t clear;
        filename toolonganame temp;"""
    with pytest.raises(Fault, match="at most 8"):
        run(program)
    assert said(program.replace("filename toolonganame temp;", "")) == ["1", "1", "0 1"]
    assert said(f"%put %sysfunc(fileexist({tmp_path})) %sysfunc(fileexist({tmp_path}/x));") == [
        "1 0"
    ]


def test_folders_are_listed_and_files_deleted(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x")
    (tmp_path / "b.log").write_text("x")
    program = f"""
        data _null_; length name $ 20; rc = filename('d', '{tmp_path}'); id = dopen('d');
          do i = 1 to dnum(id); name = dread(id, i); put name; end;
          rc = dclose(id); rc = filename('f', '{tmp_path}/a.log'); rc = fdelete('f'); put rc;
          rc = filename('f', ' '); rc = filename('d', ' ');
        run;"""
    result = run(program)
    assert lines(result) == ["a.log", "b.log", "0"]
    assert [one.name for one in tmp_path.iterdir()] == ["b.log"]
    assert (result.filerefs, result.handles) == ([], [])


def test_the_size_and_the_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    program = f"""
        filename f '{tmp_path}/f'; %let id = %sysfunc(fopen(f));
        %put %sysfunc(finfo(&id, File Size (bytes))); %let id = %sysfunc(fclose(&id));
        %put %substr(%sysfunc(hashing_file(sha256, {tmp_path}/f)), 1, 8);"""
    assert said(program) == ["3", "BA7816BF"]
    (tmp_path / "f").write_bytes(b"")
    refused(f"%put %sysfunc(hashing_file(sha256, {tmp_path}/f));", "empty")


# Libraries


def test_a_library_that_is_not_there_leaves_syscc_alone() -> None:
    result = run("libname x '/nowhere'; %put %sysfunc(libref(x)); %put %sysfunc(libref(work));")
    assert lines(result)[0] != "0"
    assert lines(result)[1] == "0"
    assert result.syscc == 0


def test_attributes_of_a_dataset_through_an_identifier(tmp_path: Path) -> None:
    write(tmp_path, "t", Dataset([Column("Name", "char", 9), Column("n", "num", 8)], [(b"a", 1.0)]))
    program = f"""
        libname o '{tmp_path}';
        data _null_; length name $ 32 type $ 1; id = open('o.t'); rows = attrn(id, 'nlobs');
          at = varnum(id, 'NAME'); none = varnum(id, 'x'); name = varname(id, at); type = vartype(id, at);
          size = varlen(id, at); rc = close(id); put rows at none name type size; id = open('o.none'); put id; run;"""
    assert said(program) == ["1 1 0 Name C 9", "0"]


def test_an_identifier_that_is_not_closed_is_told() -> None:
    assert run("data work.t; x = 1; run; %let id = %sysfunc(open(work.t));").handles


def test_a_database_does_not_know_the_number_of_its_rows(tmp_path: Path) -> None:
    program = "libname d sqlsvr dsn=x; data d.t; x = 1; run; %let id = %sysfunc(open(d.t));"
    program += "%put %sysfunc(attrn(&id, nlobs)) %sysfunc(attrc(&id, engine)); %let id = %sysfunc(close(&id));"
    assert said(program, engines={"sqlsvr": tmp_path}) == ["-1 SQLSVR"]
    program = "%let id = %sysfunc(open(site.t)); %put %sysfunc(attrn(&id, nlobs));"
    assert said(program, librefs={"site": (tmp_path, False)}) == ["-1"]


MAP = """<SXLEMAP name="m" version="2.1"><TABLE name="InData">
<TABLE-PATH syntax="XPath">/Table/InData</TABLE-PATH>
<COLUMN name="a"><PATH syntax="XPath">/Table/InData/a</PATH><TYPE>character</TYPE>
<DATATYPE>string</DATATYPE><LENGTH>3</LENGTH></COLUMN>
<COLUMN name="n"><PATH syntax="XPath">/Table/InData/n</PATH><TYPE>numeric</TYPE>
<DATATYPE>double</DATATYPE></COLUMN></TABLE></SXLEMAP>"""
XML = """libname x xmlv2 xmlfileref=instream xmlmap=m access=readonly;
data _null_; set x.InData; put a n; run; %put syserr &syserr;"""


def xml(document: str, tmp_path: Path, described: str = MAP, **more: Any) -> Run:
    (tmp_path / "m.map").write_text(described)
    folder = f"filename m '{tmp_path}/m.map';"
    return run(folder + XML, instream=document.encode(), **more)


def test_xml_is_read_with_a_map_and_cut_at_its_lengths(tmp_path: Path) -> None:
    document = "<Table><InData><a>&lt;abcd</a><n>5</n></InData><InData><b>?</b></InData></Table>"
    assert lines(xml(document, tmp_path)) == ["<ab 5", "  .", "syserr 0"]


def test_xml_that_is_not_well_formed_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    result = xml("<Table><InData>", tmp_path)
    assert any(line.startswith("ERROR: XML parsing error") for line in result.problems())
    assert "syserr 0" not in result.log
    assert result.syscc > 4


def test_a_map_that_is_no_map_leaves_the_libref_unassigned(tmp_path: Path) -> None:
    assert "ERROR: Libref X is not assigned." in xml("<Table/>", tmp_path, "<SXLEMAP").log


def test_xml_characters_that_the_session_does_not_have_are_an_error(tmp_path: Path) -> None:
    document = "<Table><InData><a>Ł</a></InData></Table>"
    assert "transcoding" in xml(document, tmp_path, encoding="wlatin1").problems()[0]
    assert lines(xml(document, tmp_path))[0] == "Ł ."


def test_an_element_that_stands_twice_in_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="2 times"):
        xml("<Table><InData><a>1</a><a>2</a></InData></Table>", tmp_path)


def test_json_is_read_with_a_map(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(
        '{"DATASETS": [{"DSNAME": "t", "TABLEPATH": "/root", "VARIABLES": ['
        '{"NAME": "a", "TYPE": "CHARACTER", "PATH": "/root/a", "LENGTH": 3},'
        '{"NAME": "n", "TYPE": "NUMERIC", "PATH": "/root/n"}]}]}'
    )
    program = f"""filename m '{tmp_path}/m.json'; filename j '{tmp_path}/j.json';
        libname x json fileref=j map=m noalldata ordinalcount=none;
        %put %eval(%sysfunc(libref(x)) = 0); data _null_; set x.t; put a n; run;"""
    (tmp_path / "j.json").write_text('[{"a": "abcd", "n": 1}, {"b": null}]')
    assert said(program) == ["1", "abc 1", "  ."]
    (tmp_path / "j.json").write_text('[{"a": ')
    assert "ERROR: Invalid JSON in input" in run(program).log


# Procedures


def test_proc_copy_replaces_and_names_what_it_does_not_find(tmp_path: Path) -> None:
    program = f"""libname o '{tmp_path}'; data work.t; x = 1; run; data o.t; x = 2; run;
        proc copy in=work out=o memtype=data; select t none; run; %put &syserr;"""
    result = run(program)
    assert read(tmp_path, "t").values("x") == [1.0]
    assert "ERROR: The file WORK.NONE (memtype=DATA) was not found" in result.log
    assert result.syscc > 4


def test_proc_datasets_deletes_by_prefix_and_changes_names() -> None:
    program = """data work.cp_a work.cp_b work.z; x = 1; run;
        proc datasets library=work memtype=data nolist nowarn; delete cp_: none; change z=y; quit;"""
    result = run(program)
    assert (result.work, result.problems()) == (["Y"], [])
    assert "WARNING" in run("proc datasets library=work nolist; delete none; quit;").log


@pytest.mark.parametrize(
    ("data", "force", "rows", "problem"),
    [
        ("a = 'xy'; n = 2;", "", 2, ""),
        ("a = 'xyz'; n = 2;", "", 1, "different lengths"),
        ("a = 'xyz'; n = 2;", "force", 2, "different lengths"),
        ("a = 'xy'; n = 2; b = 1;", "", 1, "was not found on BASE file"),
        ("a = 'xy'; n = 2; b = 1;", "force", 2, "was not found on BASE file"),
        ("a = 'xy';", "", 2, "was not found on DATA file"),
        ("a = 5; n = 2;", "", 1, "type mismatch"),
    ],
)
def test_proc_append(data: str, force: str, rows: int, problem: str, tmp_path: Path) -> None:
    program = f"""libname o '{tmp_path}'; data o.t; a = 'ab'; n = 1; run; data work.d; {data} run;
        proc append base=o.t data=work.d {force}; run;"""
    result = run(program)
    assert len(read(tmp_path, "t").rows) == rows
    assert (problem in "".join(result.problems())) if problem else not result.problems()
    assert ("No appending done" in result.log) == (rows == 1)


def test_proc_append_makes_a_base_that_is_not_there(tmp_path: Path) -> None:
    run(f"libname o '{tmp_path}'; data work.d; x = 1; run; proc append base=o.t data=work.d; run;")
    assert read(tmp_path, "t").values("x") == [1.0]


def test_proc_contents_describes_a_dataset() -> None:
    program = """data work.t; b = 'xyz'; a = 1; run; proc contents data=work.t out=work.c noprint; run;
        data _null_; set work.c; put name type length varnum; run;"""
    assert said(program) == ["a 1 8 2", "b 2 3 1"]


def test_proc_printto_sends_the_log_to_a_file_until_it_is_told_to_stop(tmp_path: Path) -> None:
    program = f"""%put first; proc printto log="{tmp_path}/x.log" new; run; %put inside;
        proc printto log=log; run; %put last;"""
    result = run(program)
    assert "inside" not in result.log
    assert "inside" in result.whole_log
    assert "inside\n" in (tmp_path / "x.log").read_text()
    assert not result.log_redirected
    assert run(f"proc printto log='{tmp_path}/y.log'; run;").log_redirected


# PROC HTTP


class Store:
    """A loopback store that answers one exact path."""

    def __init__(self) -> None:
        self.status, self.body, self.seen, self.cut = 200, b"data", list[str](), 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append(f"{self.headers['Host']}{self.path}")
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body) + outer.cut))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.server.shutdown()
    made.server.server_close()


GET = """filename o temp; filename h temp;
proc http url="%superq(url)" method="GET" out=o headerout=h headerout_overwrite timeout=5 nofollowloc; run;
%put status %superq(SYS_PROCHTTP_STATUS_CODE) syserr &syserr;
data _null_; if fexist('o') then do; infile o; input; put _infile_; end; run;
filename o clear; filename h clear;"""
URL = "https://bucket.example.com/a%2Fb/ä?X-Amz=1&y=%C3%A9&debug=0".replace("ä", "c")


def fetch(store: Store, url: str = URL, program: str = GET, **more: Any) -> Run:
    hosts = {"bucket.example.com": ("127.0.0.1", store.port)}
    more.setdefault("options", GOES_ON)
    before = f"data _null_; call symputx('url', '{url}'); run;"
    return Session(hosts=hosts, patience=1, **more).run(before + program)


def test_a_url_is_sent_exactly_as_it_is(store: Store) -> None:
    result = fetch(store)
    assert store.seen == ["bucket.example.com/a%2Fb/c?X-Amz=1&y=%C3%A9&debug=0"]
    assert "status 200 syserr 0" in result.log
    assert "data" in result.log
    assert "X-Amz" not in result.log


def test_a_status_that_is_not_200_is_no_error(store: Store) -> None:
    store.status = 403
    assert "status 403 syserr 0" in fetch(store).log


def test_no_answer_is_an_error_that_leaves_the_status_of_the_call_before(store: Store) -> None:
    twice = GET + GET.replace("%superq(url)", "http://127.0.0.1:1/")
    result = fetch(store, program=twice)
    assert "ERROR: " in result.log
    assert result.log.count("status 200") == 2
    assert result.syscc > 4


def test_no_host_but_those_that_are_given_is_reached(store: Store) -> None:
    assert "unknown" in fetch(store, "https://elsewhere.example.com/").problems()[0]


def test_a_body_that_ends_too_early_is_an_error_if_the_session_says_so(store: Store) -> None:
    store.cut = 10
    assert "whole body" in fetch(store).log
    assert fetch(store, short_body_fails=False).problems() == []


# Return codes


def test_syscc_keeps_the_worst_until_it_is_assigned_and_syserr_is_that_of_the_step() -> None:
    program = """data work.a; set work.none; run; %put &syscc &syserr; data _null_; x = 1; run;
        %put &syscc &syserr; %let syscc = 0; %put &syscc;"""
    assert [one for one in said(program) if not one.startswith(("ERROR", "WARNING"))] == [
        "1012 1012",
        "1012 0",
        "0",
    ]


def test_with_syntaxcheck_nothing_runs_after_an_error() -> None:
    program = "data work.a; set work.none; run; data _null_; put 'ran'; run;"
    assert "ran" not in run(program, options=QUIET).log
    assert "ran" in run(program, options=GOES_ON).log


def test_a_dataset_is_not_replaced_by_a_step_that_failed() -> None:
    program = "data work.a; x = 1; run; data work.a; set work.a work.none; run; data _null_; set work.a; put x; run;"
    assert "1" in said(program)


def test_options_are_compared_with_the_start() -> None:
    assert run("options mprint obs=5;").options == {"mprint": (False, True), "obs": ("max", "5")}
    program = "%let o = %sysfunc(getoption(mprint)) %sysfunc(getoption(obs, keyword)); options mprint obs=5; options &o;"
    assert run(program).options == {}


# The stored process server


def test_webout_headers_and_streams() -> None:
    program = """data _null_; rc = stpsrv_header('Content-type', 'text/xml'); run;
        data _null_; infile instream; input; file _webout; put _infile_ $char3.; run;"""
    result = run(program, instream=b"abc")
    assert (result.webout, result.content_type) == (b"abc\n", "text/xml")


def test_a_header_after_webout_was_opened_is_a_fault() -> None:
    refused(
        "data _null_; file _webout; put 'a'; rc = stpsrv_header('a', 'b'); run;", "after _WEBOUT"
    )


def test_an_empty_stream_that_is_read_would_hang() -> None:
    refused("data _null_; infile instream; input; run;", "hang", instream=b"")


def test_what_a_program_leaves_behind_is_told(tmp_path: Path) -> None:
    result = run(f"libname o '{tmp_path}'; filename f temp; data work.t; x = 1; run;")
    assert (result.librefs, result.filerefs, result.work) == (["o"], ["f"], ["T"])


def test_sleep_is_noted_and_moves_the_clock() -> None:
    now = dt.datetime(2026, 11, 21)
    program = "data _null_; call sleep(2, 1); x = datetime() - '21NOV2026:00:00:00'dt; put x; run;"
    result = run(program, now=now)
    assert (result.sleeps, lines(result)) == ([2.0], ["2"])


def test_the_platform_shows_in_automatic_variables() -> None:
    assert said("%put &sysscp &sysencoding;", platform="windows", encoding="wlatin1") == [
        "WIN wlatin1"
    ]
    assert said("%put &sysscp &sysencoding;") == ["LIN X64 utf-8"]


def test_each_run_has_its_own_work_and_number() -> None:
    first = run("data work.t; x = 1; run; %put &sysjobid;")
    second = run("%put %sysfunc(exist(work.t)) &sysjobid;")
    assert lines(second)[0].split()[0] == "0"
    assert lines(first)[-1] != lines(second)[0].split()[1]


# Locks, several sessions, killed sessions


def test_lock_keeps_others_out_until_it_is_cleared(tmp_path: Path) -> None:
    write(tmp_path, "t", Dataset([Column("x", "num", 8)], [(1.0,)]))
    other = f"libname o '{tmp_path}'; data o.t; x = 2; run; lock o.t; %put rc &syslckrc;"

    class Peek:
        result: Run | None = None

        def __call__(self, point: str) -> None:
            if point.startswith("before writing") and point.endswith("MARK"):
                self.result = run(other)

    peek = Peek()
    program = f"libname o '{tmp_path}'; lock o.t; %put rc &syslckrc; data o.mark; y = 1; run; lock o.t clear;"
    assert "rc 0" in run(program, kill=peek).log
    assert peek.result is not None
    assert "A lock is not available for T.DATA." in peek.result.log
    assert "rc 70031" in peek.result.log
    assert read(tmp_path, "t").values("x") == [1.0]
    assert "rc 0" in run(other).log


def test_lock_needs_a_file_that_is_there(tmp_path: Path) -> None:
    assert "rc 70006" in run(f"libname o '{tmp_path}'; lock o.none; %put rc &syslckrc;").log


def test_filelockwait_waits_for_the_other(tmp_path: Path) -> None:
    def append(number: int) -> Run:
        return run(
            f"""libname o '{tmp_path}' filelockwait=20; data work.d; x = {number}; run;
            proc append base=o.t data=work.d; run;"""
        )

    append(0)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(append, range(1, 19)))
    assert [one.problems() for one in results] == [[]] * 18
    assert sorted(read(tmp_path, "t").values("x")) == [float(one) for one in range(19)]


@pytest.mark.parametrize("point", ["before writing", "while writing", "before renaming"])
def test_a_killed_session_leaves_the_old_dataset_and_no_lock(point: str, tmp_path: Path) -> None:
    write(tmp_path, "t", Dataset([Column("x", "num", 8)], [(1.0,)]))

    def kill(at: str) -> None:
        if at.startswith(point):
            raise Killed(at)

    program = f"libname o '{tmp_path}'; lock o.t; data o.t; x = 2; run;"
    with pytest.raises(Killed):
        run(program, kill=kill)
    assert read(tmp_path, "t").values("x") == [1.0]
    assert (tmp_path / "t.sas7bdat.lck").exists() == (point != "before writing")
    assert members(tmp_path) == ["T"]
    run(program)
    assert read(tmp_path, "t").values("x") == [2.0]


def test_a_fault_carries_the_log() -> None:
    with pytest.raises(Unknown) as caught:
        run("%put so far; proc sql; quit;")
    assert "so far" in caught.value.log
