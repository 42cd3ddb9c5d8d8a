"""Devices: the operator of a server says in settings.json which devices the processes of models get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from srv.devices import is_device, shared_out
from srv.hookspecs import Model, hookimpl
from srv.placement import Placement

srv_needs_settings = True


def _check(device: str) -> None:
    if not is_device(device):
        raise ValidationError("must be a device, such as 'cuda:0', or 'cpu'")


_DEVICES = fields.List(fields.String(validate=_check), validate=validate.Length(min=1))


class Settings(Schema):
    """Devices by the names of models."""

    models = fields.Dict(
        keys=fields.String(),
        values=_DEVICES,
        required=True,
        metadata={
            "description": "Lists of devices by the names of models, shared out over each model's processes; `*` is any other."
        },
    )


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare lists of devices by the names of models."""
    return Settings


@hookimpl
def srv_placement(model: Model, number: int, settings: Mapping[str, Any]) -> Placement | None:
    """Give a process its share of the devices that settings name for its model; the model's own settings count else."""
    devices = settings["models"].get(model.name, settings["models"].get("*"))
    process = model.settings.process
    if devices is None or process is None:
        return None
    return Placement(devices=shared_out(devices, process.count, number))
