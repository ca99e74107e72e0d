"""House rules that no other tool checks: sizes, names, every setting and option documented, nothing of a machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "src" / "claviger"
MODULES = sorted(SOURCE.rglob("*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 60
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def _ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=MODULES, ids=_ids)
def module(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_a_module_fits_in_a_head(module: Path):
    assert len(module.read_text().splitlines()) <= MODULE_LINES


def test_a_function_fits_on_a_screen(module: Path):
    functions = [
        node
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {node.name: _lines(node) for node in functions if _lines(node) > FUNCTION_LINES}
    assert not long


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_a_module_says_what_it_is_for(module: Path):
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_a_module_is_named_for_something(module: Path):
    assert not EMPTY_NAMES & set(module.relative_to(SOURCE).with_suffix("").parts)


def test_nothing_is_left_for_later(module: Path):
    text = module.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert "NotImplementedError" not in text


def test_sql_stands_with_the_records(module: Path):
    if module.name.endswith("records.py") or "store" in module.relative_to(SOURCE).parts:
        return
    texts = [node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant)]
    pattern = re.compile(r"\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s.+\sSET|DELETE\s+FROM)\s", re.DOTALL)
    assert [text for text in texts if isinstance(text, str) and pattern.match(text)] == []


def test_every_setting_is_documented():
    from claviger.settings import Settings

    names = [f"CLAVIGER_{field.upper()}" for field in Settings.__struct_fields__]
    assert names
    assert [name for name in names if not _is_mentioned(name)] == []


def test_every_command_and_option_is_documented():
    from claviger.cli.main import main

    words = list(_command_line(main, "claviger"))
    assert words
    assert [word for word in words if not _is_mentioned(word)] == []


def _command_line(command: click.Command, path: str) -> Iterator[str]:
    """Every visible command as it is typed, and the long form of every option."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from _command_line(child, f"{path} {name}")
    else:
        yield path
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield max(option.opts, key=len)


def _is_mentioned(word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _documentation()) is not None


@cache
def _documentation() -> str:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return "\n".join(page.read_text() for page in pages if page.exists())


def test_no_file_names_a_machine_or_a_package_index():
    # Written in pieces, so that this file passes its own test.
    machine = "|".join(f"(?<![\\w.])/{folder}/" for folder in ("work", "farm", "root"))
    index = "|".join(
        ("py" + "pi\\.org", "python" + "hosted\\.org", "npm" + "js\\.(org|com)", "registry\\.yarn" + "pkg")
    )
    pattern = re.compile(f"{machine}|{index}")
    found = {
        f"{_ids(path)}: {match.group()}"
        for path in _files()
        for match in pattern.finditer(path.read_text(errors="ignore"))
    }
    assert found == set()


def test_no_lock_names_an_address():
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert len(locks) == 2
    clients = ROOT / "tests/clients"
    for lock in [*locks, clients / "js/package-lock.json", clients / "ocicli/requirements.lock"]:
        assert not re.search(r"\w+://|--(extra-)?index-url|--find-links|\"resolved\"", lock.read_text()), lock


def _files() -> list[Path]:
    """What stands in the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git clone, so what belongs to the repository is unknown")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]
