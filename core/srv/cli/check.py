"""`srv check`: load the models of a folder as a server would, and serve nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from srv import logs
from srv.cli.opening import opened
from srv.cli.options import settings_flags
from srv.errors import LoadFailed, closed, listed
from srv.serve.cores import share_cores
from srv.trial.sections import check_sections

if TYPE_CHECKING:
    from srv.modelsettings import Spec
    from srv.registry import Model


class NotWhole(LoadFailed):
    """Some of the models could not be loaded."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        reasons = " ".join(f"{title}: {closed(reason)}" for title, reason in failures.items())
        models = "1 model" if len(failures) == 1 else f"{len(failures)} models"
        super().__init__(f"{models} could not be loaded. {reasons}")


EXAMPLES = """\b
Examples:
  srv check models          load every model and say what it takes and gives
  srv check models --json   the same for programs
"""


@click.command(epilog=EXAMPLES)
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each model, in a list.")
def check(folder: str, *, as_json: bool, **flags: Any) -> int:
    """Load the models of FOLDER in this process, print a line for each, and serve nothing.

    Fails, with the reasons as the last line, if any setting is wrong or any model cannot be loaded.
    """
    settings, plugins = opened(folder, flags)
    logs.configure(level="warning", form=settings.log_format)
    check_sections(settings, plugins)
    share_cores(settings.workers)
    from srv.serve.assembly import assemble  # it imports numpy, which must come after the cores are shared

    with redirect_stdout(sys.stderr):  # what models print must not stand among the lines for programs
        assembled = assemble(replace(settings, on_load_error="continue", load_models_at_startup=True), plugins)
        try:
            began: list[tuple[str, float]] = []
            assembled.load_models(lambda doing: began.append((doing, time.monotonic())), assembled.wanted())
            rows = _rows(assembled.registry.models(), [*began, ("", time.monotonic())])
        finally:
            assembled.close()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            click.echo(_line(row))
        if not rows:
            click.echo(_nothing(folder, plugins.recognised_files()))
    failures = {row["title"]: row["reason"] for row in rows if not row["ready"]}
    if failures:
        raise NotWhole(failures)
    return 0


def _rows(models: Sequence[Model], steps: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    seconds = {doing: end - begin for (doing, begin), (_, end) in pairwise(steps)}
    return [
        {
            "title": model.title,
            "name": model.name,
            "version": model.version,
            "runtime": model.settings.implementation or model.settings.runtime,
            "ready": model.state.value == "READY",
            "reason": model.reason,
            "seconds": round(seconds.get(f"loading model {model.title}", 0.0), 3),
            "inputs": _specs(model.metadata.inputs if model.metadata else None),
            "outputs": _specs(model.metadata.outputs if model.metadata else None),
        }
        for model in models
    ]


def _nothing(folder: str, recognised: Collection[str]) -> str:
    files = f", or with a file that an installed runtime recognises ({listed(recognised)})" if recognised else ""
    return f"No model is in {folder}. A model is a folder with a model-settings.json{files}."


def _specs(specs: Sequence[Spec] | None) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": spec.shape} for spec in specs or ()]


def _line(row: Mapping[str, Any]) -> str:
    if not row["ready"]:
        return f"{row['title']}: not ready: {row['reason']}"
    tensors = f"{_listed(row['inputs'])} -> {_listed(row['outputs'])}"
    return f"{row['title']}: ready in {row['seconds']:.2f} s with {row['runtime']}: {tensors}"


def _listed(specs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(_tensor(spec) for spec in specs) or "anything"


def _tensor(spec: Mapping[str, Any]) -> str:
    shape = "" if spec["shape"] is None else f"[{','.join(str(length) for length in spec['shape'])}]"
    return f"{spec['name']} {spec['datatype'] or 'any'}{shape}"
