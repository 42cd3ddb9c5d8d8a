"""Settings from the environment: ``SRV_HTTP_PORT``, nested by ``__``, lists and objects as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from marshmallow import Schema

from srv.errors import nearest
from srv.settings import mlserver_keys
from srv.settings.checks import Leaves, Named, checked, field_of
from srv.settings.errors import WrongSetting
from srv.settings.fields import NotThis, Section, Strict
from srv.settings.given import GivenSettings

PREFIX = "SRV_"
MODEL_PREFIX = "SRV_MODEL__"
#: Defaults that an image brings: below settings.json, where the other variables are over it. An image has them under both
#: names, because not every srv that a folder asks for knows the longer one; the shorter one counts where it differs.
DEFAULT_PREFIX = "SRV_DEFAULT__"

_INJECTED_VALUE = re.compile(r"(tcp|udp|sctp)://")
_INJECTED_NAME = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")


def is_injected(name: str, text: str) -> bool:
    """Return whether a variable looks like one that Kubernetes sets for a Service."""
    return _INJECTED_VALUE.match(text) is not None or _INJECTED_NAME.search(name) is not None


def read_environment(
    environ: Mapping[str, str],
    prefix: str,
    schema: Schema,
    *,
    sections: Collection[str] = (),
    never: Collection[tuple[str, ...]] = (),
) -> GivenSettings:
    """Return everything that variables of this prefix give. Raises a SettingError for a value of a wrong type.

    A variable that Kubernetes injected for a Service, that names no setting, or one of `never`, is noted and ignored.
    """
    outcome = GivenSettings()
    names = {prefix + "__".join(path).upper(): path for path in _paths(schema)}
    injected = []
    for name in sorted(environ):  # so that SRV_TLS comes before SRV_TLS__CERTFILE, which is in force then
        if not name.startswith(prefix) or (prefix == PREFIX and name.startswith((MODEL_PREFIX, DEFAULT_PREFIX))):
            continue
        text = environ[name]
        if prefix == PREFIX and environ.get(DEFAULT_PREFIX + name.removeprefix(PREFIX)) == text:
            continue
        section = _section(name, prefix, sections)
        if _INJECTED_VALUE.match(text) or (name not in names and _INJECTED_NAME.search(name)):
            injected.append(name)
        elif names.get(name) in never:
            outcome.notes.append(f"{name} is ignored: it cannot be a default for all models.")
        elif name in names:
            path = names[name]
            place = Named(name, path)
            leaves = checked(schema, _nested(path, _value(schema, path, text, place)), place)
            outcome.take(name, leaves)
        elif section is not None:
            outcome.take(name, _section_leaves(section, text, Named(name, section)))
        else:
            outcome.notes.append(_unknown(name, prefix, names))
    if injected:
        outcome.notes.insert(
            0, f"Ignored {', '.join(injected)}: Kubernetes sets such variables for a Service, they are no settings."
        )
    return outcome


def _paths(schema: Schema) -> Iterator[tuple[str, ...]]:
    for key, field in schema.fields.items():
        yield (key,)
        if isinstance(field, Section):
            yield from ((key, inner) for inner in field.schema.fields)


def _value(schema: Schema, path: tuple[str, ...], text: str, place: Named) -> Any:
    field = _field(schema, path)
    try:
        return field.from_text(text)
    except NotThis:
        raise WrongSetting(place.subject(path), field.phrase, text) from None


def _field(schema: Schema, path: tuple[str, ...]) -> Strict:
    field = field_of(schema, path[0])
    for key in path[1:]:
        assert isinstance(field, Section)
        field = field_of(field.schema, key)
    return field


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {path[0]: value} if len(path) == 1 else {path[0]: _nested(path[1:], value)}


def _section(name: str, prefix: str, sections: Collection[str]) -> tuple[str, ...] | None:
    """Return the path of a plugin's section, or of a key in it, that a variable names."""
    plain, _, key = name.removeprefix(prefix).partition("__")
    for section in sections:
        if re.sub(r"[^A-Za-z0-9]", "_", section).upper() == plain:
            return (section, key.lower()) if key else (section,)
    return None


def _section_leaves(path: tuple[str, ...], text: str, place: Named) -> Leaves:
    """Return a plugin's settings from a text, as JSON if it is JSON; the plugin's schema checks them later."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if len(path) > 1:
        return {path: value}
    if not isinstance(value, dict):
        raise WrongSetting(place.name, "must be an object, the plugin's settings as JSON", text)
    return {(*path, key): inner for key, inner in value.items()}


def _unknown(name: str, prefix: str, names: Collection[str]) -> str:
    key = name.removeprefix(prefix).lower()
    advice = mlserver_keys.hint(
        key, mlserver_keys.MODEL if prefix == MODEL_PREFIX else mlserver_keys.SERVER
    ) or nearest(name, names)
    return f"{name} is not a setting of srv and is ignored.{advice}"
