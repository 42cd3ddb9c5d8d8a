"""Files of one name that several packages of contrib/ recognise, told apart where all these packages are installed."""

import json

import numpy as np
import pytest

from srv.discovery import PluginKind, discover
from srv.repository import Repository
from srv.settings import read_server_settings
from srv.testing import Client

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]])
Y = np.array([0.0, 1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Make a folder of models, each saved by its library under a name that another one takes too."""
    catboost, lightgbm, xgboost = (pytest.importorskip(name) for name in ("catboost", "lightgbm", "xgboost"))
    folder = tmp_path_factory.mktemp("zoo")
    boosted = xgboost.train({"max_depth": 1, "nthread": 1}, xgboost.DMatrix(X, Y), 2)
    light = lightgbm.train(
        {"min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, Y, free_raw_data=False), 2
    )
    cat = catboost.CatBoostRegressor(iterations=2, depth=1, verbose=False, allow_writing_files=False, thread_count=1)
    cat.fit(X, Y)

    def place(name, file):
        (folder / name).mkdir()
        return str(folder / name / file)

    boosted.save_model(place("xgboost-json", "model.json"))
    (folder / "xgboost-bst").mkdir()
    (folder / "xgboost-bst" / "model.bst").write_bytes(bytes(boosted.save_raw("ubj")))
    light.save_model(place("lightgbm-bst", "model.bst"))
    cat.save_model(place("catboost-json", "model.json"), format="json")
    return folder


def test_each_file_is_served_by_the_package_whose_library_wrote_it(zoo):
    plugins = discover()
    runtimes = {row.name for row in plugins.rows if row.kind is PluginKind.RUNTIME}
    assert {"catboost", "lightgbm", "xgboost"} <= runtimes

    found = Repository.of(read_server_settings(zoo, environ={}), plugins).models()

    assert [str(failure.error) for failure in found.failures] == []
    assert {model.name: model.runtime for model in found.models} == {
        "catboost-json": "catboost",
        "lightgbm-bst": "lightgbm",
        "xgboost-bst": "xgboost",
        "xgboost-json": "xgboost",
    }


@pytest.mark.parametrize("file", ["model.json", "model.bst"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"some": "app"}', b"PK\x03\x04", b"leaves"])
def test_what_no_library_wrote_is_refused_by_all_with_a_sentence(zoo, tmp_path, file, content):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / file).write_bytes(content)

    [failure] = Repository.of(read_server_settings(tmp_path, environ={}), discover()).models().failures

    assert "can be served by no installed runtime" in str(failure.error)
    assert failure.reason.count("it says no") == 2


def test_models_of_all_packages_answer_beside_each_other(zoo):
    request = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [4, 2], "data": X.ravel().tolist()}]}
    with Client.of(zoo) as client:
        for folder in sorted(zoo.iterdir()):
            answer = client.request("POST", f"/v2/models/{folder.name}/infer", json.dumps(request).encode())
            assert answer.ok, (folder.name, answer.body)
