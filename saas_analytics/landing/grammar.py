"""The grammar of a mapping file, as pydantic models. Editors read it as mapping.schema.json.

`.venv/bin/python -m saas_analytics.landing.grammar` writes that file.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    RootModel,
    Strict,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from saas_analytics.contracts import SOURCES, Contract, ContractError, load_contract
from saas_analytics.landing.conditions import Condition, condition, number
from saas_analytics.landing.files import Format

EXTRA = "_extra"  # of raw tables with columns: all columns that no contract knows, as JSON
SCHEMA = Path(__file__).with_name("mapping.schema.json")

Scalar = StrictStr | StrictBool | StrictInt | StrictFloat


class _Part(BaseModel):
    """A part of a mapping file. It has the keys of its model and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FromFile(RootModel[Annotated[StrictStr, Field(min_length=1)]]):
    """The value of a file column; dots reach into JSON."""

    model_config = ConfigDict(frozen=True)

    @property
    def column(self) -> str:
        return self.root


def _factor(value: Any) -> Decimal:
    factor = number(str(value))
    if factor is None:
        raise ValueError(f"{value!r} is not a number")
    return factor


class Multiplied(_Part):
    """The number in a file column times a constant, exactly, such as 0.01 for cents.

    A value that is not a number stays as it is.
    """

    column: StrictStr
    times: Annotated[Decimal, PlainValidator(_factor, json_schema_input_type=float | str)]


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a time like 1970-01-01T00:00:00Z") from None


_Moment = Annotated[datetime, PlainValidator(_moment, json_schema_input_type=str)]


class SecondsSince(_Part):
    """The time so many seconds after another time, exactly.

    The other time is in the time zone of the mapping unless it has an offset. A value that is not
    a number stays as it is.
    """

    column: StrictStr
    seconds_since: _Moment
    unit: ClassVar[Decimal] = Decimal(1)  # in seconds

    @property
    def since(self) -> datetime:
        return self.seconds_since


class MillisecondsSince(_Part):
    """The time so many milliseconds after another time; otherwise as seconds_since."""

    column: StrictStr
    milliseconds_since: _Moment
    unit: ClassVar[Decimal] = Decimal("0.001")

    @property
    def since(self) -> datetime:
        return self.milliseconds_since


def _as_scalar(value: Any) -> Any:
    """Dates and other YAML values that JSON does not have count as text."""
    known = value is None or isinstance(value, str | bool | int | float | list | dict)
    return value if known else str(value)


class Constant(_Part):
    """The same value for every row."""

    const: Annotated[Scalar, BeforeValidator(_as_scalar)]


class Hash(_Part):
    """The first 32 hex digits of the SHA-256 of these values as a JSON array of texts.

    A value is a file column, a contract column, _file or _line.
    """

    hash: Annotated[list[StrictStr], Strict(), Field(min_length=1)]


def _as_true(value: Any) -> Any:
    """True only: Python would take the number 1 for it."""
    return value if isinstance(value, bool) else None


class Rest(_Part):
    """Every file column that is not named elsewhere in `columns`, as JSON."""

    rest: Annotated[Literal[True], BeforeValidator(_as_true)]


Elapsed = SecondsSince | MillisecondsSince
InFile = FromFile | Multiplied | Elapsed
_MARKS = ("const", "hash", "rest", "times", "seconds_since", "milliseconds_since")


def _form(entry: Any) -> str | None:
    """Which form the entry of a column has: text, or the key that marks it."""
    if isinstance(entry, dict):
        return next((mark for mark in _MARKS if mark in entry), None)
    return "text" if isinstance(entry, str) else None


Origin = Annotated[
    Annotated[FromFile, Tag("text")]
    | Annotated[Constant, Tag("const")]
    | Annotated[Hash, Tag("hash")]
    | Annotated[Rest, Tag("rest")]
    | Annotated[Multiplied, Tag("times")]
    | Annotated[SecondsSince, Tag("seconds_since")]
    | Annotated[MillisecondsSince, Tag("milliseconds_since")],
    Discriminator(_form),
]


def _source(value: Any) -> str:
    if value is None:
        raise ValueError(_NO_SOURCE)
    try:
        return load_contract(str(value)).source
    except ContractError as error:
        raise ValueError(str(error)) from None


def _encoding(value: Any) -> str:
    try:
        # Text never begins with a byte order mark, so utf-8-sig is utf-8.
        name = codecs.lookup(str(value)).name.removesuffix("-sig")
        # Line ends and delimiters are searched for in bytes: the encoding must contain ASCII.
        if "a,\n".encode(name) != b"a,\n":
            raise LookupError(value)
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"{value!r} is not an encoding like utf-8 or windows-1252") from None
    return name


def _timezone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f"{value!r} is not a time zone like Europe/Berlin") from None


def _text_keys(value: Any) -> Any:
    """A file column may be called 2019, which YAML reads as a number."""
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else value


_Condition = Annotated[
    Condition, PlainValidator(condition, json_schema_input_type=Scalar | list[Scalar])
]


def _describe_contracts(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema which columns each contract has, so that editors complete them."""
    schema["allOf"] = [
        {
            "if": {"properties": {"source": {"const": source}}, "required": ["source"]},
            "then": {"properties": {"columns": _columns_schema(load_contract(source))}},
        }
        for source in SOURCES
    ]


def _columns_schema(contract: Contract) -> dict[str, Any]:
    properties: dict[str, Any] = {
        column.name: {"description": column.description} for column in contract.columns
    }
    if contract.payload == "columns":
        properties[EXTRA] = {"const": {"rest": True}}
    return {
        "properties": properties,
        "required": list(contract.required),
        "additionalProperties": False,
    }


class MappingDocument(_Part):
    """How one kind of external file fills one contract."""

    model_config = ConfigDict(json_schema_extra=_describe_contracts)

    source: Annotated[str, PlainValidator(_source, json_schema_input_type=str)] = Field(
        description="The contract that the file fills.", json_schema_extra={"enum": list(SOURCES)}
    )
    format: Format | None = Field(
        None, description="The format of the file. Default: by the ending of its name."
    )
    delimiter: Annotated[StrictStr, Field(pattern=r'^[^"\r\n]$')] = Field(
        ",", description="What separates the fields of CSV: one character."
    )
    encoding: Annotated[str, PlainValidator(_encoding, json_schema_input_type=str | int)] = Field(
        "utf-8",
        description="The encoding of CSV and JSON. It must contain ASCII, so not utf-16.",
    )
    timezone: Annotated[ZoneInfo, PlainValidator(_timezone, json_schema_input_type=str)] = Field(
        "UTC", validate_default=True, description="For timestamps without an offset."
    )
    columns: Annotated[dict[str, Origin], BeforeValidator(_text_keys), Field(min_length=1)] = Field(
        description="For each contract column, where it comes from."
    )
    where: Annotated[dict[str, _Condition], BeforeValidator(_text_keys)] = Field(
        {},
        description="Conditions by file column, such as \"> 0\", \"!= 'x'\", in (a, b), like 'C%', "
        "is not null. Rows for which one does not hold are filtered.",
    )
    distinct: Annotated[list[StrictStr], Strict()] = Field(
        [], description="The columns of a key. Only the first row of each key lands."
    )
    ragged: Literal["pad", "reject"] = Field(
        "reject",
        description="CSV rows that are too short: reject, or pad missing optional columns.",
    )

    @model_validator(mode="after")
    def _fits_the_contract(self) -> Self:
        contract = load_contract(self.source)
        for name, origin in self.columns.items():
            if name == EXTRA and contract.payload == "columns":
                if not isinstance(origin, Rest):
                    raise ValueError(
                        f"columns.{EXTRA}: can only be {{rest: true}}, "
                        "which is everything that is named nowhere else"
                    )
            elif name not in contract.column_names:
                raise ValueError(
                    f"columns.{name}: the contract {contract.source!r} has no such column. "
                    f"It has: {', '.join(contract.column_names)}"
                )
        missing = [name for name in contract.required if name not in self.columns]
        if missing:
            raise ValueError(
                f"columns: the contract {contract.source!r} requires {', '.join(missing)}"
            )
        if sum(isinstance(origin, Rest) for origin in self.columns.values()) > 1:
            raise ValueError("columns: only one column can take the rest")
        return self


class MappingFile(_Part):
    """Several mappings in one file, for a file that fills several contracts."""

    mappings: list[MappingDocument]


_NO_SOURCE = "is missing: which contract does it fill?"
_EXPECTED = {
    "source": _NO_SOURCE,
    "columns": "must say for each contract column where it comes from",
    "where": "must give a condition for each file column",
    "distinct": "must be a list of columns",
    "delimiter": "{value!r} is not one character like ';' or \"\\t\"",
}


def complaints(content: dict[str, Any], error: ValidationError) -> Iterator[tuple[int, str]]:
    """The mistakes in the content of a MappingFile.

    Yields the index of the mapping, and the key with what is wrong and what to do; the index is -1
    if the file as a whole is wrong.
    """
    for one in error.errors(include_url=False):
        if len(one["loc"]) == 1:
            yield -1, "mappings: must be a list, and the only key at its level"
            continue
        index = int(one["loc"][1])
        yield index, _complaint(one, content["mappings"][index])


def _complaint(error: ErrorDetails, document: Any) -> str:
    kind, value = error["type"], error["input"]
    path = [str(part) for part in error["loc"][2:]]
    reason = str(error["ctx"]["error"]) if kind == "value_error" else ""
    if not path:
        return reason or f"expected keys and values, found {type(value).__name__}"
    if path[0] == "columns" and len(path) > 1:
        return _complaint_of_column(path, kind, reason, document)
    key = ".".join(path)
    if kind in ("extra_forbidden", "invalid_key"):
        keys = ", ".join(MappingDocument.model_fields)
        return f"{key}: is not a key of a mapping. Keys: {keys}"
    if kind == "literal_error":
        return f"{key}: {value!r} is not one of {error['ctx']['expected']}"
    if reason:
        return f"{key}: {reason}"
    return f"{path[0]}: {_EXPECTED[path[0]].format(value=value)}"


def _complaint_of_column(path: list[str], kind: str, reason: str, document: Any) -> str:
    name = path[1]
    if reason:  # about a value in the entry: the path is the column, the form and the key
        return f"columns.{name}.{path[-1]}: {reason}"
    entry = next(each for key, each in document["columns"].items() if str(key) == name)
    if isinstance(entry, dict) and len(entry) == 1 and kind.startswith("union_tag"):
        return (
            f"columns.{name}: {next(iter(entry))!r} is not known. Known: a file column, const, "
            "hash, rest, column and times, column and seconds_since or milliseconds_since"
        )
    return (
        f"columns.{name}: {entry!r} is not understood. Write a file column, {{const: value}}, "
        "{hash: [columns]}, {rest: true}, {column: name, times: number} or "
        "{column: name, seconds_since: time}"
    )


def schema_text() -> str:
    """The JSON Schema of mapping files, as mapping.schema.json holds it."""
    schema = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$comment": "Generated. Write it again: .venv/bin/python -m saas_analytics.landing.grammar",
        "title": "Mapping of external files",
        **TypeAdapter(MappingDocument | MappingFile).json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
