"""A plugin's section of the settings, loaded by the plugin's own schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv.hooks.errors import BadSection, WrongAnswer
from srv.hooks.implementations import Implementation

SCHEMA_HOOK = "srv_settings_schema"


def read_section(
    section: str, given: Mapping[str, Any] | None, implementation: Implementation | None
) -> Mapping[str, Any]:
    """Load a section by the plugin's schema, defaults included. Raises BadSection, which names the key."""
    declared = implementation() if implementation is not None else None
    if declared is None:
        if given is not None:
            raise BadSection(section, "", "the plugin declares no settings")
        return {}
    # Costs 70 ms, and most plugins have no settings.
    from marshmallow import Schema, ValidationError

    if isinstance(declared, type) and issubclass(declared, Schema):
        declared = declared()
    if not isinstance(declared, Schema):
        raise WrongAnswer(SCHEMA_HOOK, declared, "a marshmallow schema")
    try:
        loaded = declared.load(dict(given or {}))
    except ValidationError as error:
        key, message = _first(error.messages)
        raise BadSection(section, key, message) from None
    return loaded if isinstance(loaded, Mapping) else {"settings": loaded}


def _first(messages: Mapping[Any, Any] | list[Any]) -> tuple[str, str]:
    """Return the first fault, as a dotted key and a sentence."""
    keys = []
    inner: Any = messages
    while isinstance(inner, Mapping) and inner:
        key = next(iter(inner))
        keys.append(str(key))
        inner = inner[key]
    message = inner[0] if isinstance(inner, list) and inner else inner
    return ".".join(key for key in keys if key != "_schema"), str(message)
