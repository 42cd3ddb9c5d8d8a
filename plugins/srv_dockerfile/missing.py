"""What an image of the folder would not have, though its settings name it: artifacts, models, files of TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from srv.errors import quoted
from srv.images import APP, ImagePlan
from srv.model_settings import ModelSettings
from srv.settings import ServerSettings
from srv.settings.server import TlsSettings
from srv.uris import scheme_of
from srv_dockerfile.dockerignore import Ignore

#: `s3://bucket/key`, which a runtime fetches by itself.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def notes_on_artifacts(model: ModelSettings, folder: Path, ignore: Ignore) -> Iterator[str]:
    """Yield what the image lacks of a model that is in the folder."""
    name, uri = f"Model {quoted(model.name)}", model.parameters.uri
    settings = model.folder / Path(model.source).name
    if _is_left_out(settings, folder, ignore):
        yield f"{name} is left out by .dockerignore, so the image does not serve it."
    elif scheme_of(uri) == "file":
        yield f"{name} has its artifacts at {quoted(uri)}, so the image has them not. Mount them there."
    elif uri is None or _ADDRESS.match(uri):
        return
    elif model.artifact_root == model.folder and not _exists(model.folder / uri):
        yield (
            f"{name} has its artifacts at {quoted(uri)}, where nothing is, so the image has them not. Put them there before "
            f"you build, or mount them at {_in_image(model.folder / uri, folder)}."
        )
    elif not _is_in(model.artifact_root, folder):
        yield (
            f"{name} has its artifacts outside of the folder, at {quoted(uri)}, so the image has them not. Mount them there."
        )
    elif _is_left_out(model.artifact_root, folder, ignore):
        yield (
            f"{name} has its artifacts at {quoted(uri)}, which .dockerignore leaves out, so the image has them not. Mount "
            f"them at {_in_image(model.artifact_root, folder)}, or take that line out."
        )


def notes_on_no_models(plan: ImagePlan, settings: ServerSettings) -> Iterator[str]:
    """Yield what an image of a folder without models serves."""
    if settings.model_defaults or (plan.folder / "model-settings.json").exists():
        return
    yield (
        f"{plan.folder} has no model and no defaults for models, so the image serves only what is mounted at /mnt/models "
        "with settings of its own. Is it the folder that you mean?"
    )


def add_tls(plan: ImagePlan, tls: TlsSettings, ignore: Ignore) -> None:
    """Add the key of TLS to the secrets if it would travel, and a note on files of TLS that the image has not."""
    root, missing = plan.folder.resolve(), []
    for path in filter(None, (tls.certfile, tls.keyfile, tls.client_ca)):
        if not _is_in(path, plan.folder) or not _exists(path) or _is_left_out(path, plan.folder, ignore):
            missing.append(_in_image(path, plan.folder))
        elif path == tls.keyfile:
            plan.secret_files[path.resolve().relative_to(root).as_posix()] = "the key of TLS that settings.json names"
    if missing:
        plan.notes.append(f"The image has not what settings.json names for TLS. Mount it at {' and '.join(missing)}.")


def _in_image(path: Path, folder: Path) -> str:
    """Return where the image looks for a file that settings name relative to the folder."""
    if not _is_in(path, folder):
        return str(path)
    return f"{APP}/{path.resolve().relative_to(folder.resolve()).as_posix()}"


def _is_left_out(path: Path, folder: Path, ignore: Ignore) -> bool:
    place, root = path.resolve(), folder.resolve()
    return root in place.parents and ignore.leaves_out(place.relative_to(root).as_posix())


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a uri that no file can be called
        return False
