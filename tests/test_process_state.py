"""What a model changes for its whole process, or for its thread, changes no answer of another model."""

import decimal
import os
import random
import stat
import subprocess
import sys
import warnings

import numpy as np
import pytest

from srv import InferenceRequest, Runtime, Tensor
from srv.planes.shared_files import open_private
from srv.testing import Client, model
from srv.testing.transports import FORMS
from srv.wire.json_nesting import is_too_deep

PATH = "/v2/models/Echo/infer"


class Echo(Runtime):
    def predict(self, request: InferenceRequest):
        return {tensor.name: tensor.data for tensor in request.inputs}


def numpy_raises():
    np.seterr(all="raise")


def numpy_calls_back():
    np.seterrcall(lambda *_: 1 / 0)
    np.seterr(all="call")


def warnings_are_errors():
    warnings.simplefilter("error")


def decimals_are_short():
    decimal.setcontext(decimal.Context(prec=1, traps=[decimal.Inexact, decimal.Rounded]))


def numbers_are_printed_otherwise():
    np.set_printoptions(legacy="1.13", precision=1, formatter={"all": lambda _: "?"})


def integers_have_few_digits():
    sys.set_int_max_str_digits(640)


CARELESS = {
    each.__name__.replace("_", " "): each
    for each in (
        numpy_raises,
        numpy_calls_back,
        warnings_are_errors,
        decimals_are_short,
        numbers_are_printed_otherwise,
        integers_have_few_digits,
    )
}


@pytest.fixture
def restored():
    """What the process had set before, set again afterwards."""
    errors, call, options, digits = np.geterr(), np.geterrcall(), np.get_printoptions(), sys.get_int_max_str_digits()
    with warnings.catch_warnings(), decimal.localcontext():
        yield
    np.seterrcall(call)
    np.seterr(**errors)
    np.set_printoptions(**options)
    sys.set_int_max_str_digits(digits)


class Careless(Runtime):
    def predict(self, x: list[str]):
        CARELESS[x[0]]()
        return x


@pytest.fixture(scope="module")
def client():
    with Client.of(model(Echo), model(Careless)) as client:
        yield client


#: Data that a cast changes: what is too small for a float, what is rounded, what is no number.
DATA = {
    "few FP16": ("FP16", [1e-8, 65504, 0.1, None]),
    "few FP32": ("FP32", [1e-300, 3e38, 0.1, None]),
    "many FP16": ("FP16", [1e-8, 65504.0, 0.1] * 100),
    "many FP16 with null": ("FP16", [1e-8, 65504, 0.1, None] * 100),
    "many FP32": ("FP32", [1e-300, 3e38, 0.1] * 100),
}


@pytest.mark.parametrize("datatype, data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("does", CARELESS)
def test_numbers_are_read_and_written_as_before(client, restored, does, datatype, data):
    asked = {"inputs": [{"name": "x", "datatype": datatype, "shape": [len(data)], "data": data}]}
    beyond = {"inputs": [{"name": "x", "datatype": datatype, "shape": [300], "data": [1e39] * 300}]}
    expected, refused = client.post(PATH, asked).json, client.post(PATH, beyond)
    client.infer("Careless", {"x": [does]})

    assert client.post(PATH, asked).json == expected
    assert client.post(PATH, beyond).body == refused.body
    assert refused.status == 400


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("does", CARELESS)
def test_a_signalling_nan_goes_there_and_back_in_each_form(client, restored, does, form):
    strange = np.array([0x7F800001, 0x00000001, 0x7F7FFFFF], np.uint32).view(np.float32)
    request = InferenceRequest([Tensor("x", strange)])
    form.infer(client, "Careless", InferenceRequest([Tensor("x", [does])]))

    answer = form.infer(client, "Echo", request)

    np.testing.assert_array_equal(answer["x"], strange)


def test_a_models_seed_decides_no_request_id_and_srv_takes_none_of_its_random_numbers():
    class Seeded(Runtime):
        def predict(self, x: np.ndarray):
            random.seed(1)
            return x

    with Client.of(model(Seeded), model(Echo)) as client:
        ids = {client.infer("Seeded", {"x": [1.0]}).headers["x-request-id"] for _ in range(3)}
        random.seed(1)
        expected = random.Random(1).random()
        client.infer("Echo", {"x": np.ones(3000)})

    assert len(ids) == 3
    assert random.random() == expected


def test_files_of_srvs_own_can_be_opened_by_its_other_workers_whatever_umask_a_model_has_set(tmp_path):
    before = os.umask(0o777)
    try:
        with open_private(tmp_path / "state", "w") as file:
            file.write("{}")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600


# -- nesting ----------------------------------------------------------------------------------------------------------

DEEP = {
    "lists": b'{"inputs": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects": b'{"inputs": [], "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "lists without an end": b'{"inputs": [], "x": ' + b"[" * 100_000,
}
NOT_DEEP = {
    "rows": b"[" + b",".join([b"[1,2]"] * 5000) + b"]",
    "brackets in text": b'["' + b"[" * 5000 + b'"]',
    "brackets behind a quote in text": b'["\\"' + b"{[" * 5000 + b'"]',
    "a thousand": b"[" * 1000 + b"]" * 1000,
}


@pytest.fixture
def high_limit():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_json_that_is_nested_too_deeply_is_refused_where_a_model_has_raised_the_limit(high_limit, text):
    assert is_too_deep(text)


@pytest.mark.parametrize("text", NOT_DEEP.values(), ids=NOT_DEEP)
def test_other_json_is_not(high_limit, text):
    assert not is_too_deep(text)


def test_pythons_own_limit_is_left_to_do_it():
    assert not is_too_deep(DEEP["lists"])


@pytest.mark.e2e  # in a child process, which it may kill
@pytest.mark.parametrize("place", ["a body", "a value of content type json"])
def test_a_worker_survives_deep_json_though_a_model_has_raised_the_limit(place):
    """In a process of its own, because what fails here ends it."""
    code = f"""
import sys, threading
from typing import Any
from srv import Runtime, Tensor, InferenceRequest
from srv.testing import Client, model

class Deep(Runtime):
    def load(self):
        sys.setrecursionlimit(10**6)
    def predict(self, x: list[Any]):
        return {{"count": len(x)}}

deep = "[" * 1_000_000 + "]" * 1_000_000
def ask():
    with Client.of(model(Deep)) as client:
        if {place!r} == "a body":
            answer = client.post("/v2/models/Deep/infer", ('{{"inputs": [], "y": ' + deep + "}}").encode())
        else:
            answer = client.infer("Deep", {{"x": [deep]}})
        print(answer.status, answer.error)
thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.startswith("400 "), done
    assert "nested too deep" in done.stdout
