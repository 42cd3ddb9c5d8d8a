"""A real server serves a bare folder; answers over each face are CatBoost's own, also to threads that ask at once."""

import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_tables import of_homes, of_words, save
from trained import HOMES, NUMBERS, regressor

from srv.testing import Client, model, srv_server

RANDOM = np.random.default_rng(2)
ROWS = np.where(RANDOM.random((1000, 5)) < 0.1, np.nan, RANDOM.normal(size=(1000, 5)))
FORMS = ["json", "binary", "grpc", "grpc-typed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models without any settings, one of which has the name that XGBoost's files have."""
    top = tmp_path_factory.mktemp("models")
    for name, estimator, form in (("numbers", regressor(), "cbm"), ("homes", of_homes(), "json")):
        (top / name).mkdir()
        save(estimator, form, top / name / f"model.{form}")
    return top


@pytest.fixture(scope="module")
def server(folder):
    with srv_server(folder) as server:
        yield server


@pytest.mark.parametrize("form", FORMS)
def test_a_bare_folder_is_served_and_answers_as_catboost_does(server, folder, form):
    own = regressor().load_model(str(folder / "numbers" / "model.cbm"))
    answer = server.infer("numbers", {"rows": ROWS}, outputs=["predict", "leaf"], form=form)
    assert np.array_equal(answer["predict"], own.predict(ROWS))
    assert np.array_equal(answer["leaf"], own.calc_leaf_indexes(ROWS))


@pytest.mark.parametrize("form", FORMS)
def test_a_bare_folder_with_json_is_served(server, folder, form):
    own = regressor().load_model(str(folder / "homes" / "model.json"), format="json")
    frame = HOMES.sample(1000, replace=True, random_state=3)
    asked = {name: frame[name].to_numpy() for name in ("area", "rooms", "balcony", "floor")}
    answer = server.infer("homes", {**asked, "city": frame["city"].tolist()}, form=form)
    assert np.array_equal(answer["predict"], own.predict(frame))


def test_srv_check_tells_inputs_and_outputs(folder):
    command = [sys.executable, "-P", "-m", "srv", "check", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "with catboost: input FP64[-1,5] -> predict FP64[-1], raw FP64[-1], leaf UINT32[-1,8]" in done.stdout


def test_srv_plugins_check_finds_nothing_wrong():
    command = [sys.executable, "-P", "-m", "srv", "plugins", "check", "srv-catboost"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert shutil.which("srv") or "loaded" in done.stdout


SECONDS = 1.0


def hammer(client, name, inputs, outputs, expected, seconds=SECONDS):
    """Ask from eight threads, each with rows of its own; give the number of answers, all of which must be right."""
    counts, wrong = [0] * 8, []
    until = time.monotonic() + seconds

    def ask(number):
        rows = np.arange(number, number + 40 + number)
        while time.monotonic() < until and not wrong:
            answer = client.infer(
                name, {key: values[rows] for key, values in inputs.items()}, outputs=outputs, form="binary"
            )
            right = answer.ok and all(np.array_equal(answer[output], expected[output][rows]) for output in outputs)
            if not right:
                wrong.append((number, answer))
            counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    return counts


def test_eight_threads_share_a_model_of_numbers():
    estimator = regressor(iterations=100, depth=6)
    expected = {
        "predict": estimator.predict(NUMBERS),
        "leaf": estimator.calc_leaf_indexes(NUMBERS),
    }
    with Client.of(
        model("catboost", name="m", files={"model.cbm": lambda path: save(estimator, "cbm", path)})
    ) as client:
        assert min(hammer(client, "m", {"input": NUMBERS}, ["predict", "leaf"], expected)) > 1


def test_eight_threads_share_a_model_of_categories():
    estimator = of_words()
    frame = HOMES.assign(rooms=HOMES["rooms"].astype(str), balcony=HOMES["balcony"].map({True: "yes", False: "no"}))
    expected = {
        "predict": estimator.predict(frame),
        "contributions": estimator.get_feature_importance(_pool(frame), type="ShapValues"),
    }
    inputs = {name: frame[name].to_numpy(None if frame[name].dtype.kind in "iuf" else object) for name in frame.columns}
    settings = {"parameters": {"extra": {"thread_count": 2}}}
    files = {"model.cbm": lambda path: save(estimator, "cbm", path)}
    with Client.of(model("catboost", name="m", files=files, **settings)) as client:
        assert min(hammer(client, "m", inputs, ["predict", "contributions"], expected)) > 1


def _pool(frame):
    from catboost import Pool

    return Pool(frame, cat_features=["city", "rooms", "balcony"])
