"""Named SQL: statements live in `sql/*.sql`, each under a line `-- name: ...` that says what it is for."""

from functools import cache
from importlib.resources import files


@cache
def load(noun: str) -> dict[str, str]:
    """The statements of `sql/<noun>.sql` by name."""
    text = files(__package__).joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in text.split("-- name: ")[1:]:
        name, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        found[name.strip()] = "\n".join(lines).strip()
    return found
