"""The description against the server: thousands of odd requests, and no answer that it does not foresee."""

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.server import Person, serving

EXAMPLES = 40
# Streams do not end; signing out would end the run.
LEFT_OUT = ("/events", "/auth/logout")


def test_nothing_is_undocumented_and_nothing_breaks(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as address:
        admin = Person(address, "admin")
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        headers = {"authorization": f"Bearer {admin.token}"}
        checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
        count = 0
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            if operation.path in LEFT_OUT:
                continue
            count += 1

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def one(case: schemathesis.Case[Any]) -> None:
                case.call_and_validate(base_url=address, headers=headers, checks=checks)

            one()
        assert count > 25
        admin.close()
