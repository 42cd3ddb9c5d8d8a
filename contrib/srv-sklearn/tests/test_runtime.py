"""What the runtime takes, gives and refuses, without a server."""

import copy
import pickle
import threading
from importlib.metadata import version

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from srv import InferenceRequest, InvalidInput, ModelSettings, Spec, Tensor
from srv.errors import SrvError
from srv.model_settings import ModelParameters
from srv_sklearn import SklearnRuntime
from srv_sklearn.files import read_estimator
from srv_sklearn.runtime import PandasMissing

IRIS = load_iris()
ROW = [5.1, 3.5, 1.4, 0.2]


class Broken:
    """An object that cannot be read back."""

    def __getstate__(self):
        return {"other": 1}

    def __setstate__(self, state):
        self.weights = state["weights"]


def fitted(estimator=None, target=IRIS.target):
    return (LogisticRegression(max_iter=500) if estimator is None else estimator).fit(IRIS.data, target)


@pytest.fixture
def serve(tmp_path):
    """A runtime that has loaded an estimator, from a file of that name."""

    def make(estimator, file="model.skops", **parameters):
        write = {".skops": skops.io.dump, ".joblib": joblib.dump}.get((tmp_path / file).suffix, pickle_dump)
        write(estimator, tmp_path / file)
        inputs, operator_extra = parameters.pop("inputs", None), parameters.pop("operator_extra", {})
        given = {"uri": None, "version": None, "content_type": None, "format": None, "extra": {}} | parameters
        runtime = SklearnRuntime(
            ModelSettings(
                name="m",
                folder=tmp_path,
                inputs=inputs,
                parameters=ModelParameters(**given),
                operator_extra=operator_extra,
            )
        )
        runtime.load()
        return runtime

    return make


def pickle_dump(estimator, path):
    path.write_bytes(pickle.dumps(estimator))


def ask(runtime, data, *outputs, datatype=None):
    request = InferenceRequest([Tensor("input", data, datatype)], outputs=outputs or None)
    return runtime.predict(request).outputs


@pytest.mark.parametrize("file", ["model.skops", "model.joblib", "model.pkl"])
def test_each_format_predicts_as_the_estimator_does(serve, file):
    estimator = fitted()
    [output] = ask(serve(estimator, file), IRIS.data)
    assert output.name == "predict"
    assert np.array_equal(output.data, estimator.predict(IRIS.data))


def test_a_file_of_any_name_is_read_as_its_format_says(serve):
    runtime = serve(fitted(), "iris.bin", uri="iris.bin", format="pickle")
    assert ask(runtime, [ROW])[0].data.tolist() == [0]


def test_a_file_that_says_nothing_asks_for_its_format(serve):
    with pytest.raises(SrvError, match=r"the ending of 'iris.bin'. Set parameters.format to one of joblib, pickle"):
        serve(fitted(), "iris.bin", uri="iris.bin")


def test_the_client_chooses_outputs_and_their_order(serve):
    estimator = fitted()
    outputs = ask(serve(estimator), [ROW], "predict_proba", "predict", "decision_function")
    assert [output.name for output in outputs] == ["predict_proba", "predict", "decision_function"]
    assert np.allclose(outputs[0].data, estimator.predict_proba([ROW]))


def test_an_output_that_the_estimator_lacks_is_refused_with_those_it_has(serve):
    with pytest.raises(InvalidInput, match=r"no output 'predict_proba'; it has predict\."):
        ask(serve(fitted(LinearRegression())), [ROW], "predict_proba")


def test_a_transformer_transforms_unasked(serve):
    [output] = ask(serve(fitted(StandardScaler())), [ROW])
    assert (output.name, output.shape) == ("transform", (1, 4))


def test_sparse_results_are_filled_in(serve):
    encoder = OneHotEncoder().fit([["red"], ["green"]])
    [output] = ask(serve(encoder), [["green"]])
    assert output.data.tolist() == [[1.0, 0.0]]


def test_classes_that_are_words_come_as_bytes(serve):
    runtime = serve(fitted(target=IRIS.target_names[IRIS.target]))
    [output] = ask(runtime, [ROW])
    assert (output.datatype, output.data.tolist()) == ("BYTES", [b"setosa"])
    assert runtime.parameters["classes"] == ["setosa", "versicolor", "virginica"]


def test_several_targets_come_side_by_side(serve):
    both = np.column_stack([IRIS.target == 1, IRIS.target == 0])
    runtime = serve(fitted(MultiOutputClassifier(LogisticRegression(max_iter=500)), both))
    assert ask(runtime, [ROW])[0].data.tolist() == [[False, True]]
    assert ask(runtime, [ROW], "predict_proba")[0].shape == (1, 2, 2)


def test_text_goes_in_as_bytes(serve):
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"], ["+", "-"])
    assert ask(serve(pipeline, "model.joblib"), ["a good one"])[0].data.tolist() == [b"+"]


def test_bytes_that_are_no_text_are_refused(serve):
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"], ["+", "-"])
    with pytest.raises(InvalidInput, match="not UTF-8"):
        ask(serve(pipeline, "model.joblib"), [b"\xff\xfe"])


def test_metadata_comes_from_the_estimator(serve):
    runtime = serve(fitted())
    assert runtime.inputs == [Spec("FP64", (-1, 4), name="input")]
    assert runtime.outputs == [
        Spec("INT64", (-1,), name="predict"),
        Spec("FP64", (-1, 3), name="predict_proba"),
        Spec("FP64", (-1, 3), name="decision_function"),
    ]
    assert runtime.parameters == {
        "scikit-learn": version("scikit-learn"),
        "estimator": "LogisticRegression",
        "classes": [0, 1, 2],
    }


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT8"])
def test_any_datatype_of_numbers_goes_in(serve, datatype):
    estimator = fitted()
    [output] = ask(serve(estimator), np.array([[5, 3, 1, 0], [7, 3, 6, 2]]), datatype=datatype)
    assert output.data.tolist() == [0, 2]


def test_bf16_is_widened(serve):
    bits = (np.array([ROW], dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    assert ask(serve(fitted()), bits, datatype="BF16")[0].data.tolist() == [0]


@pytest.mark.parametrize("rows", [[ROW[:3]], ROW, [[ROW]]], ids=["too few", "flat", "too deep"])
def test_rows_of_another_width_are_refused(serve, rows):
    with pytest.raises(InvalidInput, match=r"takes rows of 4 features, so the shape must be \[n, 4\]"):
        ask(serve(fitted()), rows)


@pytest.mark.parametrize(
    "rows", [[[np.nan, 1, 1, 1]], [[np.inf, 1, 1, 1]], np.zeros((0, 4))], ids=["nan", "inf", "none"]
)
def test_values_that_the_estimator_cannot_take_are_the_clients_fault(serve, rows):
    with pytest.raises(InvalidInput):
        ask(serve(fitted()), rows)


def test_unknown_categories_are_the_clients_fault(serve):
    with pytest.raises(InvalidInput, match="unknown categories"):
        ask(serve(OneHotEncoder().fit([["red"], ["green"]])), [["blue"]])


def test_words_where_the_estimator_takes_numbers_are_the_clients_fault(serve):
    with pytest.raises(InvalidInput, match=r"Column 0, row 0: 'long' \(BYTES\) stands where a number belongs"):
        ask(serve(fitted()), [["long", "wide", "short", "narrow"]])


@pytest.mark.parametrize("name", ["predict", "input-0", "x"])
def test_the_only_input_may_have_any_name(serve, name):
    request = InferenceRequest([Tensor(name, [ROW])])
    assert serve(fitted()).predict(request).outputs[0].data.tolist() == [0]


def test_untrusted_types_are_named_with_the_setting_that_admits_them(serve):
    pipeline = make_pipeline(FunctionTransformer(copy.copy), StandardScaler()).fit(IRIS.data)
    untrusted = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))
    assert untrusted == ["copy.copy"]
    for extra in ({}, {"trusted_types": untrusted}):  # what travels with the model is not asked
        with pytest.raises(SrvError, match=r"copy\.copy.*parameters\.extra\.trusted_types"):
            serve(pipeline, extra=extra)
    assert ask(serve(pipeline, operator_extra={"trusted_types": untrusted}), [ROW])[0].shape == (1, 4)


def test_a_file_without_an_estimator_is_refused(serve):
    with pytest.raises(SrvError, match=r"'model.pkl' holds a dict, which can neither predict nor transform"):
        serve({"model": 1}, "model.pkl")


@pytest.mark.parametrize("file", ["model.skops", "model.joblib", "model.pkl"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", None], ids=["empty", "something else", "cut off"])
def test_a_file_that_is_cut_off_or_something_else_is_refused(serve, tmp_path, file, content):
    serve(fitted(), file)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:100] if content is None else content)
    with pytest.raises(
        SrvError, match=rf"^'{file}' cannot be read as \w+.*: it is cut off, or holds something else\. Save"
    ):
        read_estimator(tmp_path / file, form=None, trusted_types=())


def test_an_error_of_a_models_own_class_is_told_as_it_is(serve):
    with pytest.raises(KeyError, match="weights"):
        serve(Broken(), "model.joblib")


def test_a_folder_without_a_model_names_what_is_looked_for(tmp_path):
    with pytest.raises(SrvError, match=r"No model.skops or model.joblib or model.pkl"):
        SklearnRuntime(ModelSettings(name="m", folder=tmp_path)).load()


def test_a_table_keeps_its_column_names(serve):
    table = pd.DataFrame({"colour": ["red", "green"], "size": ["S", "L"]})
    pipeline = make_pipeline(
        ColumnTransformer([("one", OneHotEncoder(), ["colour", "size"])]), LogisticRegression()
    ).fit(table, [0, 1])
    runtime = serve(pipeline)
    assert runtime.parameters["feature_names"] == ["colour", "size"]
    assert [(spec.name, spec.datatype) for spec in runtime.inputs] == [("colour", "BYTES"), ("size", "BYTES")]
    assert ask(runtime, [["green", "L"]])[0].data.tolist() == [1]


WORDS = pd.DataFrame({"colour": ["red", "green"], "size": [1.0, 2.0]})
NUMBERS = pd.DataFrame({"wide": [1.0, 2.0], "high": [5.0, 3.0]})


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (WORDS, [("words", OneHotEncoder(), ["colour"]), ("sizes", StandardScaler(), ["size"])]),
        (NUMBERS, [("scaled", StandardScaler(), ["high"])]),
    ],
    ids=["with words", "numbers chosen by name"],
)
def test_a_model_of_a_table_asks_for_pandas_when_it_is_loaded(serve, monkeypatch, frame, columns):
    pipeline = make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(frame, [0, 1])
    monkeypatch.setattr("srv_sklearn.runtime.find_spec", lambda _: None)
    with pytest.raises(PandasMissing, match=r"pip install srv-sklearn\[pandas\]"):
        serve(pipeline)


@pytest.mark.filterwarnings("error")
def test_a_model_of_named_numbers_alone_needs_no_pandas_and_does_not_warn(serve, monkeypatch):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, [0, 1])
    monkeypatch.setattr("srv_sklearn.runtime.find_spec", lambda _: None)
    runtime = serve(pipeline)
    swapped = InferenceRequest([Tensor("high", [5.0, 3.0]), Tensor("wide", [1.0, 2.0])])
    assert runtime.predict(swapped).outputs[0].data.tolist() == [0, 1]


def test_threads_share_an_estimator(serve):
    runtime = serve(fitted(RandomForestClassifier(n_estimators=20, random_state=0)), "model.joblib")
    expected = ask(runtime, IRIS.data)[0].data
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(runtime, IRIS.data)[0].data)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(np.array_equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("trained_on", ["float32", "float64"])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT32"])
def test_clusters_take_numbers_of_any_width(serve, trained_on, datatype):
    clusters = KMeans(2, n_init=1, random_state=0).fit(IRIS.data.astype(trained_on))

    runtime = serve(clusters)

    assert ask(runtime, [[5, 3, 1, 0]], datatype=datatype)[0].shape == (1,)
    assert runtime.inputs == [Spec("FP64", (-1, 4), name="input")]
    assert runtime.outputs[0].datatype == "INT32"


def test_what_another_model_has_set_in_numpy_changes_no_answer(serve):
    clusters = serve(KMeans(2, n_init=1, random_state=0).fit(IRIS.data.astype("float32")))
    rows = [[1e-300, 3, 1, 0]]
    expected = ask(clusters, rows)[0]

    with np.errstate(all="raise"):
        assert ask(clusters, rows)[0].data.tolist() == expected.data.tolist()
        with pytest.raises(InvalidInput, match="infinity or a value too large"):
            ask(clusters, [[1e300, 3, 1, 0]])


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_an_estimator_computes_with_numpys_own_settings_for_errors(serve, method):
    runtime = serve(LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target), "model.joblib")
    rows = [[1e5, -1e5, 1e5, -1e5]]
    expected = ask(runtime, rows, method)[0]

    with np.errstate(all="raise"):
        assert ask(runtime, rows, method)[0].data.tolist() == expected.data.tolist()


def test_an_estimator_that_was_not_fitted_does_not_load(serve):
    with pytest.raises(SrvError, match="holds a LogisticRegression that was not fitted"):
        serve(LogisticRegression())


def test_probabilities_that_are_no_tensor_are_no_output(serve):
    targets = np.column_stack([IRIS.target, IRIS.target == 1])
    runtime = serve(MultiOutputClassifier(LogisticRegression(max_iter=500)).fit(IRIS.data, targets), "model.joblib")

    assert [output.name for output in runtime.outputs] == ["predict"]
    with pytest.raises(InvalidInput, match="no output 'predict_proba'; it has predict"):
        ask(runtime, [ROW], "predict_proba")
