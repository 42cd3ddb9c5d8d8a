"""Models of a tracking server's registry and runs, in a real store of MLflow's: versions, aliases, stages, and what is not there."""

import json
import warnings

import mlflow.sklearn
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

from srv.errors import LoadFailed
from srv.storage import FetchFailed, NotStored
from srv.testing import Client
from srv_mlflow.registry import RegistryFetch

ROWS = np.eye(3)


class Downloads:
    """What a download reports to srv."""

    def __init__(self, most=None):
        self.size, self._most = 0, most

    def expect(self, size):
        pass

    def add(self, size):
        self.size += size
        if self._most is not None and self.size > self._most:
            raise FetchFailed("there is no room")

    def seconds_left(self):
        return 60.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A store with two versions of `wine`, which predict 1 and 2 times the sum, and a run that logged the first one."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        client = MlflowClient(tracking_uri=(folder / "store").as_uri())
        client.create_registered_model("wine")
        run = client.create_run("0").info.run_id
        for factor in (1, 2):
            made = folder / f"version {factor}"
            mlflow.sklearn.save_model(
                LinearRegression().fit(ROWS, factor * np.array([1.0, 2.0, 3.0])), made, pip_requirements=[]
            )
            client.log_artifacts(run, str(made), f"model-{factor}")
            client.create_model_version("wine", str(made), run)
        client.set_terminated(run)
        client.set_registered_model_alias("wine", "champion", "1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # because stages are going, and people still have them
            client.transition_model_version_stage("wine", "2", "Staging")
        yield client, run


@pytest.fixture
def fetch(registry):
    client, _ = registry
    return lambda uri: RegistryFetch(uri, {"tracking_uri": client.tracking_uri, "registry_uri": None})


@pytest.mark.parametrize(
    "uri, version",
    [
        ("models:/wine/1", 1),
        ("models:/wine@champion", 1),
        ("models:/wine/2", 2),
        ("models:/wine/latest", 2),
        ("models:/wine/Staging", 2),
        ("runs:/{run}/model-1", 1),
        ("runs:/{run}/model-2/", 2),
    ],
)
def test_each_way_to_name_a_model_fetches_that_model(registry, fetch, tmp_path, uri, version):
    wanted, downloads = fetch(uri.format(run=registry[1])), Downloads()

    assert wanted.etag() == wanted.etag() != ""
    assert wanted.download(tmp_path, downloads) == tmp_path

    loaded = mlflow.sklearn.load_model(tmp_path)
    assert loaded.predict(ROWS).tolist() == pytest.approx([version, 2 * version, 3 * version])
    assert downloads.size == sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())


def test_one_file_of_a_run_is_the_artifact(registry, fetch, tmp_path):
    path = fetch(f"runs:/{registry[1]}/model-1/MLmodel").download(tmp_path, Downloads())

    assert path == tmp_path / "MLmodel"
    assert [*tmp_path.iterdir()] == [path]


def test_versions_have_different_etags_and_an_alias_that_of_its_version(registry, fetch):
    assert fetch("models:/wine@champion").etag() == fetch("models:/wine/1").etag() != fetch("models:/wine/2").etag()


def test_a_run_that_has_not_ended_is_fetched_each_time(registry, fetch):
    client, _ = registry
    running = client.create_run("0").info.run_id

    assert fetch(f"runs:/{running}/model").etag() is None


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("models:/nope/1", "MLflow has no models:/nope/1"),
        ("models:/wine/7", "MLflow has no models:/wine/7"),
        ("models:/wine@nope", "MLflow has no models:/wine@nope"),
        ("models:/wine/Production", "'wine' has no version 'Production'"),
        ("models:/wine", "names no version: write models:/wine/VERSION or models:/wine@ALIAS"),
        ("runs:/abc/model", "MLflow has no runs:/abc/model"),
    ],
)
def test_what_is_not_there_is_told_as_not_stored(fetch, uri, sentence):
    with pytest.raises(NotStored, match=sentence):
        fetch(uri).etag()


@pytest.mark.parametrize("uri", ["models:/", "runs:/abc", "models://wine/1", "models:/a/b/c", "runs:/"])
def test_what_is_no_such_uri_is_told_with_what_to_write(fetch, uri):
    with pytest.raises(FetchFailed, match=r"write models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH"):
        fetch(uri)


def test_a_download_ends_where_srv_has_no_room(fetch, tmp_path):
    with pytest.raises(FetchFailed, match="there is no room"):
        fetch("models:/wine/1").download(tmp_path, Downloads(most=10))


def served(tmp_path, uri, **sections):
    """A folder whose root model is the one that a URI names."""
    settings = {"runtime": "mlflow", "name": "wine", "allow_pickle": True, "parameters": {"uri": uri}}
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    (tmp_path / "settings.json").write_text(json.dumps({"cache_dir": str(tmp_path / "cache"), **sections}))
    return tmp_path


def test_a_reload_serves_the_version_to_which_an_alias_has_moved(registry, tmp_path):
    client, _ = registry
    client.set_registered_model_alias("wine", "served", "1")
    folder = served(tmp_path, "models:/wine@served", mlflow={"tracking_uri": client.tracking_uri})

    with Client.of(folder) as asked:
        assert asked.infer("wine", {"x": ROWS})["output"].tolist() == pytest.approx([1, 2, 3])
        client.set_registered_model_alias("wine", "served", "2")
        assert asked.post("/v2/repository/models/wine/load").status == 200
        assert asked.infer("wine", {"x": ROWS})["output"].tolist() == pytest.approx([2, 4, 6])


def test_the_store_is_that_of_mlflow_tracking_uri_where_no_setting_says_it(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry[0].tracking_uri)

    with Client.of(served(tmp_path, f"runs:/{registry[1]}/model-2")) as asked:
        assert asked.infer("wine", {"x": ROWS})["output"].tolist() == pytest.approx([2, 4, 6])


def test_a_store_that_cannot_be_asked_is_told_with_the_uri(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = served(tmp_path, "models:/wine/1", mlflow={"tracking_uri": "http://127.0.0.1:9"})

    with pytest.raises(LoadFailed, match=r"models:/wine/1"):
        Client.of(folder)
