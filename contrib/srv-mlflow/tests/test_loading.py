"""Loading: which models are served, with which settings, in how many threads, and what importing the runtime costs."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from srv.errors import LoadFailed
from srv.testing import Client, model
from srv_mlflow.runtime import Extra

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


def test_importing_the_runtime_and_the_hooks_imports_no_mlflow():
    heavy = "{name.partition('.')[0] for name in sys.modules} & {'mlflow', 'pandas', 'sklearn', 'fastapi', 'pydantic'}"
    code = f"import sys, srv_mlflow.runtime, srv_mlflow.hooks; print({heavy} or 'nothing')"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "nothing\n"
    )


def test_settings_under_extra_are_described():
    assert all(field.metadata["description"] for field in Extra().fields.values())


@pytest.mark.parametrize(
    "extra, sentence",
    [({"warmup": True}, "warmup"), ({"thread_safe": "yes"}, "thread_safe"), ({"model_config": []}, "model_config")],
    ids=["unknown", "no boolean", "no object"],
)
def test_settings_under_extra_that_are_wrong_are_refused(given, extra, sentence):
    with pytest.raises(LoadFailed, match=sentence):
        Client.of(given("kinds", parameters={"extra": extra}))


def test_the_model_may_be_in_a_folder_that_the_settings_name(given):
    inner = {f"saved/{name}": content for name, content in given("iris").files.items()}
    with Client.of(model("mlflow", name="m", files=inner, parameters={"uri": "saved"})) as client:
        assert client.infer("m", {"x": np.ones((1, 4))}).status == 200


def test_a_model_for_other_languages_is_refused_with_a_sentence():
    files = {"MLmodel": "flavors:\n  crate:\n    version: 0.1\n"}
    with pytest.raises(LoadFailed, match="The MLmodel has the flavours crate, and srv-mlflow serves python_function"):
        Client.of(model("mlflow", name="m", files=files))


def test_the_input_example_warms_the_model_up_where_settings_say_so(given):
    with Client.of(given("iris", parameters={"extra": {"warm_up": True}})) as client:
        assert client.get("/v2/models/m/ready").status == 200
    with pytest.raises(LoadFailed, match="was saved without an input_example"):
        Client.of(given("kinds", parameters={"extra": {"warm_up": True}}))


def test_the_page_begins_with_the_input_example_and_it_is_answered(given):
    with Client.of(given("iris")) as client:
        told = client.get("/v2/models/m/docs/example.json").json
        assert told["from"] == "runtime"
        assert len(told["request"]["inputs"]) == 4
        assert client.post("/v2/models/m/infer", json.dumps(told["request"]).encode()).status == 200
    with Client.of(given("kinds")) as client:
        assert client.get("/v2/models/m/docs/example.json").json["from"] == "declared"


@pytest.mark.parametrize("safe, most", [(None, 1), (False, 1), (True, 8)])
def test_other_peoples_code_runs_one_request_at_a_time_unless_settings_say_that_it_may_run_more(given, safe, most):
    with Client.of(given("counting", parameters={"extra": {"thread_safe": safe}})) as client:
        seen = []
        started = threading.Barrier(8)

        def ask():
            started.wait()
            seen.append(client.infer("m", {"x": np.ones(1)})["output"][0])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(seen) <= most
    assert most == 1 or max(seen) > 1


def test_a_model_of_scikit_learn_answers_eight_threads_rightly(given, pyfunc):
    import pandas as pd

    rows = np.random.default_rng(5).uniform(0, 8, (8, 50, 4))
    expected = [pyfunc("iris").predict(pd.DataFrame(each, columns=NAMES)).tolist() for each in rows]
    wrong, count = [], [0] * 8
    with Client.of(given("iris")) as client:
        until = time.monotonic() + 1.5

        def ask(number):
            while time.monotonic() < until:
                answer = client.infer("m", {"x": rows[number]})
                count[number] += 1
                if not answer.ok or [name.decode() for name in answer["output"]] != expected[number]:
                    wrong.append(answer)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(count) > 1


def test_what_is_served_leaves_no_files_and_opens_no_connection(given, tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    with Client.of(given("iris"), given("shouting", "words")) as client:
        assert client.infer("m", {"x": np.ones((1, 4))}).status == 200
        assert client.infer("words", {"x": ["a"]}).status == 200
    assert list(tmp_path.iterdir()) == []
