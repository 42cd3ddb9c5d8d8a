"""Settings in MLServer's dialect: what its keys and variables mean, and that each one without effect is named once."""

import json

import pytest

from srv.settings import mlserver_keys, read_server_settings
from srv.settings.dialect import Dialect, dialect_of, read_variables
from srv.settings.documents import Document
from srv.settings.errors import SettingError
from srv.settings.schemas import CorsSchema, ModelSchema, ParametersSchema, ServerSchema

INSTALLED = ("mlserver",)
METRICS = "'metrics_endpoint', on the HTTP port"
MLSERVER = Dialect("mlserver")


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setattr("srv.settings.in_force.inflight_share", lambda workers: None)

    def read(file=None, environ=None, sections=INSTALLED):
        if file is not None:
            (tmp_path / "settings.json").write_text(json.dumps(file, indent=1))
        return read_server_settings(tmp_path, environ=environ or {}, plugin_sections=sections)

    return read


MEANINGS = [
    ("debug", True, "log_level", "debug"),
    ("debug", "false", "log_level", "info"),
    ("debug", 1, "log_level", "debug"),
    ("parallel_workers", 0, "workers", 1),
    ("parallel_workers", "3", "workers", 3),
    ("parallel_workers_timeout", 7, "graceful_timeout", 7.0),
    ("grpc_max_message_length", 1000, "max_body_size", 1000),
    ("grpc_max_message_length", -1, "max_body_size", 268435456),
    ("grpc_max_message_length", None, "max_body_size", 268435456),
    ("use_structured_logging", True, "log_format", "json"),
    ("use_structured_logging", "0", "log_format", "text"),
]


@pytest.mark.parametrize("key, value, setting, becomes", MEANINGS)
def test_a_key_of_mlservers_is_the_setting_that_it_means(read, key, value, setting, becomes):
    assert getattr(read({"dialect": "mlserver", key: value}), setting) == becomes
    assert getattr(read({"dialect": None, key: value}), setting) == becomes


@pytest.mark.parametrize("key", sorted({key for key, each in mlserver_keys.SERVER.items() if each.to is None}))
def test_a_key_without_effect_is_named_in_a_note(read, key):
    (note,) = read({"dialect": "mlserver", key: "x"}).notes

    assert f"of MLServer's settings '{key}'" in note
    assert note.endswith("has no effect here.")


def test_all_keys_without_effect_are_in_one_note_with_what_srv_has_in_their_place(read, tmp_path):
    settings = read(
        {"kafka_enabled": True, "metrics_port": 8082, "tracing_server": "x", "http_port": "9000", "oddity": 1}
    )

    assert settings.http_port == 9000
    assert [*settings.notes] == [
        (
            f"{tmp_path}/settings.json: of MLServer's settings 'kafka_enabled', 'metrics_port' (srv has {METRICS}), 'oddity', "
            "'tracing_server' have no effect here."
        )
    ]


def test_srvs_own_key_counts_where_mlservers_says_the_same_thing(read):
    settings = read({"workers": 2, "parallel_workers": 5, "log_level": "error", "debug": True})
    assert (settings.workers, settings.log_level) == (2, "error")


@pytest.mark.parametrize("file, sections", [({"debug": True}, ()), ({"debug": True, "dialect": "srv"}, INSTALLED)])
def test_without_the_plugin_and_with_the_dialect_srv_a_key_of_mlservers_is_refused(read, file, sections):
    with pytest.raises(
        SettingError, match=r"'debug' is not a setting of srv. It is one of MLServer's: srv's is 'log_level'"
    ):
        read(file, sections=sections)


def test_a_file_without_a_key_of_mlservers_is_read_strictly(read):
    with pytest.raises(SettingError, match=r"'http_prot' is not a setting of srv. Did you mean 'http_port'"):
        read({"http_prot": 8081})
    with pytest.raises(SettingError, match="'http_port' must be an integer"):
        read({"http_port": "8081"})


def test_the_dialect_may_be_said_by_a_variable(read):
    assert read({"debug": True}, {"SRV_DIALECT": "mlserver"}, sections=()).log_level == "debug"
    with pytest.raises(SettingError):
        read({"debug": True}, {"SRV_DIALECT": "srv"})


@pytest.mark.parametrize("key, value", [("debug", "perhaps"), ("parallel_workers", "many"), ("parallel_workers", 1.5)])
def test_a_value_that_means_nothing_is_refused_with_the_key_as_it_stands_in_the_file(read, key, value):
    with pytest.raises(SettingError, match=f"line 2: '{key}' must be a value that MLServer takes, not "):
        read({key: value, "kafka_enabled": False})


def test_cors_settings_keep_what_srv_has(read):
    settings = read({"dialect": "mlserver", "cors_settings": {"allow_origins": ["https://a.example"], "max_age": 3}})

    assert settings.cors_settings.allow_origins == ("https://a.example",)
    assert "'cors_settings.max_age' has no effect" in settings.notes[0]


def test_a_plugins_section_stays_as_it_is(read):
    settings = read({"debug": True, "mlserver": {"prefer_native": True}})
    assert settings.sections == {"mlserver": {"prefer_native": True}}


# -- models ------------------------------------------------------------------------------------------------------------


def of_model(values, dialect=MLSERVER):
    return dialect.model_document(Document(values, json.dumps(values), "m/model-settings.json"))


def test_a_models_keys_are_made_of_the_kinds_that_srv_takes_and_what_is_nothing_goes():
    document = of_model(
        {
            "name": "m",
            "platform": None,
            "versions": ["a/1"],
            "parallel_workers": 2,
            "max_batch_size": "5",
            "max_batch_time": "0.5",
            "inputs": [],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": None, "tags": ["a"]}],
            "parameters": {"uri": "", "version": None, "extra": None, "weight": 2, "environment_tarball": "env.tar.gz"},
        }
    )

    assert document.values == {
        "name": "m",
        "max_batch_size": 5,
        "max_batch_time": 0.5,
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1]}],
        "parameters": {"version": None},
        "process": {"environment": "env.tar.gz"},
    }
    assert [change.key for change in document.changes if change.to is None] == [
        "versions",
        "parallel_workers",
        "parameters.weight",
    ]


@pytest.mark.parametrize(
    "values", [{"versions": []}, {"parameters": {"inference_pool_gid": "a"}}, {"warm_workers": False}]
)
def test_a_models_file_is_mlservers_by_a_key_of_its_own_where_the_plugin_is_installed(values):
    assert of_model(values, Dialect(None, installed=True)).changes != ()
    assert of_model(values, Dialect(None, installed=False)).changes == ()
    assert of_model(values, Dialect("srv", installed=True)).changes == ()


# -- variables ---------------------------------------------------------------------------------------------------------


def test_variables_lie_between_the_file_and_srvs_own(read):
    settings = read({"http_port": 1}, {"MLSERVER_HTTP_PORT": "2", "MLSERVER_GRPC_PORT": "3", "SRV_GRPC_PORT": "4"})

    assert (settings.http_port, settings.grpc_port) == (2, 4)
    assert settings.origin("http_port") == "MLSERVER_HTTP_PORT"


def test_variables_of_mlserver_mean_what_its_keys_mean(read):
    settings = read(
        environ={
            "MLSERVER_DEBUG": "false",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_USE_STRUCTURED_LOGGING": "true",
            "MLSERVER_KAFKA_ENABLED": "false",
            "MLSERVER_ENV_TARBALL": "/x",
            "MLSERVER_MODEL_REPOSITORY_ROOT": "/y",
            "MLSERVER_MODELS_DIR": "/nowhere/at/all",
            "MLSERVER_PORT": "tcp://10.0.0.1:80",
            "MLSERVER_SERVICE_HOST": "10.0.0.1",
            "mlserver_server_name": "lower",
        }
    )

    assert (settings.log_level, settings.workers, settings.log_format) == ("info", 1, "json")
    assert (str(settings.models_dir), settings.server_name) == ("/nowhere/at/all", "lower")
    assert [*settings.notes] == [
        (
            "The environment: of MLServer's settings 'MLSERVER_ENV_TARBALL', 'MLSERVER_KAFKA_ENABLED', "
            "'MLSERVER_MODEL_REPOSITORY_ROOT' (srv has 'models_dir') have no effect here."
        )
    ]


def test_variables_of_mlserver_are_nothing_to_srv_alone(read):
    assert read(environ={"MLSERVER_HTTP_PORT": "2", "MLSERVER_MODEL_NAME": "m"}, sections=()).http_port == 8080


def test_a_wrong_value_of_a_variable_is_refused_with_its_name(read):
    with pytest.raises(SettingError, match="MLSERVER_HTTP_PORT must be an integer from 0 to 65535, not the text 'x'"):
        read(environ={"MLSERVER_HTTP_PORT": "x"})
    with pytest.raises(
        SettingError, match=r"MLSERVER_DEBUG.* must be a value that MLServer takes, not the text 'perhaps'"
    ):
        read(environ={"MLSERVER_DEBUG": "perhaps"})


def test_variables_of_a_model_are_defaults_for_all_and_one_model_of_its_own(read):
    settings = read(
        environ={
            "MLSERVER_MODEL_NAME": "m",
            "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
            "MLSERVER_MODEL_URI": "/mnt/models",
            "MLSERVER_MODEL_VERSION": "v1",
            "MLSERVER_MODEL_MAX_BATCH_SIZE": "8",
            "MLSERVER_MODEL_PARALLEL_WORKERS": "2",
            "MLSERVER_MODEL_EXTRA": '{"predict_fn": "predict_proba"}',
            "MLSERVER_MODEL_INPUTS": '[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]',
        }
    )

    assert settings.model_defaults[("implementation",)] == "mlserver_sklearn.SKLearnModel"
    assert settings.model_defaults[("max_batch_size",)] == 8
    assert not {("name",), ("parameters", "uri"), ("parameters", "version")} & settings.model_defaults.keys()
    assert settings.environment_model == {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "max_batch_size": 8,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "parameters": {"uri": "/mnt/models", "version": "v1", "extra": {"predict_fn": "predict_proba"}},
    }
    assert "MLSERVER_MODEL_PARALLEL_WORKERS" in settings.notes[0]


def test_srvs_own_runtime_for_all_models_is_over_a_class_of_mlservers_variables(read):
    settings = read(environ={"MLSERVER_MODEL_IMPLEMENTATION": "a.B", "SRV_MODEL__RUNTIME": "sklearn"})
    assert {path: value for path, value in settings.model_defaults.items() if len(path) == 1} == {
        ("runtime",): "sklearn"
    }


def test_a_relative_uri_of_the_environment_begins_where_the_server_starts(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read_variables({"MLSERVER_MODEL_URI": "m"}).model_alone()["parameters"]["uri"] == str(tmp_path / "m")
    assert read_variables({"MLSERVER_MODEL_URI": "s3://a/b"}).model_alone()["parameters"]["uri"] == "s3://a/b"


def test_variables_that_name_no_model_make_none():
    assert read_variables({"MLSERVER_MODEL_MAX_BATCH_SIZE": "3"}).model_alone() == {}


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table, schema",
    [
        (mlserver_keys.SERVER, ServerSchema),
        (mlserver_keys.CORS, CorsSchema),
        (mlserver_keys.MODEL, ModelSchema),
        (mlserver_keys.PARAMETERS, ParametersSchema),
    ],
)
def test_no_key_of_the_table_is_one_of_srvs_and_each_becomes_one_that_is(table, schema):
    assert not table.keys() & schema().fields.keys()
    heads = {each.to[0] for each in table.values() if each.to is not None}
    assert heads <= ServerSchema().fields.keys() | ModelSchema().fields.keys()


def test_the_dialect_of_a_wrong_word_is_none_so_that_the_word_itself_is_refused(read):
    assert dialect_of(None, {"SRV_DIALECT": "tritons"}, INSTALLED).said is None
    with pytest.raises(SettingError, match="SRV_DIALECT must be 'srv' or 'mlserver' or null"):
        read(environ={"SRV_DIALECT": "tritons"})
