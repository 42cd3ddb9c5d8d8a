"""Models whose predict starts processes, unpickles and imports, on a real server, before a reload and after it."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from textwrap import dedent

import pytest
from speaking import FORMS, Line

from srv import InferenceRequest, Tensor
from srv.testing import srv_server

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS

MODELS = """
    import importlib
    import logging
    import logging.config
    import multiprocessing
    import os
    import pickle
    import subprocess
    import sys
    import time
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path

    import joblib
    from srv import Runtime

    from features import KIND, Scaler, scaled

    CACHE = Path(__file__).with_name("cache.pkl")
    PICKLED_WHILE_TRAINING = b"\\x80\\x04\\x8c\\x08features\\x94\\x8c\\x06Scaler\\x94\\x93\\x94)\\x81\\x94."

    class Handler(logging.Handler):
        seen = []
        def emit(self, record):
            self.seen.append(record.getMessage())

    def kind_of(value):
        return KIND

    def initialize(value):
        global state
        state = value

    def initialized(value):
        return state + value

    class M(Runtime):
        def load(self):
            context = multiprocessing.get_context("spawn")
            self._pool = context.Pool(1, initializer=initialize, initargs=(40,))
            self._pool.map(initialized, [1])  # so that the child has imported what is there now

        def unload(self):
            self._pool.terminate()

        def predict(self, case: list[str]) -> list[str]:
            return [str(getattr(self, case[0].replace(" ", "_"))())]

        def _in(self, method):
            with multiprocessing.get_context(method).Pool(2) as pool:
                return [each.value for each in pool.map(scaled, [1, 2, 3])]

        def spawn(self):
            return self._in("spawn")

        def forkserver(self):
            return self._in("forkserver")

        def executor(self):
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
                return [each.value for each in pool.map(scaled, [1, 2, 3])]

        def loky(self):
            found = joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(value) for value in [1, 2, 3])
            return [each.value for each in found]

        def kinds(self):
            return set(joblib.Parallel(n_jobs=2)(joblib.delayed(kind_of)(value) for value in range(4)))

        def initialized(self):
            return self._pool.map(initialized, [1, 2])

        def subprocess(self):
            code = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])).value)"
            run = [sys.executable, "-c", code, pickle.dumps(scaled(3)).hex()]
            return subprocess.run(run, capture_output=True, text=True).stdout.strip()

        def unpickle(self):
            return pickle.loads(PICKLED_WHILE_TRAINING).value

        def importlib(self):
            return importlib.import_module("features").Scaler is Scaler

        def own_name(self):
            return importlib.import_module(Scaler.__module__).Scaler is Scaler, __name__

        def logging(self):
            handlers = {"mine": {"class": "models.Handler"}}
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": handlers,
                                       "loggers": {"mine": {"handlers": ["mine"]}}})
            logging.getLogger("mine").warning("heard")
            return Handler.seen

        def kind(self):
            return KIND

        def late(self):
            place = Path(__file__).parent
            (place / "waits.log").touch()
            end = time.monotonic() + 30
            while not (place / "go.log").exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            back = pickle.loads(pickle.dumps(Scaler(5)))
            return KIND, self._pool.map(initialized, [1, 2]), type(back) is Scaler, self._in("spawn")

        def write(self):
            CACHE.write_bytes(pickle.dumps(Scaler(5)))

        def read(self):
            found = pickle.loads(CACHE.read_bytes())
            return type(found) is Scaler, found.value
"""
FEATURES = """
    KIND = {kind!r}

    class Scaler:
        value = 7
        def __init__(self, value=7):
            self.value = value

    def scaled(value):
        return Scaler(value * 10)
"""

CASES = {
    "spawn": "[10, 20, 30]",
    "forkserver": "[10, 20, 30]",
    "executor": "[10, 20, 30]",
    "loky": "[10, 20, 30]",
    "initialized": "[41, 42]",
    "subprocess": "30",
    "unpickle": "7",
    "importlib": "True",
    "own name": "(True, 'srv.model.m.models')",
    "logging": "['heard']",
    "read": "(True, 5)",
}


def write(folder, kind="first", models=MODELS):
    folder.mkdir(exist_ok=True)
    (folder / "models.py").write_text(dedent(models))
    (folder / "features.py").write_text(dedent(FEATURES).format(kind=kind))
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"}))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder / "m")
    write(folder / "other", kind="other")
    with srv_server(folder, settings={"model_control": True}) as server:
        yield server


@pytest.fixture
def line(server):
    made = Line(server.url, server.grpc_address)
    yield made
    made.close()


def ask(line, case, model="m", form=REST):
    heard = form.infer(line, model, InferenceRequest([Tensor("case", [case])]))
    return heard.good["output"].tolist()[0].decode()


@pytest.mark.parametrize("form", [REST, GRPC], ids=repr)
@pytest.mark.parametrize("case", CASES)
def test_names_of_the_models_modules_hold_wherever_they_are_looked_for(line, case, form):
    if case == "logging":
        assert set(eval(ask(line, case, form=form))) == {"heard"}
        return
    if case == "read":
        ask(line, "write", form=form)
    assert ask(line, case, form=form) == CASES[case]


def test_after_a_reload_children_run_the_new_code_and_pickles_of_before_are_read(server, line):
    ask(line, "write")
    assert (ask(line, "kinds"), ask(line, "kinds", "other")) == ("{'first'}", "{'other'}")
    write(server.folder / "m", kind="second")

    assert server.post("/v2/repository/models/m/load", {}).status == 200

    assert ask(line, "kinds") == "{'second'}"
    assert ask(line, "kinds", "other") == "{'other'}"
    assert ask(line, "read") == CASES["read"]
    for case in ("spawn", "loky", "initialized", "own name", "unpickle"):
        assert ask(line, case) == CASES[case], case


def test_a_request_that_began_before_a_reload_goes_on_with_its_own_modules_and_pool(server, line):
    write(server.folder / "m", kind="old")
    assert server.post("/v2/repository/models/m/load", {}).status == 200
    with ThreadPoolExecutor(2) as pool, closing(Line(server.url, server.grpc_address)) as other:
        late = pool.submit(ask, other, "late")
        wait_until(lambda: (server.folder / "m" / "waits.log").exists())
        write(server.folder / "m", kind="new")
        loading = pool.submit(server.post, "/v2/repository/models/m/load", {})
        wait_until(lambda: ask(line, "kind") == "new")
        (server.folder / "m" / "go.log").touch()

        assert late.result() == "('old', [41, 42], True, [10, 20, 30])"
        assert loading.result().status == 200


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_requests_that_pickle_and_unpickle_are_answered_through_every_reload(server, line):
    ask(line, "write")
    stop, answers = threading.Event(), []

    def keep_asking(case):
        mine = Line(server.url, server.grpc_address)
        with closing(mine):
            while not stop.is_set():
                request = InferenceRequest([Tensor("case", [case])])
                heard = REST.infer(mine, "m", request)
                said = heard.response["output"].tolist()[0].decode() if heard.response is not None else heard.error
                answers.append((case, said))

    asking = [threading.Thread(target=keep_asking, args=(case,)) for case in ("read", "initialized", "unpickle")]
    for thread in asking:
        thread.start()
    for number in range(5):
        broken = number == 3
        write(server.folder / "m", kind=f"of reload {number}")
        if broken:
            (server.folder / "m" / "features.py").write_text("syntax error!")
        assert server.post("/v2/repository/models/m/load", {}).status == (400 if broken else 200)
    stop.set()
    for thread in asking:
        thread.join()

    assert {case for case, _ in answers} == {"read", "initialized", "unpickle"}
    assert [each for each in answers if each[1] != CASES[each[0]]] == [], server.logs
