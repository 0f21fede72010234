"""What the documents promise is what the code has."""

from __future__ import annotations

import re

import pytest

from connector_proxy.cli import cli
from connector_proxy.settings import KEYS
from tests.conftest import ROOT

DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("key", KEYS, ids=[key.name for key in KEYS])
def test_every_setting_is_documented_with_its_default_and_scope(key: object) -> None:
    one = next(one for one in KEYS if one is key)
    (row,) = re.findall(rf"^\| `{one.name}` \|.*$", text("docs/configuration.md"), re.MULTILINE)
    assert not one.default or f"`{one.default}`" in row
    assert one.per_stp == row.endswith("| yes |")


def test_every_command_is_explained() -> None:
    for name in cli.commands:
        assert re.search(rf"^\| `{name}[ `]", text("docs/commands.md"), re.MULTILINE), name


def test_every_command_that_the_documents_name_is_there() -> None:
    told = "\n".join(document.read_text(encoding="utf-8") for document in DOCS)
    code = re.findall(r"^ *```\w*\n(?s:(.*?))^ *```", told, re.MULTILINE)
    code += re.findall(r"`([^`\n]+)`", told)
    pattern = r"(?:^|-- |Scripts\\|bin/)connector-proxy ([a-z][a-z0-9-]+)(?: ([a-z]+))?"
    named = [found for text in code for found in re.findall(pattern, text, re.MULTILINE)]
    assert len(named) > 50
    for name, deed in named:
        command = cli.commands[name]
        assert not deed or deed in getattr(command, "commands", (deed,)), f"{name} {deed}"


def test_every_code_of_an_error_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", text("docs/answers.md") + text("docs/reports.md")))
    sources = " ".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "connector_proxy").rglob("*.py")
    )
    forms = (r'code ?= ?"WORD"', r'Verdict\.\w+,\s*"WORD"', r'\d: \("WORD",', r'shown}\)", "WORD"')
    codes = {
        code for form in forms for code in re.findall(form.replace("WORD", "([a-z_]{4,})"), sources)
    }
    assert len(codes) > 15
    assert codes - documented <= {"configuration", "done", "unavailable", "refused"}


@pytest.mark.parametrize("path", DOCS, ids=[path.name for path in DOCS])
def test_links_lead_somewhere(path: object) -> None:
    document = next(one for one in DOCS if one is path)
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_requirement_is_explained() -> None:
    explained = text("docs/dependencies.md")
    for name in ("requirements.txt", "requirements-test.txt", "requirements-browser.txt"):
        for package in re.findall(r"^([\w-]+)[<>=]", text(name), re.MULTILINE):
            assert re.search(rf"\b{package}\b", explained), package


def test_the_changelog_has_this_version() -> None:
    from connector_proxy import __version__

    assert f"## {__version__}" in text("CHANGELOG.md")
