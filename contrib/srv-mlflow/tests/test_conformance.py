"""Served by srv, models of MLflow do what every runtime must do."""

import numpy as np
import pytest

from srv.testing import assert_runtime_conforms, assert_tables


@pytest.fixture
def conforms(given):
    def check(name, **options):
        model = given(name)
        assert_runtime_conforms("mlflow", files=model.files, **options)

    return check


def test_a_model_of_columns_conforms(conforms, pyfunc, saved):
    frame = pyfunc("iris").metadata.load_input_example(str(saved("iris")))
    request = {name: frame[name].to_numpy() for name in frame}
    expected = pyfunc("iris").predict(frame)
    deep = np.zeros((1, 1, 1, 1))
    conforms(
        "iris", request=request, expected={"output": expected}, wrong=[{"x": deep}, {"one": deep, "another": deep}]
    )


def test_a_model_of_tensors_conforms(conforms):
    request = {"p": np.array([[1, 2]], np.float32), "q": np.array([[1, 2, 3]])}
    expected = {"product": np.array([[2, 4]], np.float32), "sums": np.array([6])}
    conforms("tensors", request=request, expected=expected, wrong=[{"p": request["p"]}, {**request, "r": request["p"]}])


def test_a_model_of_a_type_hint_conforms(conforms):
    conforms(
        "shouting", request={"input": ["a b", "c"]}, expected={"output": ["A B", "C"]}, wrong=[{"x": np.array([1.5])}]
    )


def test_a_table_in_each_form_is_answered_as_mlflow_answers_it(given, pyfunc):
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).data.sample(20, random_state=1).reset_index(drop=True)
    assert_tables(given("iris"), frame=frame, expected={"output": pyfunc("iris").predict(frame)})
