"""Loads and unloads that fail, hang or come at once: what serves changes at once, and nothing is left behind."""

import gc
import json
import logging
import threading
import weakref

import numpy as np
import pytest

from srv.discovery import discover
from srv.errors import LoadFailed, SrvError
from srv.hookspecs import hookimpl
from srv.messages import InferenceRequest
from srv.models.registry import ModelState
from srv.runtime import Runtime
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.tensors import Tensor

PATIENCE = 20


class Instance(Runtime):
    """Notes its calls, and waits in each of them for as long as the test wants. Loads beside others."""

    parallel_load = True
    calls: list
    made: list
    gates: dict

    def __init__(self, settings):
        super().__init__(settings)
        self.made.append(weakref.ref(self))
        self.number = len(self.made)

    def note(self, step):
        self.calls.append((step, self.name, self.number))
        gate = self.gates.get((step, self.number)) or self.gates.get((step, self.name))
        if gate is not None:
            gate.entered.set()
            gate.released.wait(PATIENCE)

    def load(self):
        self.note("load")

    def predict(self, x: np.ndarray):
        self.note("predict")
        return x + self.number

    def predict_stream(self, x: np.ndarray):
        for _ in range(3):
            self.note("stream")
            yield x + self.number

    def unload(self):
        self.note("unload")


class Gate:
    """A place where an instance waits."""

    def __init__(self):
        self.entered = threading.Event()
        self.released = threading.Event()


@pytest.fixture
def runtime():
    return type("Fresh", (Instance,), {"calls": [], "made": [], "gates": {}})


@pytest.fixture
def hang(runtime):
    """Makes a call of an instance hang until the test releases it: hang("load", "m") or hang("unload", 1)."""
    made = []

    def gate(step, whose):
        made.append(Gate())
        runtime.gates[step, whose] = made[-1]
        return made[-1]

    yield gate
    for each in made:
        each.released.set()


class Events:
    def __init__(self):
        self.told = []

    @hookimpl
    def srv_model_unloaded(self, model):
        self.told.append(model.title)


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def server(tmp_path, isolated_plugins, runtime, events, hang):
    isolated_plugins(runtimes={"one": runtime}, hooks={"events": events})
    write(tmp_path, "m")
    write(tmp_path, "other")
    made = assemble(ServerSettings(folder=tmp_path, model_control=True, load_timeout=PATIENCE), discover())
    # One after the other, since loads beside each other would not always make "m" the first instance.
    made.load_models(lambda _: None, [("m", None)])
    made.load_models(lambda _: None, [("m", None), ("other", None)])
    yield made
    for gate in runtime.gates.values():
        gate.released.set()
    made.close(PATIENCE)


def write(folder, name, **settings):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "model-settings.json").write_text(json.dumps({"runtime": "one"} | settings))


def request():
    return InferenceRequest([Tensor("x", np.zeros(1))])


def number(server, name="m"):
    """Which of all instances answers."""
    return int(server.dataplane.infer(name, None, request())["output"][0])


def beside(call, *arguments):
    """Run a call in a thread, and give the thread with what becomes of it."""
    outcome = []

    def run():
        try:
            outcome.append(call(*arguments))
        except SrvError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.outcome = outcome
    thread.start()
    return thread


def ended(thread):
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return thread.outcome[0]


def row(server, name="m"):
    (found,) = [row for row in server.modelplane.index() if row.name == name]
    return found.state, found.reason


def calls(runtime, instance):
    return [step for step, _, number in runtime.calls if number == instance]


# -- what fails --------------------------------------------------------------------------------------------------------

BAD_WARM_UP = {"warmup": [{"inputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [1]}]}]}


@pytest.mark.parametrize("own_thread", [False, True], ids=["any thread", "its own thread"])
def test_a_load_that_fails_after_load_unloads_and_keeps_nothing(server, runtime, tmp_path, own_thread):
    runtime.same_thread = own_thread
    write(tmp_path, "m", **BAD_WARM_UP)

    with pytest.raises(LoadFailed, match="WarmUpFailed"):
        server.modelplane.load("m")

    assert calls(runtime, 3) == ["load", "unload"]
    gc.collect()
    assert runtime.made[2]() is None
    assert number(server) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "srv-model-m"]


def test_a_model_that_fails_its_checks_after_load_is_unloaded_too(server, runtime, monkeypatch):
    monkeypatch.setattr("srv.models.instances.check_predict", lambda runtime: 1 / 0)

    with pytest.raises(LoadFailed, match="ZeroDivisionError"):
        server.modelplane.load("m")

    assert calls(runtime, 3) == ["load", "unload"]


def test_a_load_that_fails_itself_is_not_unloaded(server, runtime):
    runtime.load = lambda self: False

    with pytest.raises(LoadFailed, match="load\\(\\) returned False"):
        server.modelplane.load("m")

    assert calls(runtime, 3) == []


def test_an_unloaded_model_keeps_nothing_of_its_runtime(server, runtime):
    server.modelplane.unload("m")

    gc.collect()
    assert runtime.made[0]() is None
    assert row(server) == (ModelState.UNAVAILABLE, "unloaded")


# -- what comes at once ------------------------------------------------------------------------------------------------


def test_of_loads_that_come_at_once_one_generation_remains(server, runtime):
    loads = [beside(server.modelplane.load, "m") for _ in range(4)]
    settings = server.registry.find("m").settings
    loads += [beside(server.loader.load, settings) for _ in range(4)]  # as --reload does
    for load in loads:
        ended(load)
    assert server.loader.wait_gone(seconds=PATIENCE) == []

    loaded = [instance for step, name, instance in runtime.calls if (step, name) == ("load", "m")]
    unloaded = [instance for step, _, instance in runtime.calls if step == "unload"]
    assert len(loaded) == 9
    assert sorted(unloaded) == sorted(set(loaded) - {number(server)})
    gc.collect()
    assert len([made for made in runtime.made if made() is not None]) == 2  # and the other model's


# -- what takes long ---------------------------------------------------------------------------------------------------


def test_a_reload_does_not_wait_for_a_predict_that_hangs(server, runtime, hang):
    gate = hang("predict", 1)
    asked = beside(number, server)
    assert gate.entered.wait(PATIENCE)

    ended(beside(server.modelplane.load, "m"))
    ended(beside(server.modelplane.load, "m"))

    assert number(server) == 4
    assert calls(runtime, 1) == ["load", "predict"]
    gate.released.set()
    assert ended(asked) == 1
    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert calls(runtime, 1) == ["load", "predict", "unload"]
    assert calls(runtime, 3) == ["load", "unload"]


def test_a_reload_does_not_wait_for_an_open_stream_which_ends_with_the_model_that_began_it(server, runtime):
    stream = server.dataplane.stream("m", None, request(), lambda response: response)
    assert next(stream)["output"][0] == 1

    ended(beside(server.modelplane.load, "m"))

    assert number(server) == 3
    assert [response["output"][0] for response in stream] == [1, 1]
    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert calls(runtime, 1)[-1] == "unload"


def test_a_model_is_unloading_while_its_last_request_runs_and_plugins_are_told_after_it(server, events, hang):
    gate = hang("predict", 1)
    asked = beside(number, server)
    assert gate.entered.wait(PATIENCE)

    ended(beside(server.modelplane.unload, "m"))

    assert row(server) == (ModelState.UNLOADING, "")
    assert events.told == []
    gate.released.set()
    ended(asked)
    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert row(server) == (ModelState.UNAVAILABLE, "unloaded")
    assert events.told == ["m"]


@pytest.mark.parametrize("change", ["load", "unload"])
def test_an_unload_that_hangs_blocks_nobody(server, runtime, hang, change):
    gate = hang("unload", 1)
    ended(beside(getattr(server.modelplane, change), "m"))
    assert gate.entered.wait(PATIENCE)

    ended(beside(server.modelplane.load, "m"))
    ended(beside(server.modelplane.load, "other"))
    ended(beside(server.modelplane.unload, "other"))

    assert row(server)[0] is ModelState.READY
    assert row(server, "other")[0] is ModelState.UNAVAILABLE


def lines(caplog, what):
    return [record.getMessage() for record in caplog.records if what in record.getMessage()]


def test_what_takes_long_is_named_in_the_log_at_growing_intervals(server, hang, monkeypatch, caplog):
    monkeypatch.setattr("srv.models.slow_loads.FIRST_LINE", 0.1)
    loading, unloading, predicting = hang("load", 3), hang("unload", 1), hang("predict", 2)
    asked = beside(number, server, "other")
    assert predicting.entered.wait(PATIENCE)
    beside(server.modelplane.unload, "m")
    ended(beside(server.modelplane.unload, "other"))
    assert unloading.entered.wait(PATIENCE)
    beside(server.modelplane.load, "m")
    assert loading.entered.wait(PATIENCE)

    def all_named():
        said = [
            lines(caplog, "Model 'm' has been loading for "),
            lines(caplog, "Model 'm' has been unloading for "),
            lines(caplog, "Model 'other' has been waiting for its last request before it is unloaded for "),
        ]
        return all(len(each) >= 3 for each in said)

    waited = threading.Event()
    for _ in range(1000):
        if all_named():
            break
        waited.wait(0.02)
    assert all_named()
    times = [record.created for record in caplog.records if "'m' has been loading" in record.getMessage()]
    assert times[2] - times[1] > 0.1 * 2  # 0.1 s after the start, then 0.2 s after that, then 0.4 s
    predicting.released.set()
    ended(asked)


def test_the_line_of_a_slow_load_says_where_in_the_models_code_it_is(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("srv.models.slow_loads.FIRST_LINE", 0.05)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model-settings.json").write_text('{"implementation": "models.M"}')
    (tmp_path / "m" / "models.py").write_text(
        "import logging, threading\nfrom srv import Runtime\n\nclass M(Runtime):\n    def load(self):\n"
        "        named = threading.Event()\n"
        "        class Listener(logging.Handler):\n"
        "            def emit(self, record):\n"
        "                named.set()\n"
        "        logging.getLogger('srv.models.slow_loads').addHandler(Listener())\n"
        f"        named.wait({PATIENCE})\n"
        "    def predict(self, request):\n        return 1\n"
    )
    server = assemble(ServerSettings(folder=tmp_path), discover())
    try:
        server.load_models(lambda _: None, server.wanted())
    finally:
        server.close(PATIENCE)
        logging.getLogger("srv.models.slow_loads").handlers.clear()

    assert any("; it is in models.py, line 11, load()" in line for line in lines(caplog, "has been loading for"))


def test_an_unload_that_lasts_longer_than_the_limit_is_given_up_with_a_line(server, events, hang, caplog):
    server.loader._retirements._limit = 0.05
    gate = hang("unload", 1)

    ended(beside(server.modelplane.unload, "m"))
    assert gate.entered.wait(PATIENCE)

    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert events.told == ["m"]
    assert lines(caplog, "Model 'm' has not unloaded within 0.05 s (load_timeout).")


def test_a_server_that_stops_waits_for_an_unload_that_hangs_only_so_long_and_unloads_the_others(
    server, runtime, hang, caplog
):
    gate = hang("unload", 1)

    ended(beside(server.close, 2))

    assert gate.entered.is_set()
    assert calls(runtime, 2) == ["load", "unload"]
    assert lines(caplog, "Model 'm' has not unloaded within 2 s, and the process ends without that.")


def test_a_load_that_hangs_blocks_neither_loads_of_other_models_nor_unloads(server, runtime, hang):
    gate = hang("load", 3)
    hanging = beside(server.modelplane.load, "m")
    assert gate.entered.wait(PATIENCE)

    ended(beside(server.modelplane.load, "other"))
    ended(beside(server.modelplane.unload, "other"))

    assert (number(server), row(server, "other")[0]) == (1, ModelState.UNAVAILABLE)
    gate.released.set()
    ended(hanging)
    assert number(server) == 3


def test_a_load_that_hangs_does_not_keep_a_load_beside_it_from_failing(server, runtime, hang, tmp_path):
    gate = hang("load", 3)
    hanging = beside(server.modelplane.load, "m")
    assert gate.entered.wait(PATIENCE)
    write(tmp_path, "other", **BAD_WARM_UP)

    assert "WarmUpFailed" in str(ended(beside(server.modelplane.load, "other")))

    gate.released.set()
    ended(hanging)


def test_an_unload_overtakes_a_load_of_the_same_model_that_hangs(server, runtime, hang, monkeypatch):
    monkeypatch.setattr("srv.planes.modelplane.UNLOAD_WAITS", 0.05)
    gate = hang("load", 3)
    hanging = beside(server.modelplane.load, "m")
    assert gate.entered.wait(PATIENCE)

    ended(beside(server.modelplane.unload, "m"))
    assert row(server) == (ModelState.UNAVAILABLE, "unloaded")
    ended(beside(server.modelplane.load, "m"))
    assert number(server) == 4

    gate.released.set()
    assert "was unloaded or loaded anew before its load had ended" in str(ended(hanging))
    assert calls(runtime, 3) == ["load", "unload"]
    assert number(server) == 4
    assert row(server) == (ModelState.READY, "")


def test_a_load_that_others_may_not_run_beside_is_named_by_them_and_given_up_by_an_unload(tmp_path, monkeypatch):
    monkeypatch.setattr("srv.planes.modelplane.UNLOAD_WAITS", 0.05)
    for name in ("hangs", "waits", "folder_of_its_own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model-settings.json").write_text('{"implementation": "models.M"}')
        (tmp_path / name / "models.py").write_text(
            "from srv import Runtime\n\nclass M(Runtime):\n    def predict(self, request):\n        return 1\n"
        )
    server = assemble(ServerSettings(folder=tmp_path, model_control=True, load_timeout=2), discover())
    server.load_models(lambda _: None, server.wanted())
    gates = server.settings.folder / "gate"
    code = (
        f"import time\nfrom pathlib import Path\nfrom srv import Runtime\n\nclass M(Runtime):\n    def load(self):\n"
        f"        Path({str(gates)!r} + '.entered').touch()\n"
        f"        while not Path({str(gates)!r}).exists():\n            time.sleep(0.01)\n"
        "    def predict(self, request):\n        return 2\n"
    )
    (tmp_path / "hangs" / "models.py").write_text(code)
    beside_others = (tmp_path / "folder_of_its_own" / "models.py").read_text().replace("return 1", "return 2")
    (tmp_path / "folder_of_its_own" / "models.py").write_text(
        beside_others.replace("    def", "    parallel_load = True\n\n    def", 1)
    )
    try:
        hanging = beside(server.modelplane.load, "hangs")
        waited = threading.Event()
        while not (tmp_path / "gate.entered").exists():
            waited.wait(0.01)

        error = ended(beside(server.modelplane.load, "waits"))
        assert "for the load of model 'hangs', which has not ended" in str(error)
        assert ended(beside(server.modelplane.load, "folder_of_its_own")) is None
        assert ended(beside(server.modelplane.unload, "hangs")) is None
        assert ended(beside(server.modelplane.load, "waits")) is None
        assert server.dataplane.infer("folder_of_its_own", None, InferenceRequest([]))["output"].tolist() == 2
    finally:
        gates.touch()
        assert "was unloaded or loaded anew" in str(ended(hanging))
        server.close(PATIENCE)


def test_plugins_hear_of_no_unload_of_a_model_that_was_loaded_again_before_its_unload_had_ended(server, events, hang):
    gate = hang("unload", 1)
    ended(beside(server.modelplane.unload, "m"))
    assert gate.entered.wait(PATIENCE)
    ended(beside(server.modelplane.load, "m"))

    gate.released.set()

    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert events.told == []
    ended(beside(server.modelplane.unload, "m"))
    assert events.told == ["m"]
