"""SAS source taken apart: tokens, macros, calls, includes; the lines of an installation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.sascode import lexer, program, site, unit


def pieces(source: str) -> list[tuple[str, str]]:
    return [(t.kind, t.text) for t in lexer.code(lexer.tokens(source))]


def texts(arguments: list[list[lexer.Token]]) -> list[str]:
    return [" ".join(token.text for token in one) for one in arguments]


# -- tokens ---------------------------------------------------------------------------------


def test_strings_comments_and_code_are_told_apart() -> None:
    assert pieces("""x = 'it''s /* no */' || '0D'x; /* it's */ %let a=&b..c;""") == [
        ("word", "x"), ("mark", "="), ("string", "'it''s /* no */'"), ("mark", "|"), ("mark", "|"),
        ("string", "'0D'x"), ("mark", ";"), ("macro", "%let"), ("word", "a"), ("mark", "="),
        ("reference", "&b."), ("mark", "."), ("word", "c"), ("mark", ";"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source", ["$char1.", "$.", "$hex64.", "32.", "8.2", "best12.", "date.", "E8601DT26.3", "yymmddn8."]
)  # fmt: skip
def test_formats_are_seen(source: str) -> None:
    assert pieces(source) == [("format", source)]


@pytest.mark.parametrize(
    "source", ["work.a", "work.&a", "first.x", "a=1", "&&a&b", "lib.a(keep=b)"]
)
def test_names_of_two_parts_are_no_formats(source: str) -> None:
    assert "format" not in {kind for kind, _ in pieces(source)}


@pytest.mark.parametrize("source", ["x = 'a;", 'x = "a;', "/* x", "x = 'a\nb';", 'y="\n"'])
def test_what_is_never_closed_is_the_last_token(source: str) -> None:
    last = lexer.tokens(source)[-1]
    assert (last.kind, last.line) == ("open", 1)


def test_tokens_know_their_lines() -> None:
    found = lexer.tokens("a\n/* b\nc */ d;\n\n'e'")
    assert [(t.text, t.line) for t in lexer.code(found)] == [
        ("a", 1),
        ("d", 3),
        (";", 3),
        ("'e'", 5),
    ]


@given(st.text("ab'\"/*%&;() \n.$1", max_size=60))
def test_nothing_is_lost_between_tokens(source: str) -> None:
    found = lexer.tokens(source)
    whole = "".join(token.text for token in found)
    assert whole == source or (found[-1].kind == "open" and source.startswith(whole))


def test_arguments_are_split_as_sas_splits_them() -> None:
    code = lexer.code(lexer.tokens("%cp_fail(a, b (c, d) 'e, f', )"))
    assert texts(lexer.arguments(code, 1)) == ["a", "b ( c , d ) 'e, f'", ""]
    assert lexer.arguments(lexer.code(lexer.tokens("()")), 0) == []


def test_statements_end_at_semicolons() -> None:
    code = lexer.code(lexer.tokens("a b; 'c;d'; e"))
    assert texts(list(lexer.statements(code))) == ["a b", "'c;d'", "e"]


# -- programs -------------------------------------------------------------------------------


def test_macros_are_found_with_their_parameters_and_bodies() -> None:
    source = program.read(
        "code/x.sas", "%let a = 1;\n%macro one(x, y=2);\n  %put &x;\n%mend one;\n%one(3)\n"
    )
    (macro,) = source.macros
    assert (macro.name, macro.parameters, macro.keywords) == ("one", ("x",), ("y",))
    assert [token.text for token in macro.body] == ["%put", "&x", ";"]
    assert [token.text for token in source.outside] == ["%let", "a", "=", "1", ";", "%one", "(", "3", ")"]  # fmt: skip
    assert source.faults == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("%macro a;\n%put 1;\n", "macro a is not closed"),
        ("%macro a;\n%macro b;\n%mend b;\n%mend a;\n", "macro a is not closed"),
        ("%macro a;\n%mend b;\n", "does not name a"),
        ("%macro a;\n%mend;\n", "does not name a"),
        ("%mend a;\n", "closes no macro"),
    ],
)
def test_a_macro_that_is_not_closed_by_its_name_is_a_fault(text: str, words: str) -> None:
    assert words in program.read("x.sas", text).faults[0].message


def test_calls_are_those_of_macros_that_are_not_of_the_language() -> None:
    code = lexer.code(lexer.tokens("%if %cp_a(b, %cp_c) = 1 %then %do; %cp_d %end; 'cp%e'"))
    assert [(call.name, texts(call.arguments)) for call in program.calls(code)] == [
        ("cp_a", ["b", "%cp_c"]), ("cp_c", []), ("cp_d", []),
    ]  # fmt: skip


def test_free_text_is_left_out_of_what_acts() -> None:
    code = lexer.code(lexer.tokens("%cp_fail(x, do or end) %put do it; if a then do; end;"))
    assert " ".join(token.text for token in program.acting(code)) == (
        "%cp_fail %put ; if a then do ; end ;"
    )


def test_files_that_run_together_are_found_through_includes() -> None:
    texts = {
        "code/a.sas": '%include "&cp_root/conf/c.sas";\n%include "&cp_root./code\\b.sas";\n%include x;',
        "code/b.sas": "",
        "conf/c.sas": "",
        "code/d.sas": '%include "&cp_root/conf/c.sas";',
    }
    sources = {file: program.read(file, text) for file, text in texts.items()}
    assert [[one.file for one in together] for together in unit.units(sources)] == [
        ["code/a.sas", "conf/c.sas", "code/b.sas"], ["code/d.sas", "conf/c.sas"],
    ]  # fmt: skip


# -- what an installation changes -----------------------------------------------------------


def test_settings_are_read_with_their_comments() -> None:
    text = (
        "/* %let no = 1; */\n\n/* One. */\n%let One = a  b;\n/* Two,\n   longer. */\n"
        "%LET two=;\n  %let three = dsn=\"a;b\" x='c;';\n"
    )
    assert {name: tuple(setting) for name, setting in site.settings(text).items()} == {
        "one": ("One", "a b", 4, "/* One. */"),
        "two": ("two", "", 7, "/* Two,\n   longer. */"),
        "three": ("three", "dsn=\"a;b\" x='c;'", 8, ""),
    }


def test_the_root_is_written_in_the_one_line_that_has_it() -> None:
    text = "/* x */\n%let cp_root = C:/old;\n%let other = C:/old;\n"
    changed = site.with_root(text, "D:\\new \\1")
    assert changed == "/* x */\n%let cp_root = D:\\new \\1;\n%let other = C:/old;\n"
    assert (site.roots(changed), site.root_lines(changed)) == (["D:\\new \\1"], [2])


@pytest.mark.parametrize(
    ("root", "tidy"),
    [(" C:\\SAS\\ ", "C:\\SAS"), ("C:\\", "C:\\"), ("/opt/sas//", "/opt/sas"), ("/", "/"), ("\\\\s\\d\\", "\\\\s\\d")],
)  # fmt: skip
def test_a_root_is_tidied(root: str, tidy: str) -> None:
    assert site.tidy_root(root) == tidy


@pytest.mark.parametrize("root", ["C:\\SAS Stored Process", "d:/sas", "\\\\server\\share", "/opt/sas", "/", "C:\\Größe (x86)"])  # fmt: skip
def test_an_absolute_folder_may_be_the_root(root: str) -> None:
    assert site.root_issue(root) == ""


@pytest.mark.parametrize(
    "root",
    ["sas", "./sas", "C:sas", "C:", "", "~/sas", "/o'x", '/a"b', "/a&b", "/a%b", "/a;b", "/a\nb", "/a\rb", "/a\0b", "/*/x", "C:\\a?", "/a|b"],
)  # fmt: skip
def test_another_may_not(root: str) -> None:
    assert site.root_issue(root)


def test_paths_are_written_as_the_system_of_the_root_does() -> None:
    assert site.joined("C:\\S P", "code/x.sas") == "C:\\S P\\code\\x.sas"
    assert site.joined("C:\\", "x") == "C:\\x"
    assert site.joined("/opt/sas", "code/x.sas") == "/opt/sas/code/x.sas"
    assert (site.default_encoding("\\\\s\\d"), site.default_encoding("/x")) == ("wlatin1", "utf-8")
