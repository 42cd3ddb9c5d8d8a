import json

import pytest

from srv.settings import read_server_settings
from srv.settings.errors import ContradictorySettings, SettingError


@pytest.fixture
def read(tmp_path):
    """Read the settings that an environment gives."""

    def read(sections=(), **environ):
        return read_server_settings(tmp_path, environ=environ, plugin_sections=sections)

    return read


@pytest.mark.parametrize(
    "name, text, key, value",
    [
        ("SRV_HTTP_PORT", "9000", "http_port", 9000),
        ("SRV_SERVER_NAME", "8080", "server_name", "8080"),
        ("SRV_SERVER_NAME", "null", "server_name", "null"),
        ("SRV_ACCESS_LOG", "false", "access_log", False),
        ("SRV_ACCESS_LOG", "True", "access_log", True),
        ("SRV_ACCESS_LOG", "0", "access_log", False),
        ("SRV_REQUEST_TIMEOUT", "2.5", "request_timeout", 2.5),
        ("SRV_REQUEST_TIMEOUT", "3", "request_timeout", 3.0),
        ("SRV_GRPC_PORT", "null", "grpc_port", None),
        ("SRV_MODELS_DIR", "null", "models_dir", None),
        ("SRV_LOG_LEVEL", "debug", "log_level", "debug"),
        ("SRV_ROOT_PATH", "", "root_path", ""),
        ("SRV_PASS_HEADERS", "[]", "pass_headers", ()),
    ],
)
def test_a_variable_is_read_as_its_setting_takes_it(read, name, text, key, value):
    settings = read(**{name: text})
    assert getattr(settings, key) == value
    assert settings.origin(key) == name


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("SRV_HTTP_PORT", "abc", "SRV_HTTP_PORT must be an integer from 0 to 65535, not the text 'abc'."),
        ("SRV_HTTP_PORT", "", "SRV_HTTP_PORT must be an integer from 0 to 65535, not the text ''."),
        ("SRV_HTTP_PORT", "8080.0", "SRV_HTTP_PORT must be an integer from 0 to 65535, not the text '8080.0'."),
        ("SRV_HTTP_PORT", "8_080", "SRV_HTTP_PORT must be an integer from 0 to 65535, not the text '8_080'."),
        ("SRV_HTTP_PORT", "99999", "SRV_HTTP_PORT must be an integer from 0 to 65535, not 99999."),
        ("SRV_ACCESS_LOG", "on", "SRV_ACCESS_LOG must be true or false, not the text 'on'."),
        ("SRV_MODELS_DIR", "", "SRV_MODELS_DIR must be the path of a folder or null, not the text ''."),
        ("SRV_KEEP_ALIVE", "soon", "SRV_KEEP_ALIVE must be a number of seconds, 0 or more, not the text 'soon'."),
        ("SRV_KEEP_ALIVE", '"5"', "SRV_KEEP_ALIVE must be a number of seconds, 0 or more, not the text '5'."),
        ("SRV_KEEP_ALIVE", "NaN", "SRV_KEEP_ALIVE must be a number of seconds, 0 or more, not NaN."),
        ("SRV_PLUGINS__DISABLE", "a,b", "SRV_PLUGINS__DISABLE must be a list of names, not the text 'a,b'."),
        ("SRV_PLUGINS", "[]", "SRV_PLUGINS must be an object, not []."),
        ("SRV_PLUGINS", '{"strict": "on"}', "SRV_PLUGINS: 'plugins.strict' must be true or false, not the text 'on'."),
        (
            "SRV_PLUGINS",
            '{"strct": true}',
            "SRV_PLUGINS: 'plugins.strct' is not a setting of srv. Did you mean 'strict'?",
        ),
        (
            "SRV_PLUGINS__DISABLE",
            '["a", 1]',
            "SRV_PLUGINS__DISABLE: 'plugins.disable[1]' must be a text that is not empty, not 1.",
        ),
        ("SRV_MODEL__CONCURRENCY", "0", "SRV_MODEL__CONCURRENCY must be an integer of 1 or more or null, not 0."),
        (
            "SRV_MODEL__IMPLEMENTATION",
            "sklearn",
            "SRV_MODEL__IMPLEMENTATION must be a module and a class, such as 'models.MyRuntime', not the text 'sklearn'.",
        ),
    ],
)
def test_a_variable_that_its_setting_cannot_take_is_one_sentence(read, name, text, sentence):
    with pytest.raises(SettingError) as caught:
        read(**{name: text})
    assert str(caught.value) == sentence


def test_what_kubernetes_injects_for_a_service_is_ignored_with_one_line(read):
    settings = read(
        SRV_PORT="tcp://10.0.0.1:8080",
        SRV_PORT_8080_TCP="tcp://10.0.0.1:8080",
        SRV_PORT_8080_TCP_ADDR="10.0.0.1",
        SRV_PORT_8080_TCP_PORT="8080",
        SRV_PORT_8080_TCP_PROTO="tcp",
        SRV_SERVICE_HOST="10.0.0.1",
        SRV_SERVICE_PORT="8080",
        SRV_SERVICE_PORT_HTTP="8080",
        SRV_HTTP_PORT="tcp://10.0.0.2:80",
        SRV_HTTP_SERVICE_HOST="10.0.0.2",
    )
    assert settings.http_port == 8080
    assert settings.origin("http_port") == "default"
    [note] = settings.notes
    assert note.startswith("Ignored SRV_HTTP_PORT, SRV_HTTP_SERVICE_HOST, SRV_PORT, ")
    assert note.endswith(": Kubernetes sets such variables for a Service, they are no settings.")


@pytest.mark.parametrize(
    "name, note",
    [
        ("SRV_WORKRS", "SRV_WORKRS is not a setting of srv and is ignored. Did you mean 'SRV_WORKERS'?"),
        ("SRV_ZZZZZZ", "SRV_ZZZZZZ is not a setting of srv and is ignored."),
        ("SRV_workers", "SRV_workers is not a setting of srv and is ignored."),
        (
            "SRV_PARALLEL_WORKERS",
            "SRV_PARALLEL_WORKERS is not a setting of srv and is ignored. It is one of MLServer's: srv's is 'workers'.",
        ),
        (
            "SRV_PLUGINS__STRICKT",
            "SRV_PLUGINS__STRICKT is not a setting of srv and is ignored. Did you mean 'SRV_PLUGINS__STRICT'?",
        ),
        (
            "SRV_MODEL__RUNTME",
            "SRV_MODEL__RUNTME is not a setting of srv and is ignored. Did you mean 'SRV_MODEL__RUNTIME'?",
        ),
        ("SRV_MODEL__NAME", "SRV_MODEL__NAME is ignored: it cannot be a default for all models."),
        (
            "SRV_MODEL__PARAMETERS__VERSION",
            "SRV_MODEL__PARAMETERS__VERSION is ignored: it cannot be a default for all models.",
        ),
        (
            "SRV_MODEL__PARAMETERS__URI",
            "SRV_MODEL__PARAMETERS__URI is ignored: it cannot be a default for all models.",
        ),
    ],
)
def test_an_unknown_variable_is_one_warning_with_the_nearest(read, name, note):
    assert read(**{name: "1"}).notes == (note,)


def test_other_programs_variables_are_no_concern(read):
    assert read(HOME="/root", SRVX="1", MLSERVER_HTTP_PORT="1").notes == ()


def test_models_have_defaults_from_the_environment(read):
    settings = read(
        SRV_MODEL__RUNTIME="sklearn",
        SRV_MODEL__PARAMETERS__CONTENT_TYPE="np",
        SRV_MODEL__PARAMETERS__EXTRA='{"a": 1}',
        SRV_MODEL__INPUTS=json.dumps([{"name": "x", "datatype": "FP32"}]),
    )
    assert settings.model_defaults == {
        ("runtime",): "sklearn",
        ("parameters", "content_type"): "np",
        ("parameters", "extra"): {"a": 1},
        ("inputs",): ({"name": "x", "datatype": "FP32"},),
    }
    assert settings.origin("model.parameters.content_type") == "SRV_MODEL__PARAMETERS__CONTENT_TYPE"


def test_models_cannot_have_a_runtime_and_an_implementation_by_default(read):
    with pytest.raises(ContradictorySettings, match="SRV_MODEL__RUNTIME and SRV_MODEL__IMPLEMENTATION are both given"):
        read(SRV_MODEL__RUNTIME="sklearn", SRV_MODEL__IMPLEMENTATION="models.M")


def test_a_plugin_has_settings_from_the_environment(read):
    settings = read(
        ["my-plugin"], SRV_MY_PLUGIN__LIMIT="3", SRV_MY_PLUGIN__NAMES='["a"]', SRV_MY_PLUGIN__WORD="plain text"
    )
    assert settings.sections == {"my-plugin": {"limit": 3, "names": ["a"], "word": "plain text"}}
    assert settings.origin("my-plugin.limit") == "SRV_MY_PLUGIN__LIMIT"


def test_a_plugins_section_may_be_one_variable(read):
    assert read(["metrics"], SRV_METRICS='{"a": {"b": 1}}').sections == {"metrics": {"a": {"b": 1}}}
    with pytest.raises(SettingError, match="SRV_METRICS must be an object, the plugin's settings as JSON"):
        read(["metrics"], SRV_METRICS="3")
