"""Type hints: what is left of one without aliases, `Annotated` and `| None`, and how sentences show it."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import numpy as np

from srv.inference.signatures.errors import BadHint
from srv.model_settings import Spec

_DEEPEST = 50  # aliases may name each other in a circle


class Hint(msgspec.Struct, frozen=True):
    """A hint taken apart: the type, the Spec in its `Annotated`, and whether None is allowed.

    `required` is what Required or NotRequired says of a TypedDict's key, None where neither stands.
    """

    type: Any
    spec: Spec | None = None
    optional: bool = False
    required: bool | None = None


def unwrapped(hint: Any) -> Hint:
    """Take aliases, `Annotated`, NewType and `| None` off a hint, in whatever order they stand.

    Raises BadHint for an alias that refers to itself, and whatever a lazy alias raises when it is evaluated.
    """
    spec: Spec | None = None
    optional = False
    required: bool | None = None
    for _ in range(_DEEPEST):
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *extras = get_args(hint)
            spec = next((extra for extra in extras if isinstance(extra, Spec)), spec)
        elif _is_alias(hint) or _is_alias(origin):
            hint = _meaning(hint)
        elif _qualifier(origin) is not None:
            required = {"Required": True, "NotRequired": False}.get(_qualifier(origin) or "", required)
            hint = get_args(hint)[0]
        elif origin is Literal and None in get_args(hint) and len(get_args(hint)) > 1:
            hint = Literal[tuple(value for value in get_args(hint) if value is not None)]
            optional = True
        elif hasattr(hint, "__supertype__"):  # a NewType
            hint = hint.__supertype__
        elif is_union(hint) and type(None) in get_args(hint):
            hint = union_of([one for one in get_args(hint) if one is not type(None)])
            optional = True
        elif is_union(hint):
            members = [unwrapped(one) for one in get_args(hint)]
            hint = union_of([member.type for member in members])
            spec = spec or next((member.spec for member in members if member.spec is not None), None)
            return Hint(hint, spec, optional or any(member.optional for member in members), required)
        else:
            return Hint(_with_plain_arguments(hint), spec, optional, required)
    raise BadHint(f"{shown(hint)}, which means itself")


def is_union(hint: Any) -> bool:
    """Return whether it is `X | Y`, or the same written as Union."""
    return get_origin(hint) in (Union, types.UnionType)


def union_of(members: list[Any]) -> Any:
    """Return the union of some types, which of one type is that type."""
    return members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 (made at run time)


def members_of(hint: Any) -> Iterator[Any]:
    """Return the types that a hint of scalars allows, with unions, aliases and TypeVars resolved."""
    hint = unwrapped(hint).type
    if is_union(hint):
        for member in get_args(hint):
            yield from members_of(member)
    elif isinstance(hint, TypeVar):
        for member in hint.__constraints__ or (hint.__bound__ or Any,):
            yield from members_of(member)
    else:
        yield hint


def shown(hint: Any) -> str:
    """Return a hint as a sentence names it."""
    if is_union(hint):
        return " | ".join(map(shown, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint).replace("typing.", "")


def _with_plain_arguments(hint: Any) -> Any:
    """Return a container's hint in the form that codecs use: `list[str]` for `List[Text]`."""
    origin = get_origin(hint)
    if not isinstance(origin, type) or origin is np.ndarray or not issubclass(origin, Iterable):
        return hint
    if not get_args(hint) and origin is not tuple:  # as typing.List alone; tuple[()] says that it is empty
        return origin
    arguments = tuple(one if one is Ellipsis else unwrapped(one).type for one in get_args(hint))
    return origin[arguments]  # type: ignore[index]  # because it is the origin of such a hint


def _qualifier(origin: Any) -> str | None:
    """Return the name of what wraps the type of a TypedDict's key or a dataclass's field and says nothing of the type."""
    name = getattr(origin, "_name", None)
    return name if name in ("Required", "NotRequired", "ReadOnly", "Final") else None


def _is_alias(hint: Any) -> bool:
    """Return whether it was made by a `type` statement or TypeAliasType, that of typing_extensions too."""
    return hasattr(type(hint), "__value__") or type(hint).__name__ == "TypeAliasType"


def _meaning(hint: Any) -> Any:
    """Return the type that an alias means, with its parameters replaced by the types that were given."""
    alias = hint if _is_alias(hint) else get_origin(hint)
    value = alias.__value__
    wanted = getattr(value, "__parameters__", ())
    parameters = alias.__type_params__
    given = get_args(hint) if alias is not hint else ()
    if isinstance(value, TypeVar):
        return dict(zip(parameters, given, strict=False)).get(value, Any)
    if not wanted:
        return value
    if wanted == parameters and given:
        return value[given]
    types_of = dict(zip(parameters, given, strict=False))
    return value[tuple(types_of.get(parameter, parameter) for parameter in wanted)]
