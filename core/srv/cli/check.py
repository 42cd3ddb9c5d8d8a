"""`srv check`: load the models of a folder as a server would, and serve nothing."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from srv import logs
from srv.cli.open_folder import open_folder
from srv.cli.options import root_name_flag, settings_flags
from srv.cli.output import echo
from srv.cores import share_cores
from srv.errors import LoadFailed, SrvError, closed, listed, said_by
from srv.models.tracebacks import place_of
from srv.probe.sections import check_sections
from srv.settings import ServerSettings
from srv.settings.reading import FILE

#: The loggers of failed loads; each record has `load_failed`, the model's title.
LOGS_OF_LOADS = ("srv.models.loader", "srv.serve.assembly")
#: The logger of downloads that last, which may take minutes.
LOG_OF_DOWNLOADS = "srv.fetching.transfer"

if TYPE_CHECKING:
    from srv.model_settings import Spec
    from srv.models.folder_codecs import Codec
    from srv.models.registry import ModelVersion
    from srv.repository import Found


log = logging.getLogger("srv.check")


class NotWhole(LoadFailed):
    """Some of the models could not be loaded."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        reasons = " ".join(f"{title}: {closed(reason)}" for title, reason in failures.items())
        models = "1 model" if len(failures) == 1 else f"{len(failures)} models"
        super().__init__(f"{models} could not be loaded. {reasons}")


class DefaultRuntimeBroken(LoadFailed):
    """The default runtime cannot be imported, and no model is there whose load would say so."""

    def __init__(self, implementation: str, error: BaseException) -> None:
        reason = closed(f"{type(error).__name__}: {said_by(error)}".rstrip(": "))
        super().__init__(f"The default runtime '{implementation}' cannot be used: {reason}")


class NothingToCheck(SrvError):
    """The folder holds neither a model nor settings, so it is probably the wrong one."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{sentence} There is no settings.json either, so nothing was checked.")


EXAMPLES = """\b
Examples:
  srv check models          load every model and say what it takes and gives
  srv check models --json   the same for programs
"""


@click.command(epilog=EXAMPLES)
@settings_flags
@root_name_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each model, in a list.")
def check(folder: str, *, root_name: str | None, as_json: bool, **flags: Any) -> int:
    """Load the models of FOLDER in this process, print a line for each, and serve nothing.

    Fails, with the reasons as the last line, if any setting is wrong, if any model cannot be loaded, or if there is
    nothing to check. Settings without a model are right, with a warning: models may come later.
    """
    settings, plugins = open_folder(folder, flags)
    settings = replace(settings, root_name=root_name)
    logs.configure(level="warning", form=settings.log_format)
    logging.getLogger(LOG_OF_DOWNLOADS).setLevel(logging.INFO)
    for name in LOGS_OF_LOADS:
        logging.getLogger(name).addFilter(_is_no_failure)
    for note in (*settings.notes, *plugins.unmatched(), *plugins.left_out(settings.sections)):
        log.warning("%s", note)
    plugins.require(settings.sections)
    plugins.check_required()
    check_sections(settings, plugins)
    share_cores(settings.workers)
    from srv.serve.assembly import assemble  # it imports numpy, which must come after the cores are shared

    with redirect_stdout(sys.stderr):  # what models print must not stand among the lines for programs
        assembled = assemble(replace(settings, on_load_error="continue", load_models_at_startup=True), plugins)
        try:
            began: list[tuple[str, float]] = []
            assembled.load_models(lambda doing: began.append((doing, time.monotonic())), assembled.wanted())
            rows = _rows(assembled.registry.models(), [*began, ("", time.monotonic())])
            found = assembled.repository.models()
            unreadable = {(each.name, each.version): str(each.error) for each in found.failures}
            default = _default_runtime(found)
        finally:
            assembled.close()
    if found.defaults is not None:
        echo(found.explanation, err=True)
    if as_json:
        echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            echo(_line(row))
        if default is not None:
            echo(default)
    if not rows:
        _tell_of_nothing(settings, _nothing(folder, plugins.recognised_files()))
    failures = {
        row["title"]: unreadable.get((row["name"], row["version"]), row["reason"]) for row in rows if not row["ready"]
    }
    if failures:
        raise NotWhole(failures)
    return 0


def _default_runtime(found: Found) -> str | None:
    """Import the default runtime where no model does, and return a line about it. Raises DefaultRuntimeBroken."""
    from srv.models.folder_codecs import default_codecs_of  # it imports numpy too

    defaults = found.defaults
    if defaults is None or defaults.implementation is None:
        return None
    if any(model.implementation_folder == defaults.folder for model in found.models):
        return None
    try:
        codecs = default_codecs_of(defaults)
    except Exception as error:
        echo(f"The default runtime failed here:\n{place_of(error)}", err=True)
        raise DefaultRuntimeBroken(defaults.implementation, error) from error
    return None if codecs is None else f"{defaults.name}: {defaults.implementation}{_own_codecs(_names(codecs))}"


def _tell_of_nothing(settings: ServerSettings, sentence: str) -> None:
    """Warn that there is no model. Raises NothingToCheck if no settings allow a server without models."""
    if settings.models_dir is None and not (settings.folder / FILE).is_file():
        raise NothingToCheck(sentence)
    log.warning("%s", sentence)


def _is_no_failure(record: logging.LogRecord) -> bool:
    """Pass a log record on. For a failed load print the place only, because the last line has the reason."""
    title = getattr(record, "load_failed", None)
    if title is None:
        return True
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        echo(f"{title} failed here:\n{place_of(error)}", err=True)
    return False


def _rows(models: Sequence[ModelVersion], steps: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
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
            "codecs": _names(model.codecs),
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
        return f"{row['title']}: not ready"
    tensors = f"{_listed(row['inputs'])} -> {_listed(row['outputs'])}"
    ready = f"ready in {row['seconds']:.2f} s with {row['runtime']}"
    return f"{row['title']}: {ready}: {tensors}{_own_codecs(row['codecs'])}"


def _names(codecs: Mapping[str, Codec]) -> dict[str, str]:
    """Return codecs' classes as settings name them, by content type."""
    from srv.models.folder_codecs import name_of  # it imports numpy too

    return {content_type: name_of(codec) for content_type, codec in codecs.items()}


def _own_codecs(names: Mapping[str, str]) -> str:
    codecs = listed([f"{content_type} ({name})" for content_type, name in names.items()])
    return f"; its own codecs: {codecs}" if names else ""


def _listed(specs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(_tensor(spec) for spec in specs) or "anything"


def _tensor(spec: Mapping[str, Any]) -> str:
    shape = "" if spec["shape"] is None else f"[{','.join(str(length) for length in spec['shape'])}]"
    return f"{spec['name']} {spec['datatype'] or 'any'}{shape}"
