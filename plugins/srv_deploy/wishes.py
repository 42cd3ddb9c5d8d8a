"""Wishes: what the person who deploys has said on the command line, beside the folder's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from srv.settings.environment import PREFIX
from srv.settings.schemas import ServerSchema
from srv_deploy.errors import BadVariable, SecretInText, ValueNeeded

#: Variables of the plugin `keys`, whose values are secrets.
KEYS = f"{PREFIX}KEYS__"


@dataclass(frozen=True)
class Wishes:
    """The image, what it is called, and what it may use. None where nothing was said."""

    image: str
    name: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    cpu: str | None = None
    memory: str | None = None
    cores: Decimal | None = None
    memory_bytes: int | None = None
    gpus: int = 0
    shm_bytes: int | None = None
    shm: str | None = None
    models: str | None = None
    settings_mounted: bool = False
    namespace: str | None = None
    replicas: int = 1
    max_replicas: int | None = None
    secret: str | None = None
    tls: str | None = None
    service_monitor: bool = False
    serverless: bool = False


def variables(words: Sequence[str]) -> dict[str, str | None]:
    """Return NAME=VALUE pairs by name; None is the value of a NAME alone, which comes from where secrets are kept.

    Raises BadVariable, SecretInText for a key with its value, and ValueNeeded for a setting without one.
    """
    given: dict[str, str | None] = {}
    settings = {f"{PREFIX}{key}".upper() for key in ServerSchema().fields}
    for word in words:
        name, equals, value = word.partition("=")
        if not name.isidentifier() or not name.isascii():
            raise BadVariable(word)
        if equals and name.startswith(KEYS):
            raise SecretInText(name)
        if not equals and name.partition("__")[0] in settings:
            raise ValueNeeded(name)
        given[name] = value if equals else None
    return given
