"""Files of one name that several packages of contrib/ recognise, told apart where all these packages are installed."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srv.discovery import PluginKind, discover
from srv.discovery.plugin import CODE, FOLDER
from srv.repository import Repository
from srv.repository.recognition import Recognition
from srv.settings import read_server_settings
from srv.testing import Client

pytestmark = pytest.mark.e2e  # because libraries are imported that take seconds each, and runtimes in other processes

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
    assert failure.reason.count("it says no; the file begins with" if content else "it is empty") == 2


def test_models_of_all_packages_answer_beside_each_other(zoo):
    request = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [4, 2], "data": X.ravel().tolist()}]}
    with Client.of(zoo) as client:
        for folder in sorted(zoo.iterdir()):
            answer = client.request("POST", f"/v2/models/{folder.name}/infer", json.dumps(request).encode())
            assert answer.ok, (folder.name, answer.body)


# -- by the rules of all packages, those too whose libraries are not installed here ------------------------------------

CONTRIB = Path(__file__).parents[2] / "contrib"
#: Imports the runtimes of all packages of contrib/ from their sources; what is installed beside them is not needed.
IMPORTS = f"""
import importlib, json, sys
from pathlib import Path
from srv import Runtime
folders = [path for path in Path({str(CONTRIB)!r}).glob("srv-*/srv_*") if (path / "runtime.py").exists()]
sys.path[:0] = [str(folder.parent) for folder in folders]
modules = [importlib.import_module(folder.name) for folder in folders]
"""
HEAVY = [
    "catboost",
    "lightgbm",
    "mlflow",
    "onnxruntime",
    "pandas",
    "sklearn",
    "tokenizers",
    "torch",
    "transformers",
    "xgboost",
]
BERT = {"model_type": "bert", "architectures": ["BertModel"]}
LABELS = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(4)
GRAPH = b"\x08\x07\x12\x04test\x3a\x10\x0a\x02\x08\x01" + bytes(40)
PICKLE = b"\x80\x05K\x01."
POOLED = {"tokenizer.json": {}, "modules.json": MODULES, "1_Pooling/config.json": {"pooling_mode_mean_tokens": True}}
FOLDERS = {
    "a transformer": ({"config.json": BERT, "model.safetensors": WEIGHTS, "tokenizer.json": {}}, "huggingface"),
    "a classifier": ({"config.json": LABELS, "model.safetensors": WEIGHTS, "tokenizer.json": {}}, "huggingface"),
    "a classifier as ONNX": ({"config.json": LABELS, "model.onnx": GRAPH, "tokenizer.json": {}}, "onnx"),
    "a sentence transformer as ONNX": ({"config.json": BERT, "model.onnx": GRAPH, **POOLED}, "embeddings"),
    "both": ({"config.json": BERT, "model.safetensors": WEIGHTS, "onnx/model.onnx": GRAPH, **POOLED}, "embeddings"),
    "static vectors": (
        {"config.json": {"model_type": "model2vec"}, "model.safetensors": WEIGHTS, "tokenizer.json": {}},
        "embeddings",
    ),
    "ONNX beside some config": ({"config.json": {"a": 1}, "model.onnx": GRAPH}, "onnx"),
    "ONNX beside notes": ({"model.txt": "my notes", "model.onnx": GRAPH}, "onnx"),
    "a pickle that MLflow describes": (
        {"MLmodel": "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n", "model.pkl": PICKLE},
        "mlflow",
    ),
    "a pickle beside some tokenizer": ({"tokenizer.json": {}, "model.pkl": PICKLE}, "sklearn"),
}


def test_importing_all_runtimes_to_ask_them_imports_no_heavy_library():
    tell = f"print(json.dumps([len(modules), sorted(set({HEAVY}) & set(sys.modules))]))"
    done = subprocess.run([sys.executable, "-c", IMPORTS + tell], check=True, capture_output=True, text=True)

    count, imported = json.loads(done.stdout)
    assert count >= 9
    assert imported == []


ASKS = """
sys.path.insert(0, sys.argv[2])
from package_pages import packages
runtimes = {kind.__module__.split(".")[0].removeprefix("srv_"): kind for module in modules for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Runtime)}
present = {}
for package in packages():
    for each in package.files:
        for folder in sorted(Path(sys.argv[1]).iterdir()):
            if (folder / each.file).exists():
                present.setdefault(folder.name, []).append((each.file, each.runtime, runtimes[each.runtime].recognise(folder / each.file)))
print(json.dumps(present))
"""


def as_bytes(content):
    text = content if isinstance(content, bytes | str) else json.dumps(content)
    return text if isinstance(text, bytes) else text.encode()


def test_in_the_company_of_all_packages_each_folder_is_served_by_the_right_one(tmp_path):
    for name, (files, _) in FOLDERS.items():
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_bytes(content))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS + ASKS, str(tmp_path), str(CONTRIB.parent / "scripts")],
        check=True,
        capture_output=True,
        text=True,
    )

    plugins = discover()
    assert {"MLmodel", "tokenizer.json"} <= plugins.marked_files(FOLDER)
    chosen = {}
    for name, answers in json.loads(done.stdout).items():
        verdicts = {(file, runtime): takes for file, runtime, takes in answers}
        claims: dict[str, list[str]] = {}
        for file, runtime, _ in answers:
            claims.setdefault(file, []).append(runtime)

        def refusal(runtime, path, verdicts=verdicts):
            return "" if verdicts[path.name, runtime] else "it says no"

        recognition = Recognition(claims, refusal, plugins.marked_files(CODE), plugins.marked_files(FOLDER))
        paths = {file: tmp_path / name / file for file in claims}
        chosen[name] = recognition.choose(paths, place=name, code_allowed=True)[1]
    assert chosen == {name: runtime for name, (_, runtime) in FOLDERS.items()}
