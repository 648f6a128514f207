"""The OpenAPI document and what really comes back agree, whatever schemathesis makes up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from demur.core.access import Role
from demur.server.routes import ROUTES

from .serving import HERE, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 8
FIXTURE = HERE / "authzen_fixture"


@pytest.fixture(scope="module")
def pdp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("pdp"), FIXTURE) as running:
        yield running


@pytest.fixture(scope="module")
def written(pdp: Serving) -> dict[str, Any]:
    document: dict[str, Any] = pdp.client.get("/openapi.json").json()
    return document


def test_the_document_names_every_route(written: dict[str, Any]) -> None:
    named = {(method.upper(), path) for path, methods in written["paths"].items() for method in methods}

    assert written["openapi"].startswith("3.1")
    assert {(route.method, route.path.replace(":path}", "}")) for route in ROUTES} <= named


def test_every_route_with_a_body_shows_one(written: dict[str, Any]) -> None:
    for route in ROUTES:
        if route.reads is not None:
            told = written["paths"][route.path][route.method.lower()]
            assert told["requestBody"]["content"]["application/json"]["example"], route.path


def test_every_reference_leads_somewhere(written: dict[str, Any]) -> None:
    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    known = written["components"]["schemas"]
    assert [name for name in references(written) if name.rpartition("/")[2] not in known] == []


def test_what_comes_back_is_what_the_document_says(pdp: Serving) -> None:
    """Every operation with a few made-up requests, sound and not: no 5xx but what stands there, no other shape."""
    roles = list(Role)
    headers = [pdp.add("everything", *roles), pdp.add_person("everybody", *roles)]
    schema = schemathesis.openapi.from_asgi("/openapi.json", pdp.client.app)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path.startswith("/reviews") and "events" in operation.path:
            continue  # a stream does not end

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            for sent in headers:
                case.call_and_validate(headers=sent, session=pdp.client, checks=CHECKS)

        given(case=operation.as_strategy())(ask)()
