"""The condition language: a strict typed profile of CEL.

    check     text + declared facts -> a typed node, or a refusal that says where
    link      a typed node -> a program over the row of facts
    adhoc     both at once, over values that nobody declared

A program gives a value, `Unknown` with the facts that are missing, or a `Fault`. The language is specified in
docs/spec/conditions.md.
"""

from __future__ import annotations

from demur.core.cel.adhoc import adhoc, infer, json_text, to_json
from demur.core.cel.check import check
from demur.core.cel.evaluate import Program, link
from demur.core.cel.scope import Checked, Scope, Use, Variable
from demur.core.cel.truth import Fault, Result, Unknown

__all__ = [
    "Checked",
    "Fault",
    "Program",
    "Result",
    "Scope",
    "Unknown",
    "Use",
    "Variable",
    "adhoc",
    "check",
    "infer",
    "json_text",
    "link",
    "to_json",
]
