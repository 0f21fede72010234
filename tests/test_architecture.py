"""The order of imports, the docstrings, the files: the house stays as it is drawn."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "connector_proxy"
ORDER = re.findall(
    r"^  ([\w/]+)\.py\b",
    (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
"""Modules from top to bottom, as docs/architecture.md lists them."""
FACTS = ORDER[: ORDER.index("reply") + 1]


@functools.cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.Module) -> set[str]:
    """Modules of this package that a module imports, as names in ``ORDER``."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("connector_proxy"):
            base = (node.module or "").split(".")[1:]
            outer = "/".join(base)
            for alias in node.names:
                inner = f"{outer}/{alias.name}".lstrip("/")
                names.add(
                    inner if inner in ORDER else outer if outer in ORDER else f"{outer}/__init__"
                )
    return names & set(ORDER)


def test_every_module_is_drawn() -> None:
    assert set(ORDER) == set(modules())


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_above(name: str) -> None:
    below = {one for one in imported(modules()[name]) if ORDER.index(one) > ORDER.index(name)}
    assert not below


@pytest.mark.parametrize("name", FACTS)
def test_facts_touch_no_socket_file_clock_or_framework(name: str) -> None:
    allowed = {"lxml"}
    banned = {
        "socket",
        "os",
        "pathlib",
        "time",
        "flask",
        "requests",
        "urllib3",
        "logging",
        "random",
        "threading",
    }
    tree = modules()[name]
    roots = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert not roots & (banned - allowed)


def public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Public functions, classes and methods; what a foreign base class or a protocol describes
    needs no second description."""
    found: list[ast.FunctionDef | ast.ClassDef] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef) and not node.bases:
                methods = (one for one in node.body if isinstance(one, ast.FunctionDef))
                found += [one for one in methods if not one.name.startswith("_")]
    return found


@pytest.mark.parametrize("name", ORDER)
def test_modules_and_public_names_have_a_docstring(name: str) -> None:
    tree = modules()[name]
    assert ast.get_docstring(tree), name
    bare = [node.name for node in public(tree) if not ast.get_docstring(node)]
    assert not bare


@pytest.mark.parametrize("name", ORDER)
def test_a_broad_except_stands_only_at_the_loops_of_threads_that_must_live(name: str) -> None:
    handlers = [node for node in ast.walk(modules()[name]) if isinstance(node, ast.ExceptHandler)]
    broad = [
        node for node in handlers
        if node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
    ]  # fmt: skip
    assert len(broad) == {
        "web/server": 1,
        "commits": 1,
        "engine": 1,
        "minutes": 1,
        "health/running": 1,
        "worker": 1,
        "acceptor": 1,
        "ci360/sending": 1,
    }.get(name, 0)


def tracked_texts() -> list[Path]:
    skipped = {".git", ".venv", "output", "logs", "build", "dist", "data"}
    return [
        path for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts[:-1])
        and not any(part.startswith(".") and part not in (".ci", ".gitignore", ".gitattributes") for part in path.relative_to(ROOT).parts)
        and "__pycache__" not in path.parts
    ]  # fmt: skip


def test_file_names_are_legal_on_windows() -> None:
    for path in tracked_texts():
        assert not re.search(r'[<>:"|?*\\]|[. ]$', path.name), path
        assert not path.is_symlink()
