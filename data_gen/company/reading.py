"""Reads YAML into the models of the rules. An error names the wrong key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from data_gen.company.rule_values import Wrong, shown
from saas_analytics.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)
_MOST_NAMED = 5  # other wrong keys that a message names


class RulesError(UsageError):
    """A key or a value of the rules is wrong. The message says where, and what is possible.

    `file`: where the rules are from; `path`: the key, such as `users.roles`, "" for the whole file.
    """

    def __init__(self, file: str, path: str, problem: str) -> None:
        super().__init__(f"{file}: {path or 'the file'}: {problem}")
        self.path = path


# -- YAML --------------------------------------------------------------------------------------

_FastLoader: type[yaml.SafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # in C, where it was built


class _ExactLoader(_FastLoader):  # type: ignore[misc, valid-type]
    """A safe loader that keeps decimals exact and rejects a key that is written twice."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    text = node.value.replace("_", "").lower()
    if any(c not in "0123456789.e+-" for c in text):
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.value} is not a number", node.start_mark
        )
    return Decimal(text)


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is there twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str, file: str) -> Any:
    """YAML as plain values, decimals exact. Raises RulesError."""
    try:
        return yaml.load(text, Loader=_ExactLoader)  # a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise RulesError(file, "", f"is not readable YAML: {problem}") from error


# -- models ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    path: str
    text: str
    unknown: bool = False  # the key, not its value, is wrong
    meant: str = ""  # the path of the key that was probably meant


def read(model: type[Model], value: Any, file: str) -> Model:
    """`value` as a model. Raises RulesError, which explains one problem and names the others."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [_problem(model, details) for details in error.errors(include_url=False)]
    problems.sort(key=lambda problem: not problem.unknown)
    first, *others = problems
    meant = {problem.meant for problem in problems}  # missing only as they are misspelled
    also = [problem.path for problem in others if problem.path not in meant]
    text = first.text
    if also:
        rest = f" and {len(also) - _MOST_NAMED} more" if len(also) > _MOST_NAMED else ""
        text += f" (also wrong: {', '.join(also[:_MOST_NAMED])}{rest})"
    raise RulesError(file, first.path, text)


def _problem(model: type[BaseModel], error: ErrorDetails) -> _Problem:
    where, value = error["loc"], shown(error["input"])
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error" if isinstance(context["error"], Wrong):
            wrong = context["error"]
            return _Problem(_path((*where, *wrong.at)), str(wrong))
        case "extra_forbidden":
            return _unknown_key(model, where)
        case "missing":
            text = "is missing"
        case "model_type":
            text = f"must be a mapping of keys to values, not {value}"
        case "dict_type":
            text = f"must be a mapping of names to values, not {value}"
        case "string_type" if where[-1] == "[key]":
            name = str(error["input"])
            return _Problem(_path((*where[:-2], name)), "the name must be a text; put it in quotes")
        case "tuple_type":
            text = f"must be a list, not {value}"
        case "too_short":
            least = _values(context["min_length"])
            text = f"needs at least {least}, not {context['actual_length']}"
        case "too_long":
            most = _values(context["max_length"])
            text = f"can have at most {most}, not {context['actual_length']}"
        case "literal_error":
            text = f"must be one of {context['expected']}, not {value}"
        case _:
            text = f"{error['msg']}, not {value}"
    return _Problem(_path(where), text)


def _values(number: int) -> str:
    return "one value" if number == 1 else f"{number} values"


def _unknown_key(model: type[BaseModel], where: Sequence[str | int]) -> _Problem:
    *parent, key = where
    known = list(_section_at(model, parent).model_fields)
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    meant = _path((*parent, close[0])) if close else ""
    return _Problem(_path(where), f"is not a known key; {hint}", unknown=True, meant=meant)


def _section_at(model: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel]:
    """The model at a place in another one."""
    kind: Any = model
    for key in where:
        if _is_model(kind):
            kind = kind.model_fields[key].annotation
        else:  # the entries of a mapping or of a list
            kind = next(entry for entry in get_args(kind) if _is_model(entry))
    return cast("type[BaseModel]", kind)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _path(where: Sequence[str | int]) -> str:
    """`sessions.devices[0].weight`"""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return "".join(steps).removeprefix(".")
