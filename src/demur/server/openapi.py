"""The OpenAPI document (3.1): what FastAPI writes about the routes, with the schemas of their structs and examples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi.openapi.utils import get_openapi

from demur.server import authzen
from demur.server.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

    from demur.server.route import Route

TITLE = "Demur"
DESCRIPTION = """Allow, deny or defer to a person, recorded before anything happens.

`decision: true` is a grant and nothing else. A "no" is an answer with status 200; a problem document (RFC 9457) means
that the question could not be answered."""
_SCHEMAS = "#/components/schemas/"
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 1_024}
_OBJECT = {"type": "object"}
_NAMED = {
    "type": "object",
    "required": ["type", "id"],
    "properties": {"type": _TEXT, "id": _TEXT, "properties": _OBJECT},
}
_TYPED = {"type": "object", "required": ["type"], "properties": {"type": _TEXT, "properties": _OBJECT}}
_ACTION = {"type": "object", "required": ["name"], "properties": {"name": _TEXT, "properties": _OBJECT}}
_PAGE = {"type": "object", "properties": {"token": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}}}
_ONE: dict[str, Any] = {"subject": _NAMED, "action": _ACTION, "resource": _NAMED, "context": _OBJECT}
_ASKED = {
    "subject": {"type": "user", "id": "eda"},
    "action": {"name": "delete_document"},
    "resource": {"type": "document", "id": "handbook"},
}


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  (any schema)
    return {"type": "object", "required": list(required), "properties": properties, **more}


_PROBLEM = _object(
    {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
    },
    "type",
    "title",
    "status",
)
_DECISION = _object({"decision": {"type": "boolean"}, "context": _OBJECT}, "decision")
AUTHZEN: dict[str, dict[str, Any]] = {
    "EvaluationRequest": _object(_ONE, "subject", "action", "resource", examples=[_ASKED]),
    "EvaluationResponse": _DECISION,
    "EvaluationsRequest": _object(
        {**_ONE, "evaluations": {"type": "array", "items": _OBJECT, "maxItems": authzen.MAX_ITEMS}, "options": _OBJECT},
        examples=[{**_ASKED, "evaluations": [{"resource": {"type": "document", "id": "handbook"}}]}],
    ),
    "EvaluationsResponse": _object(
        {"evaluations": {"type": "array", "items": _DECISION}, "decision": {"type": "boolean"}, "context": _OBJECT}
    ),
    "SearchSubjectRequest": _object({**_ONE, "subject": _TYPED, "page": _PAGE}, "subject", "action", "resource"),
    "SearchResourceRequest": _object({**_ONE, "resource": _TYPED, "page": _PAGE}, "subject", "action", "resource"),
    "SearchActionRequest": _object({**_ONE, "page": _PAGE}, "subject", "resource"),
    "SearchResponse": _object(
        {
            "results": {"type": "array", "items": _OBJECT},
            "page": _object({"next_token": {"type": "string"}}, "next_token"),
        },
        "results",
    ),
    "Metadata": _object(
        {"policy_decision_point": _TEXT, "access_evaluation_endpoint": _TEXT},
        "policy_decision_point",
        "access_evaluation_endpoint",
    ),
    "Problem": _PROBLEM,
}
_BODIES = {
    "/access/v1/evaluation": ("EvaluationRequest", "EvaluationResponse"),
    "/access/v1/evaluations": ("EvaluationsRequest", "EvaluationsResponse"),
    "/access/v1/search/subject": ("SearchSubjectRequest", "SearchResponse"),
    "/access/v1/search/resource": ("SearchResourceRequest", "SearchResponse"),
    "/access/v1/search/action": ("SearchActionRequest", "SearchResponse"),
    "/.well-known/authzen-configuration": ("", "Metadata"),
    "/.well-known/authzen-configuration/{tenant}": ("", "Metadata"),
}


def operation(route: Route) -> dict[str, Any]:
    """What FastAPI cannot know of a route: body, answers and parameters."""
    told: dict[str, Any] = {"parameters": [*_parameters(route.path), *_query(route)], "responses": _problems(route)}
    told["responses"] |= _done(route)
    told["security"] = [{"credential": []}]
    if route.reads is not None:
        body = {"schema": _ref(route.reads), **({"example": dict(route.example)} if route.example else {})}
        told["requestBody"] = {"required": True, "content": {"application/json": body}}
    return told


def hot(path: str, *, is_open: bool) -> dict[str, Any]:
    """The same for the routes of AuthZEN and of health."""
    body, answer = _BODIES.get(path, ("", ""))
    answered = {"schema": {"$ref": _SCHEMAS + answer} if answer else _OBJECT}
    told: dict[str, Any] = {"parameters": _parameters(path), "responses": {}}
    codes = (503,) if is_open else (400, 401, 403, 413, 429, 503)
    told["responses"] = {str(code): _problem() for code in codes}
    told["responses"]["200"] = {"description": "Answered", "content": {"application/json": answered}}
    if "{tenant}" in path:
        told["responses"]["404"] = _problem()
    if not is_open:
        told["security"] = [{"credential": []}]
    if body:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"$ref": _SCHEMAS + body}}}}
    return told


def document(api: FastAPI, routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    written = get_openapi(title=TITLE, version="1", description=DESCRIPTION, routes=api.routes)
    kinds = [kind for route in routes for kind in (route.reads, route.answers) if kind is not None]
    _, schemas = msgspec.json.schema_components(dict.fromkeys(kinds), ref_template=_SCHEMAS + "{name}")
    written["components"] = {
        "schemas": {**schemas, **AUTHZEN},
        "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
    }
    return written


def _done(route: Route) -> dict[str, Any]:
    if route.answers is None and route.media_type == "application/json":
        return {"204": {"description": "Done; there is nothing to tell"}}
    content = {"schema": _ref(route.answers) if route.answers else {"type": "string"}}
    return {str(route.status): {"description": "Done", "content": {route.media_type: content}}}


def _ref(kind: type) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_SCHEMAS + "{name}")
    return schema


def _problems(route: Route) -> dict[str, Any]:
    codes = [400, 401, 403, 404, 409, 410, 413, 422, 429, 503] if route.reads or "{" in route.path else []
    return {str(code): _problem() for code in codes or [400, 401, 403, 404, 409, 410, 413, 429, 503]}


def _problem() -> dict[str, Any]:
    return {
        "description": "The question could not be answered",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS + "Problem"}}},
    }


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(path)
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": what, "schema": {"type": "integer", "minimum": 0}}
        for name, what in route.query.items()
    ]
