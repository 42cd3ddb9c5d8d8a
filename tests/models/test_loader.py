import json
import threading
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import numpy as np
import pytest

from srv.discovery import discover
from srv.errors import LoadFailed, UnknownModel
from srv.messages import InferenceRequest
from srv.model_settings import ModelParameters, ModelSettings
from srv.models.registry import ModelState
from srv.planes.readiness import ModelNotReady, NotServing, StillLoading
from srv.runtime import ArtifactMissing, NothingAtUri, Runtime
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.tensors import Tensor

ONE = """
    from srv import Runtime
    class One(Runtime):
        def load(self):
            self.log.info("loading")
            {load}
        def predict(self, request):
            return 1
        def unload(self):
            (self.settings.folder / "unloaded").touch()
"""


@pytest.fixture
def serve(tmp_path):
    """Makes a server of model folders: serve(name=(code, settings))."""
    made = []

    def make(on_load_error="exit", **models):
        for name, (code, settings) in models.items():
            write(tmp_path / name, code, settings)
        made.append(assemble(ServerSettings(folder=tmp_path, on_load_error=on_load_error), discover()))
        return made[-1]

    yield make
    for server in made:
        server.close()


def write(folder, code, settings=None):
    folder.mkdir(exist_ok=True)
    (folder / "models.py").write_text(dedent(code))
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.One"} | (settings or {})))


def one(load="return True"):
    return ONE.format(load=load), {}


def load_all(server):
    server.load_models(lambda _: None, server.wanted())


def infer(server, name):
    return server.dataplane.infer(name, None, InferenceRequest([]))["output"].tolist()


@pytest.mark.parametrize("outcome", ["return True", "return None", "pass", "self.ready = True; return self.ready"])
def test_a_load_that_does_not_return_false_has_worked(serve, outcome):
    server = serve(m=one(outcome))

    load_all(server)

    assert infer(server, "m") == 1
    assert server.dataplane.readiness.problem() is None


@pytest.mark.parametrize(
    "outcome, reason",
    [
        ("return False", "LoadedNothing: load() returned False."),
        ("import numpy; return numpy.all([False])", "LoadedNothing: load() returned False."),
        ("return (each for each in [])", "LoadedLater: load() returned a generator, which srv does not run"),
        ("raise ValueError('no weights')", "ValueError: no weights"),
        ("raise SystemExit(1)", "SystemExit: 1"),
        ("raise BaseException('a panic in Rust')", "BaseException: a panic in Rust"),
        ("open(self.settings.folder / 'weights.bin')", "No such file or directory: 'weights.bin'"),
        ("open('/var/lib/secret/weights.bin')", "No such file or directory: '…/weights.bin'"),
        ("raise ValueError('x' * 1000)", "x" * 200),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("self.artifact('model.bin')", "ArtifactMissing: No model.bin was found"),
        (
            "import pickle; pickle.loads(b'c__main__\\nMyTransformer\\n.')",
            "It was pickled where 'MyTransformer' is defined, in a script or notebook: define it in a module beside",
        ),
        (
            'raise ImportError("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32\' not found (required by fast.so)")',
            "A library needs GLIBCXX_3.4.32, which is newer than what is here: make the environment on a machine like this",
        ),
        ("self.artifact()", "NoUri: The model of m/model-settings.json needs parameters.uri"),
    ],
)
def test_a_load_that_fails_says_why(serve, outcome, reason):
    server = serve(m=one(outcome))

    with pytest.raises(LoadFailed, match="Model 'm' could not be loaded"):
        load_all(server)

    model = server.registry.find("m")
    assert model.state is ModelState.UNAVAILABLE
    assert reason in model.reason
    assert len(model.reason) <= 300
    assert isinstance(server.dataplane.readiness.problem(), StillLoading)


def test_an_artifact_that_the_settings_name_and_nobody_put_there_is_named(tmp_path):
    runtime = Runtime(ModelSettings(name="m", folder=tmp_path, parameters=ModelParameters(uri="weights/v2.bin")))

    with pytest.raises(NothingAtUri, match=r"Nothing is at 'weights/v2\.bin', which model-settings.json names"):
        runtime.artifact("model.bin")


def test_a_folder_that_the_settings_name_and_that_has_no_artifact_is_told_as_one(tmp_path):
    (tmp_path / "weights").mkdir()
    runtime = Runtime(ModelSettings(name="m", folder=tmp_path, parameters=ModelParameters(uri="weights")))

    with pytest.raises(ArtifactMissing, match=r"No model\.bin was found in the folder that model-settings\.json names"):
        runtime.artifact("model.bin")


def test_with_on_load_error_continue_the_others_are_served_and_the_server_is_unready(serve):
    server = serve("continue", bad=one("return False"), good=one())

    load_all(server)

    assert infer(server, "good") == 1
    with pytest.raises(ModelNotReady, match=r"load\(\) returned False"):
        infer(server, "bad")
    assert isinstance(server.dataplane.readiness.problem(), NotServing)


def test_a_model_whose_settings_are_broken_is_in_the_index_with_its_reason(serve):
    server = serve("continue", bad=(one()[0], {"colour": "red"}), good=one())

    load_all(server)

    assert infer(server, "good") == 1
    assert "colour" in server.registry.find("bad").reason


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"implementation": None, "runtime": "sklaern"}, "No runtime is called 'sklaern'"),
        ({"implementation": "models.Two"}, "The module 'models' has no 'Two'"),
        ({"implementation": "model.One"}, "neither in the model's folder nor installed"),
        ({"implementation": "models.Runtime.load"}, "neither in the model's folder nor installed"),
        ({"implementation": "pathlib.Path"}, "is not a class that extends srv.Runtime"),
    ],
)
def test_what_is_no_runtime_says_so(serve, settings, reason):
    settings = {key: value for key, value in ({"implementation": "models.One"} | settings).items() if value}
    server = serve(m=one())
    folder = server.settings.folder / "m"
    (folder / "model-settings.json").write_text(json.dumps(settings))

    with pytest.raises(LoadFailed) as raised:
        load_all(server)

    assert reason in str(raised.value)


def test_a_runtime_without_predict_is_refused_at_load(serve):
    server = serve(m=("from srv import Runtime\nclass One(Runtime):\n    pass\n", {}))

    with pytest.raises(LoadFailed, match="One has no predict method"):
        load_all(server)


def test_a_module_of_a_folder_may_have_a_hyphen_in_its_name(serve):
    server = serve(m=one())
    folder = server.settings.folder / "m"
    (folder / "models.py").rename(folder / "serve-model.py")
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "serve-model.One"}))

    load_all(server)

    assert infer(server, "m") == 1


@pytest.mark.parametrize(
    "lines, reason",
    [
        ("def __init__(self): pass", "BadInit: One.__init__ does not take the settings alone"),
        ("def predict(self, x: list[str]): yield x", "BadMethod: One.predict is a generator"),
    ],
)
def test_a_class_that_cannot_serve_is_refused_with_what_to_write(serve, lines, reason):
    server = serve(m=(f"from srv import Runtime\nclass One(Runtime):\n    {lines}\n", {}))

    with pytest.raises(LoadFailed, match=reason):
        load_all(server)


EXTRA = """
    from marshmallow import Schema, fields
    from srv import Runtime
    class Extra(Schema):
        factor = fields.Float(required=True)
        bias = fields.Float(load_default=10)
    class One(Runtime):
        extra = Extra
        def predict(self, request):
            return self.settings.parameters.extra["factor"] + self.settings.parameters.extra["bias"]
"""


def test_the_runtimes_own_settings_are_checked_by_its_schema(serve):
    server = serve(m=(EXTRA, {"parameters": {"extra": {"factor": 2}}}))

    load_all(server)

    assert infer(server, "m") == 12


def test_settings_that_the_runtimes_schema_refuses_name_the_key(serve):
    server = serve(m=(EXTRA, {"parameters": {"extra": {"factor": "much", "colour": 1}}}))

    with pytest.raises(LoadFailed, match=r"extra\.colour: Unknown field.*|extra\.factor: Not a valid number"):
        load_all(server)


def test_methods_may_be_async(serve):
    code = """
        from srv import Runtime
        class One(Runtime):
            async def load(self):
                self.loaded = True
            async def predict(self, request):
                return 5 if self.loaded else 0
            async def unload(self):
                (self.settings.folder / "unloaded").touch()
    """
    server = serve(m=(code, {}))
    load_all(server)

    assert infer(server, "m") == 5
    server.loader.unload(server.registry.find("m"))
    assert (server.settings.folder / "m" / "unloaded").exists()


def test_a_reload_serves_the_new_code_and_unloads_the_old(serve):
    server = serve(m=one())
    load_all(server)
    old = server.registry.find("m")
    write(server.settings.folder / "m", one()[0].replace("return 1", "return 2"))

    server.loader.load(old.settings)

    assert infer(server, "m") == 2
    assert (server.settings.folder / "m" / "unloaded").exists()


def test_a_reload_that_fails_leaves_the_old_one_serving(serve):
    server = serve(m=one())
    load_all(server)
    old = server.registry.find("m")
    write(server.settings.folder / "m", "syntax error!")

    with pytest.raises(LoadFailed, match="SyntaxError"):
        server.loader.load(old.settings)

    assert infer(server, "m") == 1
    assert not (server.settings.folder / "m" / "unloaded").exists()


def test_unload_waits_for_the_last_predict(serve):
    code = """
        import threading
        from srv import Runtime
        class One(Runtime):
            def load(self):
                self.entered, self.go, self.order = threading.Event(), threading.Event(), []
            def predict(self, request):
                self.entered.set()
                self.go.wait(10)
                self.order.append("predicted")
                return 1
            def unload(self):
                self.order.append("unloaded")
    """
    server = serve(m=(code, {}))
    load_all(server)
    model = server.registry.find("m")
    runtime = model.runtime
    predicting = threading.Thread(target=infer, args=(server, "m"))
    predicting.start()
    assert runtime.entered.wait(5)
    unloading = threading.Thread(target=server.loader.unload, args=(model,))
    unloading.start()
    while model.state is ModelState.READY:
        pass
    with pytest.raises(ModelNotReady, match="UNLOADING"):
        infer(server, "m")
    runtime.go.set()
    predicting.join()
    unloading.join()

    assert runtime.order == ["predicted", "unloaded"]


def test_versions_stand_beside_each_other_and_the_highest_is_the_default(serve, tmp_path):
    for version in ("2", "10", "9"):
        folder = tmp_path / "m" / version
        folder.mkdir(parents=True)
        write(folder, one()[0].replace("return 1", f"return {version}"))
    server = serve()
    load_all(server)

    assert infer(server, "m") == 10
    assert server.dataplane.infer("m", "9", InferenceRequest([]))["output"].tolist() == 9
    assert server.dataplane.metadata("m").versions == ("2", "9", "10")


def test_an_answer_names_model_version_and_id(serve):
    server = serve(m=(one()[0], {"parameters": {"version": "3"}}))
    load_all(server)

    response = server.dataplane.infer("m", None, InferenceRequest([Tensor("x", np.ones(1))], id="7"))

    assert (response.model_name, response.model_version, response.id) == ("m", "3", "7")


def test_an_unknown_model_may_be_there_soon_while_the_first_load_goes_on(serve):
    server = serve(m=one())

    with pytest.raises(StillLoading):
        server.dataplane.model("anything")

    load_all(server)
    with pytest.raises(UnknownModel):
        server.dataplane.model("anything")


WARM = """
    import numpy as np
    from srv import Runtime
    class One(Runtime):
        seen = 0
        def predict(self, x: np.ndarray):
            type(self).seen += 1
            return 1 / x
"""


def warm(value, **more):
    return {"warmup": [{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": value} | more]}]}


def test_a_model_is_warmed_up_before_it_serves(serve):
    server = serve(m=(WARM, warm([1])))

    load_all(server)

    assert server.registry.find("m").runtime.seen == 1


@pytest.mark.parametrize(
    "warmup, reason",
    [
        (warm(["one"]), r"WarmUpFailed: warmup\[0\] was not answered: inputs\[0\].data\[0\]: expected number"),
        (warm([1], name="y"), "Input 'y' is unknown"),
        ({"warmup": [{}]}, "inputs is missing"),
    ],
)
def test_a_warm_up_that_fails_fails_the_load(serve, warmup, reason):
    server = serve(m=(WARM, warmup))

    with pytest.raises(LoadFailed, match=reason):
        load_all(server)


class Together(Runtime):
    """Loads once another one of its kind loads too."""

    parallel_load = True
    meeting = threading.Barrier(2, timeout=20)

    def load(self):
        self.meeting.wait()
        if self.settings.parameters.uri == "none":
            raise FileNotFoundError(self.name)

    def predict(self, request):
        return 1


def pair(tmp_path, **uris):
    for name, uri in uris.items():
        (tmp_path / name).mkdir()
        settings = {"runtime": "together", "parameters": {"uri": uri} if uri else {}}
        (tmp_path / name / "model-settings.json").write_text(json.dumps(settings))


def test_models_load_beside_each_other_where_their_runtime_allows_it(serve, tmp_path, isolated_plugins):
    isolated_plugins(runtimes={"together": Together})
    pair(tmp_path, a=None, b=None)
    server = serve(m=one())

    load_all(server)

    assert [infer(server, name) for name in "abm"] == [1, 1, 1]
    assert server.dataplane.readiness.problem() is None


def test_of_models_that_load_beside_each_other_one_that_fails_is_the_outcome(serve, tmp_path, isolated_plugins):
    isolated_plugins(runtimes={"together": Together})
    pair(tmp_path, a="none", b=None)
    (tmp_path / "a" / "none").touch()
    server = serve(on_load_error="continue")

    load_all(server)

    assert infer(server, "b") == 1
    assert server.registry.find("a").reason.startswith("FileNotFoundError")
    with pytest.raises(LoadFailed, match="Model 'a'"):
        load_all(serve())


BEYOND_EXCEPTIONS = ["KeyboardInterrupt", "GeneratorExit", "asyncio.CancelledError", "SystemExit"]


@pytest.mark.parametrize("error", BEYOND_EXCEPTIONS)
def test_what_a_load_or_unload_raises_beyond_exceptions_is_the_models_error(serve, error):
    runtime = f"""
        import asyncio
        from srv import Runtime

        class One(Runtime):
            def load(self):
                if self.name == "fails":
                    raise {error}
            def predict(self, x: list[str]) -> list[str]:
                return x
            def unload(self):
                raise {error}
    """
    server = serve(m=(runtime, {}), fails=(runtime, {}))
    settings = {each.name: each for each in server.repository.models().models}
    with ThreadPoolExecutor(1) as thread:  # as in a worker: in the main thread a KeyboardInterrupt is a signal's
        with pytest.raises(LoadFailed, match=error.rpartition(".")[2]):
            thread.submit(server.loader.load, settings["fails"]).result()
        model = thread.submit(server.loader.load, settings["m"]).result()
        thread.submit(server.loader.unload, model).result()
    assert model.runtime is None


CUSTOM = """
    from my_model import load_my_custom_model
    from srv import InferenceRequest, InferenceResponse, Runtime

    class MyCustomRuntime(Runtime):

      def load(self) -> bool:
        self._model = load_my_custom_model()
        self.ready = True
        return self.ready

      def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self._model.predict(payload)
"""
MY_MODEL = """
    from srv import InferenceResponse, Tensor

    class MyModel:
        def predict(self, payload):
            return InferenceResponse([Tensor("sum", [payload["x"].sum()])])

    load_my_custom_model = MyModel
"""


def test_a_custom_runtime_is_a_class_with_load_and_predict_and_nothing_else(serve, tmp_path):
    server = serve(m=(CUSTOM, {"implementation": "models.MyCustomRuntime"}))
    (tmp_path / "m" / "my_model.py").write_text(dedent(MY_MODEL))
    load_all(server)

    response = server.dataplane.infer("m", None, InferenceRequest([Tensor("x", np.array([1.0, 2.0]))]))

    assert response["sum"].tolist() == [3.0]
