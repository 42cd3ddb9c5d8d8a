"""What is known of one plugin: its distribution, home page, settings, hooks, and what its hooks bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from srv.cli import runtime_settings
from srv.cli.runtime_settings import Setting
from srv.discovery import Plugin, PluginKind, Plugins
from srv.discovery.metadata import distribution_called
from srv.discovery.origins import origin, pinned
from srv.discovery.plugin_states import covers
from srv.discovery.plugins import failure
from srv.errors import SrvError, listed
from srv.probe.host import Outcome
from srv.probe.messages import Job, key_of, to_wire

#: What the child process does after it has imported everything.
TASK = f"{__name__}:tell"

#: What hooks bring, as programs are told it of each plugin.
_BROUGHT = ("routes", "runtimes", "codecs", "builders")


@dataclass(frozen=True)
class Details:
    """One plugin, what it is given as settings, and what it does."""

    row: Plugin
    hooks: Sequence[str] = ()
    #: What its hooks bring, such as `routes` and `runtimes`, by name.
    brings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Sequence[Setting] = ()
    #: Whether its section may hold keys of any name beside these.
    any_key: bool = False
    #: Why nobody knows its settings.
    unknown: str = ""
    #: Whether it does nothing because the settings have no section for it.
    off: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            **to_wire(self.row),
            "hooks": list(self.hooks),
            **{what: list(self.brings.get(what, ())) for what in (*_BROUGHT, *self.brings)},
            "settings": runtime_settings.as_data(list(self.settings)),
            "settings_any_key": self.any_key,
            "settings_unknown": self.unknown or None,
            "off": self.off,
        }


def tell(job: Job, plugins: Plugins, out: TextIO) -> Iterator[dict[str, Any]]:
    """Import all plugins, and tell hooks and settings of those that the job's name means. Runs in the child process."""
    from srv.hooks.registration import NEEDS_SETTINGS
    from srv.probe.child import try_all

    yield from try_all(job, plugins, out)
    for row in plugins.rows:
        if not (row.usable and covers(job.given["name"], row)):
            continue
        yield {"trying": key_of(row)}
        told: dict[str, Any] = {"told_of": key_of(row)}
        try:
            if row.kind is PluginKind.RUNTIME:
                told["routes"] = _routes_of(plugins.load_row(row))
                told["schema"] = runtime_settings.settings_schema(row, plugins) or {}
            elif row.kind is PluginKind.HOOKS:
                needs = getattr(plugins.load_row(row), NEEDS_SETTINGS, False)
                told["off"] = bool(needs) and not {row.name, row.qualified} & job.sections.keys()
                told["hooks"], told["schema"] = _hooks_and_schema(row, plugins)
        except Exception as error:  # noqa: BLE001 - somebody's schema may raise anything
            told["unknown"] = str(error) if isinstance(error, SrvError) else failure(error)
        yield told


def _routes_of(runtime: Any) -> list[str]:
    """Return the routes that a runtime's class declares; those that a method gives differ from model to model."""
    said = runtime.routes
    if not isinstance(said, list | tuple):
        return ["as each model says"]
    return [f"{row[0]} {row[1]}" for row in said if isinstance(row, list | tuple) and len(row) == 3]


def _hooks_and_schema(row: Plugin, plugins: Plugins) -> tuple[list[str], dict[str, Any]]:
    from srv.hooks.implementations import ARGUMENTS, implementations, manager
    from srv.hooks.plugin_sections import SCHEMA_HOOK
    from srv.settings.json_schema import json_schema

    found = implementations(row, plugins.load_row(row), manager())
    declared: Any = found[SCHEMA_HOOK]() if SCHEMA_HOOK in found else None
    schema = declared() if isinstance(declared, type) else declared
    described = {} if schema is None else json_schema(schema, title=f"settings of {row.name}")
    return [hook for hook in ARGUMENTS if hook in found], described


def as_data(rows: Sequence[Plugin], outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows' distributions, each with its plugins, for programs."""
    return [
        {
            "distribution": name,
            "version": version,
            **_about(name),
            "plugins": [each.to_wire() for each in _details_of(name, rows, outcome)],
        }
        for name, version in _distributions(rows)
    ]


def lines(rows: Sequence[Plugin], outcome: Outcome) -> Iterator[str]:
    """Return the rows' distributions, each with its plugins, as lines of text."""
    for name, version in _distributions(rows):
        yield from _lines_about(name, version, _about(name))
        for each in _details_of(name, rows, outcome):
            yield ""
            yield from _lines_of(each)


def _distributions(rows: Iterable[Plugin]) -> Iterable[tuple[str, str]]:
    return {row.distribution: row.version for row in rows}.items()


def _details_of(distribution: str, rows: Iterable[Plugin], outcome: Outcome) -> list[Details]:
    """Return the details of a distribution's rows, from what the child process told."""
    told = {message["told_of"]: message for message in outcome.told}
    return [_details(row, outcome, told.get(key_of(row), {})) for row in rows if row.distribution == distribution]


def _details(row: Plugin, outcome: Outcome, told: Mapping[str, Any]) -> Details:
    brings: dict[str, list[str]] = {"routes": told["routes"]} if told.get("routes") else {}
    for other in outcome.rows:
        owner = other.computed_by
        if owner is not None and row.kind is PluginKind.HOOKS and owner.qualified == row.qualified:
            brings.setdefault(f"{other.kind.value}s", []).append(other.name)
    schema = told.get("schema", {})
    return Details(
        row,
        hooks=told.get("hooks", ()),
        brings=brings,
        settings=runtime_settings.settings_in(schema),
        any_key=bool(schema.get("additionalProperties")),
        unknown=told.get("unknown", ""),
        off=told.get("off", False),
    )


def _about(name: str) -> dict[str, Any]:
    """Return what a distribution's metadata says of it to people; what it does not say is left out."""
    distribution = distribution_called(name)
    if distribution is None:
        return {}
    head = distribution.metadata
    links = [link.partition(",") for link in head.get_all("Project-URL") or ()]
    urls = {"Homepage": head.get("Home-page"), **{label.strip(): url.strip() for label, _, url in links}}
    said = {
        "summary": head.get("Summary"),
        "license": head.get("License-Expression") or head.get("License"),
        "urls": {label: url for label, url in urls.items() if url and url != "UNKNOWN"},
        "installed_from": pinned(distribution) if origin(distribution) is not None else None,
    }
    return {key: value for key, value in said.items() if value and value != "UNKNOWN"}


def _lines_about(name: str, version: str, known: Mapping[str, Any]) -> Iterator[str]:
    """Return a distribution as lines of text."""
    yield f"{name} {version}"
    if "summary" in known:
        yield f"  {known['summary']}"
    for label, url in known.get("urls", {}).items():
        yield f"  {'home page' if label.lower() == 'homepage' else label}: {url}"
    if "license" in known:
        yield f"  license: {known['license'].splitlines()[0]}"
    if "installed_from" in known:
        yield f"  installed from: {known['installed_from'].removeprefix('-e ')}"


def _lines_of(each: Details) -> Iterator[str]:
    """Return a plugin as lines of text."""
    row = each.row
    yield f"{row.kind.noun} '{row.name}' ({row.entry_point}): {row.state.value}"
    missing_extra = "" if row.awaits_extra else row.missing_extra
    for remark in filter(None, (row.reason, missing_extra, row.warning, *row.deprecations)):
        yield f"  {remark}"
    if each.off:
        yield f"  off: settings.json has no section '{row.name}'"
    if row.required:
        yield f"  required: {row.required}"
    for what, names in {"files": row.files, "hooks": each.hooks, **each.brings}.items():
        if names and not (what == "files" and row.kind is not PluginKind.RUNTIME):
            asked = ", told by their content from files of other runtimes" if what == "files" and row.recognises else ""
            yield f"  {what}: {listed(names, most=100)}{asked}"
    yield from _lines_of_settings(each)


def _lines_of_settings(each: Details) -> Iterator[str]:
    row = each.row
    if each.unknown:
        yield f"  settings: unknown, {each.unknown}"
    elif each.settings or each.any_key:
        where = "parameters.extra of a model" if row.kind is PluginKind.RUNTIME else f"'{row.name}' in settings.json"
        yield f"  settings, under {where}:"
        for line in runtime_settings.aligned(list(each.settings)) if each.settings else ():
            yield f"    {line}"
        if each.any_key:
            yield "    keys of any name"
    elif row.kind in (PluginKind.RUNTIME, PluginKind.HOOKS) and row.usable:
        yield "  settings: none"
