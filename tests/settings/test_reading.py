import json
from pathlib import Path

import pytest

from srv.settings import PluginSettings, ServerSettings, read_server_settings
from srv.settings.errors import (
    ContradictorySettings,
    FolderMissing,
    MissingSetting,
    SettingError,
    UnknownSetting,
    WrongSetting,
)
from srv.settings.schemas import PluginsSchema, ServerSchema, is_loopback


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read the settings of a folder whose settings.json holds what is given, on a machine with memory enough."""
    monkeypatch.setattr("srv.settings.in_force.inflight_share", lambda workers: None)

    def read(file=None, *, flags=None, environ=None, sections=()):
        if file is not None:
            text = file if isinstance(file, str) else json.dumps(file, indent=1)
            (tmp_path / "settings.json").write_text(text)
        return read_server_settings(tmp_path, flags=flags, environ=environ or {}, plugin_sections=sections)

    return read


def refused(read, *arguments, **keywords):
    with pytest.raises(SettingError) as caught:
        read(*arguments, **keywords)
    return caught.value


def test_a_folder_without_settings_has_the_defaults(read, tmp_path):
    assert read() == ServerSettings(folder=tmp_path)


def test_the_defaults_are_those_of_the_contract():
    settings = ServerSettings(folder=Path())
    assert settings.server_name == "srv"
    assert settings.host == "127.0.0.1"
    assert (settings.http_port, settings.workers, settings.threads, settings.grpc_threads) == (8080, 1, 16, 16)
    assert settings.models_dir is None
    assert settings.load_models_at_startup is True
    assert settings.on_load_error == "exit"
    assert (settings.max_body_size, settings.max_inflight_bytes) == (268435456, 2147483648)
    assert (settings.max_queue, settings.max_streams, settings.max_requests) == (1000, 8, 0)
    assert (settings.request_timeout, settings.load_timeout) == (60, 600)
    assert (settings.header_timeout, settings.body_timeout, settings.keep_alive) == (10, 60, 75)
    assert (settings.worker_timeout, settings.graceful_timeout, settings.drain_delay) == (60, 25, 0)
    assert (settings.root_path, settings.pass_headers, settings.cors_settings, settings.tls) == ("", (), None, None)
    assert (settings.log_format, settings.access_log, settings.trace_plugins) == ("text", True, False)
    assert settings.plugins == PluginSettings(disable=(), only=None, prefer={}, strict=False)


def test_every_setting_is_in_the_schema_and_every_key_of_the_schema_is_a_setting():
    beside = {"folder", "root_name", "sections", "model_defaults", "environment_model", "origins", "notes"}
    assert set(ServerSchema().fields) == set(ServerSettings.__struct_fields__) - beside
    assert set(PluginsSchema().fields) == set(PluginSettings.__struct_fields__)


def test_every_key_says_what_it_means():
    for schema in (ServerSchema(), PluginsSchema()):
        for field in schema.fields.values():
            assert field.metadata["description"].endswith((".", "`."))


def test_a_flag_is_over_a_variable_over_the_file_over_the_default(read, tmp_path):
    file = {"http_port": 1, "workers": 1, "threads": 1}
    settings = read(file, environ={"SRV_HTTP_PORT": "2", "SRV_WORKERS": "2"}, flags={"http_port": 3})
    assert (settings.http_port, settings.workers, settings.threads, settings.backlog) == (3, 2, 1, 2048)
    assert settings.origin("http_port") == "--http-port"
    assert settings.origin("workers") == "SRV_WORKERS"
    assert settings.origin("threads") == str(tmp_path / "settings.json")
    assert settings.origin("backlog") == "default"


def test_each_key_of_a_section_counts_on_its_own(read, tmp_path):
    file = {"plugins": {"disable": ["noisy"], "strict": False}}
    settings = read(file, environ={"SRV_PLUGINS__STRICT": "true"})
    assert settings.plugins == PluginSettings(disable=("noisy",), strict=True)
    assert settings.origin("plugins.disable") == str(tmp_path / "settings.json")
    assert settings.origin("plugins.strict") == "SRV_PLUGINS__STRICT"


def test_a_nested_variable_is_over_the_variable_of_the_whole_section(read):
    environ = {"SRV_PLUGINS": '{"strict": false, "only": ["a"]}', "SRV_PLUGINS__STRICT": "true"}
    assert read(environ=environ).plugins == PluginSettings(only=("a",), strict=True)


WRONG = {
    "a fraction for an integer": ({"http_port": 4.7}, "'http_port' must be an integer from 0 to 65535, not 4.7."),
    "an integer as a float": ({"workers": 4.0}, "'workers' must be an integer of 1 or more, not 4.0."),
    "a boolean for an integer": ({"http_port": True}, "'http_port' must be an integer from 0 to 65535, not true."),
    "a text for an integer": (
        {"http_port": "8080"},
        "'http_port' must be an integer from 0 to 65535, not the text '8080'.",
    ),
    "null for an integer": ({"http_port": None}, "'http_port' must be an integer from 0 to 65535, not null."),
    "a port too high": ({"http_port": 65536}, "'http_port' must be an integer from 0 to 65535, not 65536."),
    "a port too low": ({"http_port": -1}, "'http_port' must be an integer from 0 to 65535, not -1."),
    "no worker": ({"workers": 0}, "'workers' must be an integer of 1 or more, not 0."),
    "no thread": ({"threads": 0}, "'threads' must be an integer of 1 or more, not 0."),
    "on for a boolean": ({"access_log": "on"}, "'access_log' must be true or false, not the text 'on'."),
    "one for a boolean": ({"access_log": 1}, "'access_log' must be true or false, not 1."),
    "no time": ({"request_timeout": 0}, "'request_timeout' must be a number of seconds above 0, not 0."),
    "a time below zero": ({"keep_alive": -1}, "'keep_alive' must be a number of seconds, 0 or more, not -1."),
    "a time without end": (
        '{"keep_alive": 1e999}',
        "'keep_alive' must be a number of seconds, 0 or more, not Infinity.",
    ),
    "a boolean for a time": ({"keep_alive": True}, "'keep_alive' must be a number of seconds, 0 or more, not true."),
    "a choice that is none": ({"log_format": "xml"}, "'log_format' must be 'text' or 'json', not the text 'xml'."),
    "a level that is none": (
        {"log_level": "loud"},
        "'log_level' must be one of debug, info, warning, error, critical, not the text 'loud'.",
    ),
    "an empty host": (
        {"host": ""},
        "'host' must be an address, a host name or unix:/path, not the text ''.",
    ),
    "a host with a port": (
        {"host": "localhost:80"},
        "'host' must be an address, a host name or unix:/path, not the text 'localhost:80'.",
    ),
    "a socket without a path": (
        {"host": "unix:"},
        "'host' must be an address, a host name or unix:/path, not the text 'unix:'.",
    ),
    "a section that is no object": ({"plugins": []}, "'plugins' must be an object, not []."),
    "an item of a list": (
        {"plugins": {"disable": ["a", 3]}},
        "'plugins.disable[1]' must be a text that is not empty, not 3.",
    ),
    "a text for a list": (
        {"plugins": {"disable": "noisy"}},
        "'plugins.disable' must be a list of names, not the text 'noisy'.",
    ),
    "a value of a table": (
        {"plugins": {"prefer": {"runtime:a": None}}},
        "'plugins.prefer.runtime:a' must be a text that is not empty, not null.",
    ),
    "a list for a table": (
        {"plugins": {"prefer": ["a"]}},
        "'plugins.prefer' must be an object of names of distributions, not [\"a\"].",
    ),
    "a long value": (
        {"log_format": "x" * 100},
        f"'log_format' must be 'text' or 'json', not the text '{'x' * 59}…'.",
    ),
}


@pytest.mark.parametrize("file, sentence", WRONG.values(), ids=WRONG)
def test_a_value_that_a_setting_cannot_take_is_one_sentence_with_file_line_and_key(read, tmp_path, file, sentence):
    error = refused(read, file)
    assert isinstance(error, WrongSetting)
    place, _, rest = str(error).partition(": ")
    assert place.startswith(f"{tmp_path / 'settings.json'}, line ")
    assert rest == sentence


@pytest.mark.parametrize("file, sentence", WRONG.values(), ids=WRONG)
def test_the_sentence_for_others_does_not_show_the_value(read, file, sentence):
    assert refused(read, file).public.endswith(sentence.rpartition(", not ")[0] + ".")


def test_the_line_is_that_of_the_key(read, tmp_path):
    error = refused(read, '{\n "workers": 2,\n "http_port": "x"\n}')
    assert str(error).startswith(f"{tmp_path / 'settings.json'}, line 3: 'http_port'")


def test_the_first_mistake_in_the_file_is_the_one_that_is_told(read):
    assert "'workers'" in str(refused(read, {"workers": "x", "http_port": "x"}))


@pytest.mark.parametrize(
    "file, advice",
    [
        ({"htp_port": 1}, "'htp_port' is not a setting of srv. Did you mean 'http_port'?"),
        ({"zzz": 1}, "'zzz' is not a setting of srv. Take it out."),
        ({"plugins": {"strct": True}}, "'plugins.strct' is not a setting of srv. Did you mean 'strict'?"),
        ({"metric": {}}, "'metric' is not a setting of srv. Did you mean 'metrics'?"),
        (
            {"zebra": {}},
            "Take it out, install the plugin, or name it in plugins.optional where the server may run without it.",
        ),
        (
            {"implementation": "m.M"},
            "'implementation' is not a setting of srv. It is a model's, and belongs in its model-settings.json.",
        ),
        (
            {"parallel_workers": 4},
            "'parallel_workers' is not a setting of srv. It is one of MLServer's: srv's is 'workers'.",
        ),
        ({"debug": True}, "'debug' is not a setting of srv. It is one of MLServer's: srv's is 'log_level'."),
        (
            {"model_repository_root": "."},
            "'model_repository_root' is not a setting of srv. It is one of MLServer's: srv's is 'models_dir'.",
        ),
        (
            {"cache_enabled": True},
            "srv's is the plugin 'cache', which is on where settings.json has a section 'cache'.",
        ),
        (
            {"cache_size": 100},
            "srv's is 'max_bytes' in the section of the plugin 'cache'.",
        ),
        (
            {"kafka_enabled": True},
            "'kafka_enabled' is not a setting of srv. It is one of MLServer's that srv has nothing like: take it out.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_unknown_key_is_refused_with_what_is_near(read, file, advice):
    error = refused(read, file, sections=["metrics"])
    assert isinstance(error, UnknownSetting)
    assert str(error).endswith(advice)


def test_settings_that_mlserver_has_too_are_taken(read):
    settings = read({"host": "0.0.0.0", "http_port": 9, "load_models_at_startup": False, "server_name": "mine"})
    assert (settings.host, settings.http_port, settings.load_models_at_startup) == ("0.0.0.0", 9, False)


def test_the_section_of_a_plugin_passes_through_as_it_is(read):
    settings = read({"metrics": {"buckets": [1, 2.5], "deep": {"a": None}}}, sections=["metrics", "other"])
    assert settings.sections == {"metrics": {"buckets": [1, 2.5], "deep": {"a": None}}}


def test_an_empty_section_stays_a_section(read):
    assert read({"metrics": {}}, sections=["metrics"]).sections == {"metrics": {}}


def test_the_section_of_a_plugin_is_an_object(read):
    assert str(refused(read, {"metrics": 3}, sections=["metrics"])).endswith(
        "'metrics' must be an object, the plugin's settings, not 3."
    )


def test_a_flag_out_of_range_is_named_as_it_was_typed(read):
    sentence = "--http-port must be an integer from 0 to 65535, not 70000."
    assert str(refused(read, flags={"http_port": 70000})) == sentence


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(FolderMissing) as caught:
        read_server_settings(tmp_path / "gone", environ={})
    assert str(caught.value) == f"The folder '{tmp_path / 'gone'}' is not there. Name a folder that exists."


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderMissing, match="is not a folder"):
        read_server_settings(tmp_path / "file", environ={})


def test_the_models_folder_of_the_file_is_meant_from_where_the_file_is(read, tmp_path):
    (tmp_path / "models").mkdir()
    assert read({"models_dir": "models"}).models_dir == tmp_path / "models"


def test_a_models_folder_that_a_file_or_a_flag_names_must_be_there(read, tmp_path):
    assert str(refused(read, {"models_dir": "gone"})) == (
        f"{tmp_path / 'settings.json'}, line 2: 'models_dir' names a folder that cannot be used: "
        f"'{tmp_path / 'gone'}' is not there. Name a folder that exists."
    )
    (tmp_path / "settings.json").unlink()
    assert str(refused(read, flags={"models_dir": "/gone/away"})).startswith("--models-dir names a folder that cannot")


def test_a_models_folder_that_a_variable_names_need_not_be_there_and_is_no_file(read, tmp_path):
    assert read(environ={"SRV_MODELS_DIR": "/gone/away"}).models_dir == Path("/gone/away")
    (tmp_path / "file").touch()
    error = refused(read, environ={"SRV_MODELS_DIR": str(tmp_path / "file")})
    assert str(error).startswith("SRV_MODELS_DIR names a folder that cannot be used")


@pytest.mark.parametrize(
    "host, only_here",
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("unix:/run/srv.sock", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_models_may_be_loaded_over_the_wire_where_only_this_machine_can_ask(read, host, only_here):
    assert is_loopback(host) is only_here
    assert read({"host": host}).model_control is only_here
    assert read({"host": host, "model_control": not only_here}).model_control is not only_here


def test_a_host_may_be_a_unix_socket(read):
    settings = read({"host": "unix:/run/srv.sock"})
    assert settings.is_on_unix_socket()
    assert not read({"host": "0.0.0.0"}).is_on_unix_socket()


def test_drain_delay_and_what_requests_have_after_it_fit_into_kubernetes_30_seconds(read):
    assert read({}).graceful_timeout == 25
    assert read({"drain_delay": 5}).graceful_timeout == 20
    assert read({"drain_delay": 60}).graceful_timeout == 1
    assert read({"drain_delay": 5, "graceful_timeout": 100}).graceful_timeout == 100


def test_half_the_threads_may_be_streams(read):
    assert read({"threads": 6}).max_streams == 3
    assert read({"threads": 1}).max_streams == 1
    assert read({"threads": 6, "max_streams": 5}).max_streams == 5


def test_two_faces_cannot_have_one_port(read):
    error = refused(read, {"http_port": 9}, flags={"grpc_port": 9})
    assert isinstance(error, ContradictorySettings)
    assert str(error).endswith("and 'grpc_port' (--grpc-port) are both 9. Give one of them another port.")
    assert read({"http_port": 0, "grpc_port": 0}).grpc_port == 0
    assert read({"host": "unix:/a", "http_port": 9, "grpc_port": 9}).grpc_port == 9


def test_a_certificate_comes_with_its_key(read, tmp_path):
    tls = read({"tls": {"certfile": "a.pem", "keyfile": "/b.pem"}}).tls
    assert (tls.certfile, tls.keyfile) == (tmp_path / "a.pem", Path("/b.pem"))
    error = refused(read, {"tls": {"certfile": "a.pem"}})
    assert isinstance(error, MissingSetting)
    assert str(error) == "'tls.keyfile' is missing; TLS needs a certificate and its key."


def test_tls_says_what_it_takes_of_clients(read, tmp_path):
    pair = {"certfile": "a.pem", "keyfile": "b.pem"}
    tls = read({"tls": pair}).tls
    assert (tls.min_version, tls.ciphers, tls.client_ca) == ("1.2", None, None)
    tls = read(
        {"tls": {**pair, "ciphers": "ECDHE+AESGCM", "client_ca": "ca.pem"}}, environ={"SRV_TLS__MIN_VERSION": "1.3"}
    ).tls
    assert (tls.min_version, tls.ciphers, tls.client_ca) == ("1.3", "ECDHE+AESGCM", tmp_path / "ca.pem")
    assert "'tls.min_version' must be '1.2' or '1.3', not" in str(
        refused(read, {"tls": {**pair, "min_version": "1.1"}})
    )


def test_null_takes_back_a_section_that_lies_below(read):
    assert read({"tls": {"certfile": "a", "keyfile": "b"}}, environ={"SRV_TLS": "null"}).tls is None


@pytest.mark.parametrize("path", ["a", "/a/", "/", "/a b", "/a?b", "//a"])
def test_a_root_path_begins_with_a_slash_and_does_not_end_with_one(read, path):
    assert "'root_path' must be empty, or a path" in str(refused(read, {"root_path": path}))
    assert read({"root_path": "/a/b"}).root_path == "/a/b"


RENAMED = {"cache": "cache", "srv-inference:cache": "srv-inference:cache", "remember": "cache"}


def test_a_section_under_a_plugins_old_name_is_taken_for_the_new_one_and_told(read, tmp_path):
    settings = read({"remember": {"models": ["a"]}}, environ={"SRV_REMEMBER__SECONDS": "3"}, sections=RENAMED)
    assert settings.sections == {"cache": {"models": ["a"], "seconds": 3}}
    assert settings.origin("cache.models") == f"{tmp_path}/settings.json"
    assert settings.origin("cache.seconds") == "SRV_REMEMBER__SECONDS"
    assert settings.notes == (
        f"{tmp_path}/settings.json: the plugin 'remember' is now called 'cache'. Rename its section.",
    )


def test_a_variable_under_a_plugins_old_name_is_told(read):
    settings = read(environ={"SRV_REMEMBER__MODELS": '["a"]'}, sections=RENAMED)
    assert settings.sections == {"cache": {"models": ["a"]}}
    assert settings.notes == ("SRV_REMEMBER__MODELS: the plugin 'remember' is now called 'cache'. Rename its section.",)


def test_sections_under_the_old_and_the_new_name_are_refused(read):
    with pytest.raises(ContradictorySettings, match=r"'remember' and 'cache', .* Keep 'cache'\."):
        read({"remember": {}, "cache": {}}, sections=RENAMED)
