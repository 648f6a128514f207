"""Puts htmx into the console: one file of the package django-htmx, copied when the package is built or installed.

It is not kept in version control, and Django is not needed. A source distribution carries the file, so that building
from one needs nothing else.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE, FILE = "django_htmx", "static/django_htmx/htmx-2.min.js"
TARGET = "src/demur/console/static/htmx.min.js"


class HtmxHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling finds it by its kind alone
    """Runs before each build of a wheel, of an editable install and of a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file into the package; raises `FileNotFoundError` where a release would lack it."""
        target = Path(self.root, TARGET)
        found = importlib.util.find_spec(PACKAGE)
        if found is not None and found.submodule_search_locations:
            target.write_bytes(Path(found.submodule_search_locations[0], FILE).read_bytes())
        if target.is_file():
            build_data["artifacts"].append(f"/{TARGET}")
        elif version != "editable":
            message = f"expected `{TARGET}`, or the package `django-htmx` to take it from, found neither"
            raise FileNotFoundError(message)
        else:
            self.app.display_warning(f"no `{PACKAGE}`: the console works without htmx")
