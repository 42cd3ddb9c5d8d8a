import json
from pathlib import Path

import pytest

from srv.model_settings import ModelSettings, ProcessSettings, Spec
from srv.settings.documents import read_document
from srv.settings.errors import MissingSetting, SettingError
from srv.settings.models import model_settings, read_model_document, with_defaults
from srv.settings.schemas import ModelSchema, ParametersSchema, SpecSchema, is_model_name


@pytest.fixture
def read(tmp_path):
    """The settings of a model whose model-settings.json holds what is given."""

    def read(file):
        (tmp_path / "model-settings.json").write_text(json.dumps(file, indent=1))
        leaves = read_model_document(read_document(tmp_path / "model-settings.json", "m/model-settings.json"))
        return model_settings(leaves, name="m", version=None, folder=tmp_path, source="m/model-settings.json")

    return read


#: What no file says: where the settings come from, and where their classes are.
OF_PLACE = {
    "folder",
    "source",
    "candidates",
    "implementation_folder",
    "codecs_folder",
    "operator_extra",
    "operator_allows_pickle",
}


def refused(read, file):
    with pytest.raises(SettingError) as caught:
        read(file)
    return caught.value


def test_every_setting_is_in_the_schema_and_every_key_of_the_schema_is_a_setting():
    assert set(ModelSchema().fields) == set(ModelSettings.__dataclass_fields__) - OF_PLACE
    assert set(SpecSchema().fields) == set(Spec.__dataclass_fields__)


def test_every_key_says_what_it_means():
    for schema in (ModelSchema(), ParametersSchema(), SpecSchema()):
        for field in schema.fields.values():
            assert field.metadata["description"].endswith(".")


def test_all_keys_of_a_model_are_read(read, tmp_path):
    settings = read(
        {
            "name": "iris",
            "runtime": "srv-sklearn:sklearn",
            "platform": "sklearn",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {"content_type": "np"}}],
            "outputs": [{"name": "y", "datatype": "BYTES"}],
            "max_batch_size": 8,
            "max_batch_time": 0.01,
            "max_queue": 10,
            "request_timeout": 5,
            "concurrency": 1,
            "warmup": [{"inputs": []}],
            "allow_pickle": True,
            "parameters": {
                "uri": "./model.skops",
                "version": "v2",
                "content_type": "np",
                "format": "skops",
                "extra": {"deep": [1, {"a": None}]},
            },
        }
    )
    assert (settings.name, settings.runtime, settings.implementation) == ("iris", "srv-sklearn:sklearn", None)
    assert settings.inputs == (Spec("FP32", (-1, 4), "x", {"content_type": "np"}),)
    assert settings.outputs == (Spec("BYTES", None, "y"),)
    assert (settings.max_batch_size, settings.max_batch_time, settings.max_queue) == (8, 0.01, 10)
    assert (settings.request_timeout, settings.concurrency) == (5.0, 1)
    assert settings.warmup == ({"inputs": []},)
    assert settings.allow_pickle is True
    assert (settings.parameters.uri, settings.version) == ("./model.skops", "v2")
    assert (settings.parameters.content_type, settings.parameters.format) == ("np", "skops")
    assert settings.parameters.extra == {"deep": [1, {"a": None}]}
    assert (settings.folder, settings.source) == (tmp_path, "m/model-settings.json")


def test_a_folder_of_mlserver_works_as_far_as_its_keys_go(read):
    settings = read(
        {
            "name": "mine",
            "implementation": "models.MyRuntime",
            "parameters": {"uri": "./model.bin", "version": "v0.1.0", "content_type": "np", "extra": {"threshold": 3}},
        }
    )
    assert (settings.name, settings.implementation, settings.version) == ("mine", "models.MyRuntime", "v0.1.0")
    assert settings.parameters.extra == {"threshold": 3}


def test_null_leaves_a_setting_to_its_default(read):
    settings = read({"runtime": "a", "inputs": None, "concurrency": None, "parameters": {"uri": None, "version": None}})
    assert settings == read({"runtime": "a"})


@pytest.mark.parametrize(
    "file, sentence",
    [
        ({"name": "a b"}, "line 2: 'name' must be 1 to 128 letters, digits and ._- that begin with a letter, a digit or _ (but not stats or docs), not the text 'a b'."),
        ({"name": ""}, "line 2: 'name' must be 1 to 128 letters, digits and ._- that begin with a letter, a digit or _ (but not stats or docs), not the text ''."),
        ({"name": None}, "line 2: 'name' must be 1 to 128 letters, digits and ._- that begin with a letter, a digit or _ (but not stats or docs), not null."),
        ({"implementation": "sklearn"}, "line 2: 'implementation' must be a module and a class, such as 'models.MyRuntime', not the text 'sklearn'."),
        ({"implementation": "models.my-class"}, "line 2: 'implementation' must be a module and a class, such as 'models.MyRuntime', not the text 'models.my-class'."),
        ({"implementation": "models/my.Class"}, "line 2: 'implementation' must be a module and a class, such as 'models.MyRuntime', not the text 'models/my.Class'."),
        ({"implementation": "-models.Class"}, "line 2: 'implementation' must be a module and a class, such as 'models.MyRuntime', not the text '-models.Class'."),
        ({"runtime": ""}, "line 2: 'runtime' must be the name of a runtime, such as 'sklearn' or 'srv-sklearn:sklearn', not the text ''."),
        ({"runtime": "a", "implementation": "a.B"}, "'runtime' and 'implementation' are both given. Keep the one that is meant."),
        ({"inputs": {"name": "x"}}, "line 2: 'inputs' must be a list of objects with name and datatype or null, not {\"name\": \"x\"}."),
        ({"inputs": ["x"]}, "line 2: 'inputs[0]' must be an object, not the text 'x'."),
        ({"inputs": [{"datatype": "FP32"}]}, "'inputs[0].name' is missing."),
        ({"outputs": [{"name": "y", "datatype": "FP32"}, {"name": "x"}]}, "'outputs[1].datatype' is missing."),
        ({"inputs": [{"name": "x", "datatype": "FLOAT"}]}, "line 5: 'inputs[0].datatype' must be one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BYTES, BF16, not the text 'FLOAT'."),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]}, "line 6: 'inputs[0].shape[0]' must be an integer of -1 or more, not -2."),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [True]}]}, "line 6: 'inputs[0].shape[0]' must be an integer of -1 or more, not true."),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": 3}]}, "line 6: 'inputs[0].shape' must be a list of integers of -1 or more, not 3."),
        ({"inputs": [{"name": "x", "datatype": "FP32", "parameters": {"a": []}}]}, "line 7: 'inputs[0].parameters.a' must be a text, a number or a boolean, not []."),
        ({"inputs": [{"name": "x", "datatype": "FP32", "datatyp": 1}]}, "line 6: 'inputs[0].datatyp' is not a setting of srv. Did you mean 'datatype'?"),
        ({"inputs": [{"name": "x", "datatype": "FP32"}] * 2}, "'inputs' has two tensors of the name 'x'. Give each a name of its own."),
        ({"concurrency": 0}, "line 2: 'concurrency' must be an integer of 1 or more or null, not 0."),
        ({"request_timeout": 0}, "line 2: 'request_timeout' must be a number of seconds above 0 or null, not 0."),
        ({"allow_pickle": "yes"}, "line 2: 'allow_pickle' must be true or false, not the text 'yes'."),
        ({"parameters": {"version": 2}}, "line 3: 'parameters.version' must be a text of letters, digits and ._+-, such as '1' or null, not 2."),
        ({"parameters": {"version": "a/b"}}, "line 3: 'parameters.version' must be a text of letters, digits and ._+-, such as '1' or null, not the text 'a/b'."),
        ({"parameters": {"extra": 3}}, "line 3: 'parameters.extra' must be an object, not 3."),
        ({"parameters": None}, "line 2: 'parameters' must be an object, not null."),
        ({"max_batch_sise": 3}, "line 2: 'max_batch_sise' is not a setting of srv. Did you mean 'max_batch_size'?"),
        ({"http_port": 3}, "line 2: 'http_port' is not a setting of srv. It is the server's, and belongs in settings.json."),
        ({"parallel_workers": 3}, "line 2: 'parallel_workers' is not a setting of srv. It is one of MLServer's: srv's is 'workers' in settings.json."),
        ({"warm_workers": True}, "line 2: 'warm_workers' is not a setting of srv. It is one of MLServer's: srv's is 'warmup'."),
        ({"versions": ["sklearn/1"]}, "line 2: 'versions' is not a setting of srv. It is one of MLServer's that srv has nothing like: take it out."),
        ({"parameters": {"environment_tarball": "a"}}, "line 3: 'parameters.environment_tarball' is not a setting of srv. It is one of MLServer's: srv's is 'environment' in 'process', which is an object beside 'parameters'."),
        ({"process": 1}, "line 2: 'process' must be true, false, an object or null, not 1."),
        ({"process": "true"}, "line 2: 'process' must be true, false, an object or null, not the text 'true'."),
        ({"process": {"counts": 1}}, "line 3: 'process.counts' is not a setting of srv. Did you mean 'count'?"),
        ({"process": {"enabled": True}}, "line 3: 'process.enabled' is not a setting of srv. Take it out."),
        ({"process": {"count": 0}}, "line 3: 'process.count' must be an integer from 1 to 1024, not 0."),
        ({"process": {"environment": "s3://b/e.tar.gz"}}, "line 3: 'process.environment' must be the path of an environment's folder or archive or null, not the text 's3://b/e.tar.gz'."),
        ({"process": {"env": {"A": 4}}}, "line 4: 'process.env.A' must be a text, such as '4', not 4."),
        ({"process": {"env": {"PYTHONPATH": "x"}}}, "line 3: 'process.env' must be an object of texts by names of variables, without PYTHONPATH, PYTHONHOME and their like, not {\"PYTHONPATH\": \"x\"}."),
        ({"process": {"env": {"A=B": "x"}}}, "line 3: 'process.env' must be an object of texts by names of variables, without PYTHONPATH, PYTHONHOME and their like, not {\"A=B\": \"x\"}."),
        ({"process": {"devices": ["gpu:0"]}}, "line 3: 'process.devices[0]' must be a kind and a number, such as 'cuda:0', or 'cpu', not the text 'gpu:0'."),
        ({"process": {"cpus": ["3-1"]}}, "line 3: 'process.cpus[0]' must be numbers of processors, such as '0-3' or '0,2', not the text '3-1'."),
        ({"process": {"memory": "2 apples"}}, "line 3: 'process.memory' must be a number of bytes above 0, such as 2000000000, '2GB' or '1.5GiB' or null, not the text '2 apples'."),
        ({"process": {"memory": True}}, "line 3: 'process.memory' must be a number of bytes above 0, such as 2000000000, '2GB' or '1.5GiB' or null, not true."),
        ({"process": {"start_timeout": 0}}, "line 3: 'process.start_timeout' must be a number of seconds above 0, not 0."),
        ({"process": {"count": 2, "devices": ["cuda:0", "cuda:1", "cuda:2"]}}, "'process.devices' has 3 items, which 2 processes cannot share evenly. Give each the same number of them, or join those of one process by commas."),
        ({"process": {"devices": ["cuda:0"], "env": {"CUDA_VISIBLE_DEVICES": "0"}}}, "'process.env.CUDA_VISIBLE_DEVICES' is what 'process.devices' says too. Keep the one that is meant."),
        ({"parameters": {"verison": "1"}}, "line 3: 'parameters.verison' is not a setting of srv. Did you mean 'version'?"),
        ({"parameters": {"threshold": 3}}, "line 3: 'parameters.threshold' is not a setting of srv. Settings of the runtime's own go under 'parameters.extra'."),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)  # fmt: skip
def test_settings_that_no_model_can_have_are_one_sentence(read, file, sentence):
    said = str(refused(read, file))
    assert said in (f"m/model-settings.json, {sentence}", f"m/model-settings.json: {sentence}")


def test_what_is_missing_is_told_as_missing(read):
    assert isinstance(refused(read, {"inputs": [{"name": "x"}]}), MissingSetting)


@pytest.mark.parametrize("name", ["a", "0", "_", "iris-2.1_b", "A" * 128, "statsx", "Docs"])
def test_a_model_may_be_called(name):
    assert is_model_name(name)


@pytest.mark.parametrize(
    "name", ["", ".a", "-a", "a/b", "a b", "a\n", "ä", "A" * 129, "stats", "docs", "..", "a%20b"], ids=repr
)
def test_no_model_may_be_called(name):
    assert not is_model_name(name)


def test_a_models_own_settings_are_over_the_defaults_key_by_key():
    defaults = {
        ("concurrency",): 1,
        ("platform",): "x",
        ("parameters", "format"): "a",
        ("parameters", "extra"): {"a": 1},
    }
    own = {("concurrency",): 2, ("parameters", "extra"): {"b": 2}}
    assert with_defaults(defaults, own) == {
        ("concurrency",): 2,
        ("platform",): "x",
        ("parameters", "format"): "a",
        ("parameters", "extra"): {"b": 2},
    }


@pytest.mark.parametrize("own", [{("runtime",): "b"}, {("implementation",): "b.B"}], ids=str)
@pytest.mark.parametrize("default", [{("runtime",): "a"}, {("implementation",): "a.A"}], ids=str)
def test_a_model_that_says_what_runs_it_takes_neither_from_the_defaults(own, default):
    assert with_defaults(default, own) == own


def test_defaults_never_give_what_tells_models_apart():
    defaults = {("name",): "a", ("parameters", "version"): "1", ("parameters", "uri"): "x", ("runtime",): "r"}
    assert with_defaults(defaults, {}) == {("runtime",): "r"}


def test_the_place_gives_name_and_version_where_the_settings_do_not():
    settings = model_settings({("runtime",): "r"}, name="m", version="3", folder=Path("m/3"), source="m/3")
    assert (settings.name, settings.version) == ("m", "3")
    own = {("name",): "x", ("parameters", "version"): "4"}
    settings = model_settings(own, name="m", version="3", folder=Path("m/3"), source="m/3")
    assert (settings.name, settings.version) == ("x", "4")


def test_a_process_is_off_true_or_an_object(read, tmp_path):
    assert read({}).process is read({"process": False}).process is read({"process": None}).process is None
    assert read({"process": True}).process == read({"process": {}}).process == ProcessSettings()
    given = {
        "count": 2,
        "environment": "envs/old.tar.gz",
        "env": {"OMP_NUM_THREADS": "4", "EMPTY": ""},
        "devices": ["cuda:0", "cuda:1,2"],
        "cpus": ["0-1,4"],
        "memory": "1.5GiB",
        "start_timeout": 5,
    }
    assert read({"process": given}).process == ProcessSettings(
        count=2,
        environment=tmp_path / "envs/old.tar.gz",
        env={"OMP_NUM_THREADS": "4", "EMPTY": ""},
        devices=("cuda:0", "cuda:1,2"),
        cpus=("0-1,4",),
        memory=3 * 2**29,
        start_timeout=5.0,
    )


@pytest.mark.parametrize(
    "said, size",
    [
        (1, 1),
        ("17", 17),
        ("2GB", 2 * 10**9),
        ("2 GB", 2 * 10**9),
        ("2gib", None),
        ("0.5k", 500),
        ("1Mi", 2**20),
        ("0", None),
        ("1.0005K", None),
        (2.5, None),
    ],
)
def test_a_size_is_an_integer_or_has_a_unit(read, said, size):
    file = {"process": {"memory": said}}
    if size is None:
        assert "must be a number of bytes above 0" in str(refused(read, file))
    else:
        assert read(file).process.memory == size


@pytest.mark.parametrize(
    "own, process",
    [
        ({}, ProcessSettings(count=3)),
        ({("process", "enabled"): True}, ProcessSettings(count=3)),
        ({("process", "enabled"): False}, None),
        ({("process",): None}, None),
        ({("process", "enabled"): True, ("process", "memory"): 7}, ProcessSettings(count=3, memory=7)),
    ],
    ids=["nothing", "true", "false", "null", "another key"],
)
def test_each_key_of_a_process_counts_on_its_own_over_the_defaults(own, process):
    leaves = with_defaults({("process", "enabled"): True, ("process", "count"): 3}, own)
    assert model_settings(leaves, name="m", version=None, folder=Path("m"), source="m").process == process
