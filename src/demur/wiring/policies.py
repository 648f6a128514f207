"""From a folder to checked policies, their tests and their fact sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import policies as loading
from demur.adapters.callables import CallableOpener
from demur.adapters.claims_source import open_claims
from demur.adapters.clock import SystemClock
from demur.adapters.documents import read_file, read_folder
from demur.adapters.documents import read_tests as _read_tests
from demur.adapters.sources import DeclaredSources, open_sources
from demur.adapters.static_tables import StaticOpener
from demur.adapters.zones import TzdataZones
from demur.core.policy.index import PolicySet
from demur.core.policy.lint import lint
from demur.core.policy.located import plain
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.adapters.callables import Registered
    from demur.adapters.sources import Opener
    from demur.core.policy.document import Documents
    from demur.core.policy.located import SourceDocument
    from demur.errors import Problem
    from demur.ports import Clock, Zones

from demur.wiring.settings import COMPILED


def load_policies(folder: Path, *, cache: Path | None = None) -> Documents:
    """The policies in a folder, checked; raises `PolicyError` with every problem. `cache` is a gate's home."""
    return loading.load_folder(Path(folder), cache=cache / COMPILED if cache else None, zones=TzdataZones())


def check_policies(folder: Path) -> tuple[Documents, tuple[Problem, ...]]:
    """The policies in a folder with what is allowed in them but surely not meant; raises `PolicyError`."""
    documents = load_policies(folder)
    found = lint(documents, read_folder(Path(folder)))
    files = {rule.file for rule in documents.rules}
    # A finding about a declaration names its file as the folder does; rules name theirs as reached from here.
    reached = (p if p.file in files else replace(p, file=str(Path(folder, p.file))) for p in found)
    return documents, tuple(reached)


def build_policies(documents: Documents) -> PolicySet:
    """Checked documents, ready to decide."""
    return PolicySet.build(documents, TzdataZones())


def clock() -> Clock:
    """The time of this machine."""
    return SystemClock()


def zones() -> Zones:
    """The time zones that Demur ships with."""
    return TzdataZones()


def read_tests(path: Path) -> tuple[SourceDocument, ...]:
    """The test documents in a folder; raises `PolicyError` where one cannot be read."""
    return _read_tests(Path(path))


def read_mapping(path: Path) -> Mapping[str, object]:
    """The names and values of a YAML or JSON file, such as facts; raises `ConfigurationError` where it holds none."""
    document = read_file(Path(path), str(path))
    if document.problems:
        raise ConfigurationError(str(document.problems[0]))
    value = plain(document.root) if document.root is not None else {}
    if not isinstance(value, dict):
        message = f"expected names and values in `{path}`, found a list or a single value"
        raise ConfigurationError(message, hint="write one `name: value` per line")
    return value


def open_declared_sources(
    documents: Documents, folder: Path, sources: Mapping[str, Registered] | None = None, *, must_exist: bool = True
) -> DeclaredSources:
    """The sources that the schema declares. With `must_exist` a `python` source without a callable is an error."""
    openers: dict[str, Opener] = {
        "static": StaticOpener(Path(folder)),
        "python": CallableOpener(sources or {}, must_exist=must_exist),
        "claims": open_claims,
    }
    kinds = {source.kind for source in documents.schema.sources.values()}
    if "sql" in kinds:
        from demur.adapters.sql_source import SqlOpener  # noqa: PLC0415  (its libraries load only where asked for)

        openers["sql"] = SqlOpener(must_exist=must_exist)
    if "http" in kinds:
        from demur.adapters.http_source import HttpOpener  # noqa: PLC0415  (as above)

        openers["http"] = HttpOpener(must_exist=must_exist)
    if "content" in kinds:
        from demur.content.source import ContentOpener  # noqa: PLC0415  (its libraries load only where asked for)

        openers["content"] = ContentOpener()
    return open_sources(documents.schema, openers)
