"""Adoption of foreign classes: which plugin makes a runtime of a class that a model's settings name and that is none."""

from __future__ import annotations

import logging
from typing import Any

from srv.discovery import Plugins
from srv.discovery.plugin import Plugin, normalised
from srv.errors import PluginFailed, SrvError
from srv.hooks.errors import AdoptedByNoRuntime, AdoptionContested
from srv.hooks.registration import Registration
from srv.model_settings import ModelSettings
from srv.runtime import Runtime

log = logging.getLogger("srv.plugins")


def adopted(
    cls: type, model_settings: ModelSettings, registration: Registration, plugins: Plugins
) -> type[Runtime] | None:
    """Return the runtime that a plugin makes of a class; None where none does.

    Raises AdoptionContested, AdoptedByNoRuntime, the plugin's own SrvError, or PluginFailed for what else it raises.
    """
    answers: list[tuple[Plugin, type[Runtime]]] = []
    for implementation in registration.implementations("srv_adopt"):
        plugin = implementation.plugin
        try:
            answer: Any = implementation(
                cls=cls, model_settings=model_settings, settings=registration.settings_of(plugin)
            )
        except SrvError:
            raise
        except Exception as error:
            log.exception("Plugin '%s' raised in srv_adopt.", plugin.name)
            raise PluginFailed(plugin.name, "srv_adopt", error) from error
        if answer is None:
            continue
        if not (isinstance(answer, type) and issubclass(answer, Runtime)):
            raise AdoptedByNoRuntime(plugin, answer)
        answers.append((plugin, answer))
    if not answers:
        return None
    return _chosen(answers, plugins.choice.prefer, model_settings.implementation or cls.__qualname__)


def _chosen(answers: list[tuple[Plugin, type[Runtime]]], prefer: Any, implementation: str) -> type[Runtime]:
    """Return the preferred answer, else the only one."""
    preferred = prefer.get(f"adopt:{implementation}")
    for plugin, answer in answers:
        if preferred is not None and normalised(plugin.distribution) == normalised(preferred):
            return answer
    if len(answers) > 1:
        raise AdoptionContested(implementation, [plugin.distribution for plugin, _ in answers])
    return answers[0][1]
