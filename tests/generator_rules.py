"""Rules of the synthetic company with other values, for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from data_gen.company.rule_sections import FileDefectRules, RowDefectRules, Section
from data_gen.company.rules import Rules

AnySection = TypeVar("AnySection", bound=Section)


def changed(section: AnySection, **values: Any) -> AnySection:
    """The section with other values, given as the generator uses them: money in cents."""
    unknown = values.keys() - type(section).model_fields.keys()
    assert not unknown, f"{type(section).__name__} has no {unknown}"
    return section.model_copy(update=values)


def row_defects(share: Decimal, **others: Decimal) -> RowDefectRules:
    """The same share for all classes of row defects but those with another one."""
    return RowDefectRules(**dict.fromkeys(RowDefectRules.model_fields, share) | others)


def file_defects(share: Decimal, **others: Decimal) -> FileDefectRules:
    """The same share for all classes of file defects but those with another one."""
    return FileDefectRules(**dict.fromkeys(FileDefectRules.model_fields, share) | others)


def without_defects(rules: Rules) -> Rules:
    """The same rules without defects, corrected deliveries and robots. Late rows stay."""
    nothing = Decimal(0)
    defects = changed(
        rules.defects,
        rows=row_defects(nothing),
        files=file_defects(nothing),
        redelivered=nothing,
        skew=nothing,
    )
    return changed(rules, defects=defects)
