"""The rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasktide import resources
from tasktide import settings as all_settings
from tasktide.cli.config import reference
from tasktide.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SQL_FILES = sorted((ROOT / "src").rglob("adapters/*/sql/*.sql"))
MOST_LINES = 400


def test_imports_go_one_way() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_the_import_rules_have_no_exceptions() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}
    assert sorted(lengths.values())[len(lengths) // 2] <= 120


def test_importing_does_nothing_and_every_module_says_what_it_is_for() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if tree.body:
            assert ast.get_docstring(tree), path
        for node in tree.body:
            assert not isinstance(node, ast.While | ast.With | ast.Try), path


def test_no_file_is_called_after_nothing() -> None:
    names = {path.stem for path in SOURCES}
    assert names & {"utils", "helpers", "common", "manager", "base", "misc"} == set()


def test_sql_lives_in_sql_files() -> None:
    found = {
        path.name
        for path in SOURCES
        if re.search(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s+\w+.*\b(FROM|VALUES|SET|WHERE)\b", path.read_text())
    }
    assert found <= {"ids.py", "migrate.py"}, "one statement, beside its only use"


@pytest.mark.parametrize("file", SQL_FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_statement_is_used_by_its_name(file: Path) -> None:
    technology = file.parts[-3]
    code = "".join(path.read_text() for path in SOURCES if technology in path.parts)
    for name in resources.statements(f"tasktide.adapters.{technology}", file.stem):
        stem = re.sub(r"^(where|after|insert|unlink)_.*", r"\1_", name)
        assert f'"{name}"' in code or f'f"{stem}{{' in code, name


def test_the_reference_of_settings_is_fresh() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference(), "run make docs"


def test_the_example_file_names_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text()
    described = all_settings.describe(Settings())
    assert re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE) == [one.name for one in described]
    for one in described:
        assert f"# {one.about} ({one.unit})\n" in text, one.name
    loaded = all_settings.load(
        {line[1:].split("=", 1)[0]: line.split("=", 1)[1] for line in text.splitlines() if "=" in line}
    )
    assert loaded == Settings()


def test_no_loose_ends() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if (
            "explorer/" in name
            or name.endswith(".png")
            or Path(name).name == Path(__file__).name
            or not (ROOT / name).is_file()
        ):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "NotImplementedError"):
            assert word not in text, (name, word)


def test_lock_files_name_no_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "==" in text
        assert "://" not in text, name
