"""The flags that commands share: one for each of the common settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from srv.settings.checks import field_of
from srv.settings.fields import Choice, Flag, Seconds, Strict, Whole
from srv.settings.schemas import ServerSchema

Command = TypeVar("Command", bound=Callable[..., Any])

#: The settings that have a flag, in the order in which the help shows them.
FLAGS = (
    "host",
    "http_port",
    "grpc_port",
    "workers",
    "threads",
    "worker_class",
    "models_dir",
    "on_load_error",
    "request_timeout",
    "graceful_timeout",
    "log_level",
    "log_format",
    "access_log",
)


def settings_flags(command: Command) -> Command:
    """Give a command FOLDER and the flags of the common settings; each flag is None where it was not given."""
    return click.argument("folder", default=".", type=click.Path())(flags_alone(command))


def flags_alone(command: Command) -> Command:
    """Give a command the flags of the common settings, and leave its arguments to itself."""
    schema = ServerSchema()
    for setting in reversed(FLAGS):
        command = _option(setting, field_of(schema, setting))(command)
    return command


def given_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's values that are settings and were given, as `read_server_settings` takes them."""
    return {setting: values[setting] for setting in FLAGS if values.get(setting) is not None}


def _option(setting: str, field: Strict) -> Callable[[Command], Command]:
    name = setting.replace("_", "-")
    text = field.metadata["description"].replace("`", "")
    if isinstance(field, Flag):
        return click.option(f"--{name}/--no-{name}", setting, default=None, help=text)
    return click.option(f"--{name}", setting, type=_type(field), default=None, help=text)


def _type(field: Strict) -> click.ParamType[Any]:
    """What click makes of the text; ranges are the settings' to check, with their own sentence."""
    if isinstance(field, Whole):
        return click.INT
    if isinstance(field, Seconds):
        return click.FLOAT
    if isinstance(field, Choice):
        return click.Choice(list(field.words))
    return click.STRING
