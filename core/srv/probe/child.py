"""The child process: imports plugins as a worker would, and writes a message before and after each to its old stdout."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TextIO

from srv.discovery import PluginError, PluginKind, Plugins, discover
from srv.hooks.errors import BadHooks, BadSection
from srv.hooks.implementations import ARGUMENTS, implementations, manager
from srv.hooks.plugin_sections import SCHEMA_HOOK, read_section
from srv.probe.messages import Job, key_of, to_wire


def main() -> None:
    """Read a job from stdin, do it, and exit without waiting for threads that plugins may have started."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what plugins print must not mix with the messages
    logging.disable()
    job = Job.from_json(sys.stdin.read())
    sys.path[:] = job.path
    plugins = discover(**asdict(job.choice))
    for row in plugins.rows:
        if key_of(row) in job.broken:
            plugins.quarantine(row, job.broken[key_of(row)])
    for message in _task(job.task)(job, plugins, out):
        _send(out, message)
    _send(out, {"done": True})
    out.flush()
    os._exit(0)


def _task(name: str) -> Any:
    module, colon, function = name.partition(":")
    return getattr(importlib.import_module(module), function) if colon else _TASKS[name]


def _send(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")


def try_all(job: Job, plugins: Plugins, out: TextIO) -> Iterator[dict[str, Any]]:
    """Import every plugin, register the hook modules, and tell the states and the order of calls."""
    from srv.hooks import Hooks

    for row in plugins.rows:
        if row.usable:
            yield {"trying": key_of(row)}
            try:
                plugins.load_row(row)
            except PluginError:
                continue
    hooks = Hooks.start(plugins, sections=job.sections, before=lambda row: _send(out, {"trying": key_of(row)}))
    yield {"rows": [to_wire(row) for row in plugins.rows]}
    yield {"order": {hook: [to_wire(row) for row in hooks.order(hook)] for hook in ARGUMENTS}}


def _check_sections(job: Job, plugins: Plugins, _: TextIO) -> Iterator[dict[str, Any]]:
    for section, given in job.sections.items():
        try:
            row = plugins.find(PluginKind.HOOKS, section)
        except PluginError:
            continue
        yield {"trying": key_of(row)}
        try:
            module = plugins.load_row(row)
            schema = implementations(row, module, manager()).get(SCHEMA_HOOK)
            read_section(section, given, schema)
        except BadSection as error:
            yield {"section": section, "key": error.key, "message": error.message}
        except (PluginError, BadHooks):
            continue  # broken in itself: it will be quarantined, and that is told elsewhere
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112 - as above; a schema may raise anything while it is made
            continue


_TASKS = {"load": try_all, "sections": _check_sections}

if __name__ == "__main__":
    main()
