"""The child process: imports plugins as a worker would, and tells of each before and after on its old stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from srv.discovery import Kind, PluginError, Plugins, discover
from srv.hooks.errors import BadHooks, BadSection
from srv.hooks.reading import ARGUMENTS, implementations, manager
from srv.hooks.schema import SCHEMA_HOOK, read_section
from srv.trial.jobs import Job, key_of, told


def main() -> None:
    """Read a job from stdin, do it, and leave without waiting for threads that plugins may have started."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what plugins print must not mix with what is told
    logging.disable()
    job = Job.from_json(sys.stdin.read())
    sys.path[:] = job.path
    plugins = discover(disable=job.choice.disable, only=job.choice.only, prefer=job.choice.prefer)
    for row in plugins.rows:
        if key_of(row) in job.broken:
            plugins.quarantine(row, job.broken[key_of(row)])
    for message in _TASKS[job.task](job, plugins, out):
        _tell(out, message)
    _tell(out, {"done": True})
    out.flush()
    os._exit(0)


def _tell(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")


def _try_all(job: Job, plugins: Plugins, out: TextIO) -> Iterator[dict[str, Any]]:
    from srv.hooks import Hooks

    for row in plugins.rows:
        if row.usable:
            yield {"trying": key_of(row)}
            try:
                plugins.load_row(row)
            except PluginError:
                continue
    hooks = Hooks.start(plugins, sections=job.sections, before=lambda row: _tell(out, {"trying": key_of(row)}))
    yield {"rows": [told(row) for row in plugins.rows]}
    yield {"order": {hook: [told(row) for row in hooks.order(hook)] for hook in ARGUMENTS}}


def _check_sections(job: Job, plugins: Plugins, _: TextIO) -> Iterator[dict[str, Any]]:
    for section, given in job.sections.items():
        try:
            row = plugins.find(Kind.HOOKS, section)
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


_TASKS = {"load": _try_all, "sections": _check_sections}

if __name__ == "__main__":
    main()
