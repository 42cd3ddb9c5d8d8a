"""Modules that a model brings: none runs another model's code, and a reload runs its new code."""

import os
import sys

import mlflow.pyfunc
import pytest

from srv.errors import LoadFailed
from srv.testing import Client, model

MODEL = """
import mlflow
import weights_of_mine

class Weighted(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import weights_of_mine as late
        return [late.WEIGHT, weights_of_mine.WEIGHT]

mlflow.models.set_model(Weighted())
"""
ROW = {"x": [1.0]}


@pytest.fixture
def weighted(tmp_path, monkeypatch):
    """Return a model whose answer stands in a module of its own."""
    monkeypatch.chdir(tmp_path)  # where older releases of MLflow begin a store

    def make(weight, called, version=None):
        place = tmp_path / f"{called}-{weight}"
        place.mkdir()
        (place / "weights_of_mine.py").write_text(f"WEIGHT = {weight}")
        (place / "model.py").write_text(MODEL)
        sys.path.insert(0, str(place))
        try:
            mlflow.pyfunc.save_model(
                place / "saved",
                python_model=str(place / "model.py"),
                code_paths=[str(place / "weights_of_mine.py")],
                pip_requirements=["mlflow-skinny"],
            )
        finally:
            sys.path.remove(str(place))
            sys.modules.pop("weights_of_mine", None)
        folder = place / "saved"
        files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        return model("mlflow", name=called, files=files)

    return make


def test_a_model_finds_its_own_modules_also_while_it_predicts(weighted):
    before = list(sys.path)
    with Client.of(weighted(1, "one")) as client:
        assert client.infer("one", ROW)["output"].tolist() == [1, 1]
        client.post("/v2/repository/models/one/unload", {})
        assert "weights_of_mine" not in sys.modules
        assert sys.path == before


def test_after_a_reload_its_new_code_runs(weighted):
    new = weighted(2, "new").files["code/weights_of_mine.py"].read_bytes()
    with Client.of(weighted(1, "one")) as client:
        [file] = client.assembled.settings.folder.rglob("code/weights_of_mine.py")
        before = file.stat()
        file.write_bytes(new)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as one that changes within the same second
        assert client.post("/v2/repository/models/one/load", {}).status == 200
        assert client.infer("one", ROW)["output"].tolist() == [2, 2]


def test_two_models_cannot_have_different_modules_of_one_name(weighted):
    with pytest.raises(LoadFailed, match="brings the modules 'weights_of_mine' in its code_paths, and model 'one'"):
        Client.of(weighted(1, "one"), weighted(2, "two"))


def test_two_models_may_have_the_same_modules(weighted):
    with Client.of(weighted(1, "one"), weighted(1, "two")) as client:
        assert client.infer("one", ROW)["output"].tolist() == client.infer("two", ROW)["output"].tolist() == [1, 1]
        client.post("/v2/repository/models/one/unload", {})
        assert client.infer("two", ROW)["output"].tolist() == [1, 1]
