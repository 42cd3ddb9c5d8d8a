"""The flags that commands share: one for each of the common settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srv.errors import quoted
from srv.settings.checks import field_of
from srv.settings.fields import Choice, Flag, NotThis, Seconds, Strict, Text, Whole
from srv.settings.schemas import ServerSchema, is_model_name

Command = TypeVar("Command", bound=Callable[..., Any])

# It takes no type parameter while running where click is old.
if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

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


class Null(Enum):
    """The value of a flag that was given as `null`. None means that a flag was not given."""

    GIVEN = "null"


NULL = Null.GIVEN


def settings_flags(command: Command) -> Command:
    """Give a command FOLDER and the flags of the common settings; each flag is None where it was not given."""
    return click.argument("folder", default=".", type=click.Path())(flags_alone(command))


def flags_alone(command: Command) -> Command:
    """Give a command the flags of the common settings, and leave its arguments to itself."""
    schema = ServerSchema()
    for setting in reversed(FLAGS):
        command = _option(setting, field_of(schema, setting))(command)
    return command


def root_name_flag(command: Command) -> Command:
    """Give a command --root-name, None where it was not given."""
    return click.option(
        "--root-name",
        metavar="NAME",
        callback=lambda _, __, name: _model_name(name),
        help="What a model that is FOLDER itself, or else --models-dir itself, is called where its settings do not say.",
    )(command)


def _model_name(name: str | None) -> str | None:
    if name is not None and not is_model_name(name):
        raise click.BadParameter("a model's name has letters, digits and ._-, and begins with a letter, a digit or _.")
    return name


def given_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's values that are settings and were given, as `read_server_settings` takes them."""
    given = {setting: values[setting] for setting in FLAGS if values.get(setting) is not None}
    return {setting: None if value is NULL else value for setting, value in given.items()}


def _option(setting: str, field: Strict) -> Callable[[Command], Command]:
    name = setting.replace("_", "-")
    text = field.metadata["description"].replace("`", "")
    if isinstance(field, Flag):
        return click.option(f"--{name}/--no-{name}", setting, default=None, help=text)
    return click.option(f"--{name}", setting, type=_type(field), default=None, help=text)


class SettingText(_ParamType):
    """A flag's text, in the form of the setting's environment variable. Ranges are checked with the settings."""

    def __init__(self, field: Strict) -> None:
        self._field = field
        self.name = _SHOWN.get(type(field), "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a settings file, NULL for null; fails with the setting's own sentence."""
        if not isinstance(value, str):
            return value
        try:
            found = self._field.from_text(value.strip() if isinstance(self._field, Whole | Seconds) else value)
        except NotThis:
            found = value
        if found is None and self._field.nullable:
            return NULL
        if found is None or (isinstance(found, str) and not isinstance(self._field, Text)):
            self.fail(f"it {self._field.phrase}, not {quoted(value)}.", param, ctx)
        return found


#: The placeholder of a flag's value in the help.
_SHOWN = {Whole: "integer", Seconds: "seconds"}


def _type(field: Strict) -> click.ParamType[Any]:
    """Return click's type for the flag of a setting."""
    if isinstance(field, Choice) and not field.nullable:
        return click.Choice(list(field.words))
    return SettingText(field)
