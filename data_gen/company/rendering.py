"""One row that is not as it should be, as the bytes of its line."""

from __future__ import annotations

import json

import pyarrow as pa

from data_gen.company.corruption import NO_UTF8, NUL, Values
from data_gen.company.schemas import Source


def shown(value: str | None) -> str | None:
    """As the answer key has it: bytes that no text has are written as the rejects at landing show them."""
    return value.replace(NUL, "\\x00").replace(NO_UTF8, "\\xff\\xfe") if value else value


def line_of(source: Source, values: Values) -> bytes:
    """One row with its line end, bytes that no text has put in."""
    if source.format == "csv":
        line = ",".join(_csv(value) for value in values.values())
    else:
        line = "{" + ",".join(f'"{name}":{_json(source, name, value)}' for name, value in values.items()) + "}"
    end = b"" if source.format == "json" else b"\n"
    return line.encode().replace(NUL.encode(), b"\x00").replace(NO_UTF8.encode(), b"\xff\xfe") + end


def _csv(value: str | None) -> str:
    if value is None:
        return ""
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in '",\r\n') else value


def _json(source: Source, name: str, value: str | None) -> str:
    kind = source.schema.field(name).type
    if value is None:
        return "null"
    quoted = pa.types.is_string(kind) or pa.types.is_temporal(kind)
    return json.dumps(value, ensure_ascii=False) if quoted and name not in source.json else value
