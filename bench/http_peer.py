"""A plain service to compare with: FastAPI, pydantic and cedarpy, with a key and one looked-up fact; nothing recorded.

Run by `bench/over_http.py` as `python -m bench.http_peer SOCKET`, where SOCKET is a listening descriptor.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Annotated, Any

import cedarpy
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

KEY = "peer-key"
KNOWN = {hashlib.sha256(KEY.encode()).hexdigest(): "desk"}
ROLES = {f"user-{number}": "editor" for number in range(100)}
POLICIES = """
permit(principal, action == Action::"read_document", resource) when { context.role == "editor" };
forbid(principal, action == Action::"read_document", resource) when { context.role == "suspended" };
"""


class Entity(BaseModel):
    """Somebody or something, by type and id."""

    type: str
    id: str
    properties: dict[str, Any] = {}


class Action(BaseModel):
    """What is to be done."""

    name: str
    properties: dict[str, Any] = {}


class Evaluation(BaseModel):
    """AuthZEN's evaluation request."""

    subject: Entity
    action: Action
    resource: Entity
    context: dict[str, Any] = {}


class Answer(BaseModel):
    """AuthZEN's evaluation response."""

    decision: bool


app = FastAPI()
policies = cedarpy.PolicySet.from_str(POLICIES)
entities = cedarpy.Entities.from_json_str("[]")


def caller(authorization: Annotated[str, Header()]) -> str:
    found = KNOWN.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
    if found is None:
        raise HTTPException(401)
    return found


@app.post("/access/v1/evaluation")
async def evaluation(asked: Evaluation, _: Annotated[str, Depends(caller)]) -> Answer:
    request = {
        "principal": f'User::"{asked.subject.id}"',
        "action": f'Action::"{asked.action.name}"',
        "resource": f'Document::"{asked.resource.id}"',
        "context": {"role": ROLES.get(asked.subject.id, "")},
    }
    return Answer(decision=cedarpy.is_authorized(request, policies, entities).allowed)


if __name__ == "__main__":
    uvicorn.run(app, fd=int(sys.argv[1]), access_log=False, log_level="error")
