"""Placements of model processes by plugins: the first answer counts, and it must be one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from srv.devices import is_device
from srv.discovery.plugin import Plugin
from srv.errors import PluginFailed, SrvError
from srv.hooks.errors import BadPlacement
from srv.hooks.registration import Registration
from srv.hookspecs import Model
from srv.placement import Placement

log = logging.getLogger("srv.plugins")


def chosen_placement(model: Model, number: int, registration: Registration) -> Placement | None:
    """Return the first answer of a plugin. Raises BadPlacement, PluginFailed, or what SrvError a plugin raised."""
    for implementation in registration.implementations("srv_placement"):
        plugin = implementation.plugin
        try:
            answer: Any = implementation(model=model, number=number, settings=registration.settings_of(plugin))
        except SrvError:
            raise
        except Exception as error:
            log.exception("Plugin '%s' raised in srv_placement.", plugin.name)
            raise PluginFailed(plugin.name, "srv_placement", error) from error
        if answer is not None:
            return _checked(answer, plugin)
    return None


def _checked(answer: Any, plugin: Plugin) -> Placement:
    if not isinstance(answer, Placement):
        raise BadPlacement(plugin, f"a {type(answer).__name__}, not with a srv.placement.Placement")
    devices: Any = answer.devices
    if devices is not None and not (
        isinstance(devices, tuple | list) and all(isinstance(each, str) and is_device(each) for each in devices)
    ):
        raise BadPlacement(plugin, "devices that are none, such as ('cuda:0',)")
    cpus: Any = answer.cpus
    if cpus is not None and not (
        isinstance(cpus, Collection) and all(type(each) is int and each >= 0 for each in cpus)
    ):
        raise BadPlacement(plugin, "processors that are no collection of their numbers")
    env: Any = answer.env
    if not isinstance(env, Mapping) or not all(isinstance(each, str) for pair in env.items() for each in pair):
        raise BadPlacement(plugin, "variables that are no mapping of texts")
    return Placement(None if devices is None else tuple(devices), cpus, dict(env))
