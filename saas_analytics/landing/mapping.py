"""Mappings: YAML that maps an external file to rows of a contract.

One file may hold several mappings, for a file that fills several contracts: as YAML documents, or
as a list under `mappings:`. The keys are in saas_analytics/landing/grammar.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import ValidationError

from saas_analytics.contracts import Contract, load_contract
from saas_analytics.landing.conditions import Condition
from saas_analytics.landing.errors import MappingError
from saas_analytics.landing.files import Format
from saas_analytics.landing.grammar import (
    EXTRA,
    Hash,
    InFile,
    MappingFile,
    Origin,
    Rest,
    complaints,
)

OWN_COLUMNS = ("_file", "_line")
REST = "*"  # among the columns that a mapping knows: all of them

MAPPINGS = Path(__file__).with_name("mappings")  # those that the project ships


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one kind of external file fills one contract."""

    # The name of the mapping file, with a number from its second mapping of the same contract on.
    name: str
    path: Path
    digest: str  # of the content: comments and order do not count
    contract: Contract
    format: Format | None  # None: by the ending of the file's name
    delimiter: str  # of CSV
    encoding: str
    timezone: ZoneInfo
    columns: Dictionary[str, Origin]  # by contract column
    where: Dictionary[str, Condition]  # by file column
    distinct: tuple[str, ...]
    ragged: Literal["pad", "reject"]

    def known_columns(self) -> set[str]:
        """The file columns that the mapping names anywhere, with the heads of dotted ones.

        REST is among them if the mapping takes all columns.
        """
        known = {*self.where, *self.distinct}
        for name, origin in self.columns.items():
            if isinstance(origin, InFile):
                known.add(origin.column)
            elif isinstance(origin, Hash):
                known.update(origin.hash)
            elif isinstance(origin, Rest) and name != EXTRA:
                known.add(REST)
        return known | {name.partition(".")[0] for name in known}


class _PlainYaml(yaml.SafeLoader):
    """YAML in which `no`, `on` and 2026-01-31 are text: they may be columns or constants."""


_PlainYaml.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag != "tag:yaml.org,2002:timestamp"
        and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_mappings(path: Path) -> list[Mapping]:
    """Read a mapping file. MappingError names the file, and each wrong key with the reason."""
    content = _read(path)
    try:
        documents = MappingFile.model_validate(content).mappings
    except ValidationError as error:
        # A value can be wrong in several ways with one message: each message comes once.
        lines = dict.fromkeys(
            f"{_place(path, content, index)}: {complaint}"
            for index, complaint in complaints(content, error)
        )
        raise MappingError("\n".join(lines)) from None
    if not documents:
        raise MappingError(f"{path} is empty. A mapping needs at least source: and columns:.")
    mappings: list[Mapping] = []
    for index, document in enumerate(documents):
        same = sum(mapping.contract.source == document.source for mapping in mappings)
        mappings.append(
            Mapping(
                name=path.stem if not same else f"{path.stem}#{same + 1}",
                path=path,
                digest=_digest(content["mappings"][index], _place(path, content, index)),
                contract=load_contract(document.source),
                format=document.format,
                delimiter=document.delimiter,
                encoding=document.encoding,
                timezone=document.timezone,
                columns=document.columns,
                where=document.where,
                distinct=tuple(document.distinct),
                ragged=document.ragged,
            )
        )
    return mappings


def _read(path: Path) -> dict[str, Any]:
    """The content of a mapping file, in the form of a MappingFile."""
    try:
        text = path.read_text(encoding="utf-8")
        documents = [
            document for document in yaml.load_all(text, _PlainYaml) if document is not None
        ]
    except OSError as error:
        raise MappingError(
            f"{path}: {error.strerror}. Give the path of a mapping file with --mapping."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if len(documents) == 1 and isinstance(documents[0], dict) and "mappings" in documents[0]:
        content: dict[str, Any] = documents[0]
        return content
    return {"mappings": documents}


def _place(path: Path, content: dict[str, Any], index: int) -> str:
    several = index >= 0 and len(content["mappings"]) > 1
    return f"{path}, mapping {index + 1}" if several else str(path)


def _digest(document: dict[str, Any], place: str) -> str:
    """The SHA-256 of a mapping's content. Loads are compared by it, so it must never change."""
    try:
        canonical = json.dumps(document, sort_keys=True, default=str)
    except TypeError:  # the keys of one level are of several types, or not text
        raise MappingError(f"{place}: write the names of all columns as text: '2019'.") from None
    return hashlib.sha256(canonical.encode()).hexdigest()
