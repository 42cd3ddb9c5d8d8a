"""Models of MLflow's registry and of its runs, fetched by MLflow's own client: `models:/wine@champion`, `runs:/ID/model`."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from marshmallow import Schema, fields

from srv.errors import said_by
from srv.storage import Download, Fetch, FetchFailed, NoAccess, NotStored, Unreachable
from srv_mlflow.environment import prepare_environment

_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))?/?", re.IGNORECASE)
_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)", re.IGNORECASE)
#: How a model that a run has logged is called where no registry has it.
_LOGGED = re.compile(r"m-[0-9a-f]{32}")
#: Where MLflow downloads to, in the folder that the artifact is to be in.
_WITHIN = ".srv-mlflow"
#: Registries that tell nobody where the files are, but fetch them.
_UNITY_CATALOG = ("databricks", "uc:")
#: Seconds between two looks at how much has come.
_PAUSE = 0.2
_REFUSED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"})
_NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})


class Settings(Schema):
    """The section `mlflow` of settings.json."""

    tracking_uri = fields.String(
        load_default=None,
        allow_none=True,
        metadata={"description": "Where runs are; null is MLFLOW_TRACKING_URI, and without that MLflow's own default."},
    )
    registry_uri = fields.String(
        load_default=None,
        allow_none=True,
        metadata={"description": "Where registered models are; null is MLFLOW_REGISTRY_URI, else where runs are."},
    )


class Found(NamedTuple):
    """What a URI names now: a URI of the same content for ever, and what changes when the content does."""

    uri: str
    etag: str | None
    #: Where the registry says that the files are.
    source: str


class RegistryFetch(Fetch):
    """What one `models:/` or `runs:/` URI names."""

    def __init__(self, uri: str, settings: Mapping[str, Any]) -> None:
        if _MODEL.fullmatch(uri) is None and _RUN.fullmatch(uri) is None:
            raise FetchFailed(
                f"{uri} names no model of MLflow: write models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH"
            )
        self._uri = uri
        self._where = {key: value for key, value in settings.items() if value is not None}
        self._found: Found | None = None

    def etag(self) -> str | None:
        """Return the version that the URI means now, as MLflow tells it; None for a run that has not ended."""
        with _told(self._uri):
            self._found = self._find()
        return self._found.etag

    def download(self, folder: Path, download: Download) -> Path:
        """Have MLflow download the version that `etag` has told."""
        if self._found is None:
            self.etag()
        assert self._found is not None
        inside = folder / _WITHIN
        inside.mkdir()
        with _told(self._uri):
            path = _watched(self._downloading(self._found, inside), inside, download)
        if path.is_file():
            moved = Path(shutil.move(path, folder / path.name))
        else:
            moved = folder
            for each in [*path.iterdir()]:
                shutil.move(each, folder / each.name)
        shutil.rmtree(inside, ignore_errors=True)
        return moved

    def _downloading(self, found: Found, inside: Path) -> Callable[[], Path]:
        prepare_environment()
        from mlflow.artifacts import download_artifacts

        registry = self._where.get("registry_uri", "")
        if not self._where or registry.startswith(_UNITY_CATALOG):
            return lambda: Path(download_artifacts(artifact_uri=found.uri, dst_path=str(inside), **self._where))
        # Because MLflow's download of a registered model asks its default registry, whatever it is told.
        tracking = self._where.get("tracking_uri")
        return lambda: Path(download_artifacts(artifact_uri=found.source, dst_path=str(inside), tracking_uri=tracking))

    def _find(self) -> Found:
        prepare_environment()
        from mlflow import MlflowClient

        client = MlflowClient(**self._where)
        run = _RUN.fullmatch(self._uri)
        if run is not None:
            info = client.get_run(run["run"]).info
            return Found(self._uri, None if info.end_time is None else f"{info.run_id} {info.end_time}", self._uri)
        model = _MODEL.fullmatch(self._uri)
        assert model is not None
        name, version, alias = model["name"], model["version"], model["alias"]
        if version is None and alias is None:
            if _LOGGED.fullmatch(name) is None:
                raise NotStored(f"{self._uri} names no version: write models:/{name}/VERSION or models:/{name}@ALIAS")
            return Found(self._uri, f"{name} {client.get_logged_model(name).last_updated_timestamp}", self._uri)
        found = _version(client, name, version, alias)
        etag = f"{found.name} {found.version} {found.creation_timestamp} {found.source}"
        source = client.get_model_version_download_uri(found.name, found.version)
        return Found(f"models:/{found.name}/{found.version}", etag, source)


def _version(client: Any, name: str, version: str | None, alias: str | None) -> Any:
    """Return the version of a registered model that a number, `latest`, a stage or an alias means."""
    if alias is not None:
        return client.get_model_version_by_alias(name, alias)
    assert version is not None
    if version.isdigit():
        return client.get_model_version(name, version)
    client.get_registered_model(name)  # which says of a name that it is not there
    several = client.search_model_versions(f"name='{name}'")
    if version.lower() != "latest":
        several = [each for each in several if each.current_stage.lower() == version.lower()]
    if not several:
        raise NotStored(f"Model '{name}' has no version '{version}' in MLflow's registry")
    return max(several, key=lambda each: int(each.version))


def _watched(downloading: Callable[[], Path], inside: Path, download: Download) -> Path:
    """Return what a download returns, which runs in a thread of its own, and tell how much has come meanwhile.

    Raises what it raises, or what `download.add` raises; the thread ends by itself then.
    """
    outcome: list[Path | BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            outcome.append(downloading())
        except BaseException as error:  # noqa: BLE001  raised by the thread that waits
            outcome.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="srv-mlflow-download", daemon=True).start()
    counted = 0
    while True:
        has_ended = ended.wait(_PAUSE)
        size = sum(file.stat().st_size for file in _files_in(inside))
        download.add(size - counted)
        counted = size
        if has_ended:
            break
    [result] = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files that are there now; some may go meanwhile."""
    for place, _, names in os.walk(folder):
        yield from filter(Path.exists, (Path(place, name) for name in names))


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into those of a storage."""
    try:
        yield
    except FetchFailed:
        raise
    except Exception as error:
        code, why = getattr(error, "error_code", None), said_by(error)
        if code in _REFUSED:
            raise NoAccess(
                f"MLflow refuses access to {uri} ({why}). Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD"
            ) from None
        if code in _NOT_THERE:
            raise NotStored(
                f"MLflow has no {uri} ({why}). Correct parameters.uri, or say where with tracking_uri"
            ) from None
        if code is None:
            raise
        raise Unreachable(f"MLflow cannot be asked for {uri} ({why})") from None
