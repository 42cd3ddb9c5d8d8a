"""Storages: the plugins that an image needs because its models have their artifacts elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from srv.discovery import PluginKind
from srv.errors import SrvError, quoted
from srv.hooks import Hooks
from srv.images import ImagePlan
from srv.model_settings import ModelSettings
from srv.uris import scheme_of


def storages_of(plan: ImagePlan, models: Iterable[ModelSettings], hooks: Hooks) -> Iterator[tuple[PluginKind, str]]:
    """Yield the plugins, but srv's own, that fetch the artifacts of models; note what nobody can fetch."""
    for model in models:
        uri = model.parameters.uri
        if uri is None or scheme_of(uri) is None:
            continue
        try:
            plugin = hooks.storage(uri).plugin
        except SrvError as error:
            plan.notes.append(f"Model {quoted(model.name)} cannot be loaded by a server here: {error}")
            continue
        if not plugin.ours:
            yield PluginKind.HOOKS, plugin.qualified
