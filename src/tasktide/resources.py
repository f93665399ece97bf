"""Texts that are shipped inside the package: named SQL and Lua, and numbered migrations."""

from functools import cache
from importlib.resources import files


@cache
def statements(package: str, noun: str) -> dict[str, str]:
    """The statements of a package's `sql/<noun>.sql`: each under a line `-- name: ...` that says what it is for."""
    text = files(package).joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in text.split("-- name: ")[1:]:
        name, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        found[name.strip()] = "\n".join(lines).strip()
    return found


def migrations(package: str, folder: str) -> list[tuple[int, str]]:
    """The numbered scripts in a folder of a package: number and text, ascending."""
    scripts = [entry for entry in files(package).joinpath(folder).iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in scripts)


@cache
def text(package: str, *path: str) -> str:
    """One file of a package."""
    return files(package).joinpath(*path).read_text(encoding="utf-8")
