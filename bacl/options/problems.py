"""Whether a value is what a type allows, and how that is said."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, is_typeddict

from annotated_types import Predicate
from pydantic import ConfigDict, TypeAdapter, ValidationError

from bacl.messages.shown import as_typed
from bacl.options.parts import element_of, part_of
from bacl.options.ranges import Text

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
"""No text for a number, no switch for a number, neither infinity nor NaN."""


def problem(value: Any, hint: Any) -> str:
    """What is expected in place of a value that the type, with its ranges, has not; or nothing.

    >>> from annotated_types import Ge
    >>> problem(0, Annotated[int, Ge(1)] | None)
    'expected a whole number of at least 1 or null'
    """
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if any(_allows(each, value) for each in alternatives):
        return ""
    told = f"expected {' or '.join(dict.fromkeys(map(expected, alternatives)))}"
    may_be_text = isinstance(value, int | float) and Text in alternatives
    return f"{told}; as text: '\"{as_typed(value)}\"'" if may_be_text else told


def expected(hint: Any) -> str:
    """What a type allows, in words."""
    if (part := part_of(hint)) is not None:
        return str(part)
    if is_typeddict(hint):
        return "several options"
    for kind, word in ((Mapping, "named parts"), (Sequence, "a list of parts")):
        if (element := element_of(hint, kind)) is not None and part_of(element) is not None:
            return f"{word}, each {part_of(element)}"
    return _words(_adapter(hint).json_schema()) + "".join(_conditions(hint))


def _allows(hint: Any, value: Any) -> bool:
    if part_of(hint) is not None or is_typeddict(hint):
        return False
    try:
        _adapter(hint).validate_python(value)
    except ValidationError:
        return False
    return True


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=STRICT)


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(each) for each in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return " or ".join(dict.fromkeys(as_typed(choice) for choice in choices))
    return KINDS.get(schema.get("type", ""), lambda _: "another value")(schema)


def _number(name: str) -> Callable[[Mapping[str, Any]], str]:
    bounds = {
        "minimum": "of at least", "exclusiveMinimum": "above",
        "maximum": "at most", "exclusiveMaximum": "below",
    }  # fmt: skip

    def words(schema: Mapping[str, Any]) -> str:
        told = [f"{word} {schema[key]:,}" for key, word in bounds.items() if key in schema]
        return f"{name} {' and '.join(told)}".rstrip()

    return words


def _list(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    count = (
        f"{least} values" if least == most else f"at least {least} values" if least else "values"
    )
    items = _words(schema.get("items", {}))
    return f"a list of {count}" + (f", each {items}" if items != "another value" else "")


KINDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "integer": _number("a whole number"),
    "number": _number("a number"),
    "boolean": lambda _: "true or false",
    "string": lambda _: "text",
    "null": lambda _: "null",
    "array": _list,
    "object": lambda _: "named values",
}


def _conditions(hint: Any) -> list[str]:
    """Of the predicates, which a schema does not have."""
    if get_origin(hint) is not Annotated:
        return [text for part in get_args(hint) for text in _conditions(part)]
    return [
        f", {each.func.__name__.replace('_', ' ')}"
        for each in hint.__metadata__
        if isinstance(each, Predicate)
    ]
