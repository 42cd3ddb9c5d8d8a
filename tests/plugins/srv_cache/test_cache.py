"""The plugin cache, through the kit alone."""

import threading

import numpy as np
import pytest

from srv import InvalidInput, Runtime, Tensor
from srv.discovery import PluginBroken
from srv.testing import Binary, Client, model
from srv.testing.requests import as_request
from srv_cache import cache


class Counter(Runtime):
    """Tells how often it was asked."""

    writable_inputs = True

    def load(self):
        self.count = 0

    def predict(self, request):
        self.count += 1
        request.inputs[0].data[:] = 0
        return {"count": np.array([self.count]), "name": [self.name]}


class Refuser(Runtime):
    def load(self):
        self.count = 0

    def predict(self, request):
        self.count += 1
        raise InvalidInput(f"refused {self.count} times")


@pytest.fixture
def caching(srv_client, isolated_plugins):
    isolated_plugins()

    def make(*models, **settings):
        section = {"models": ["Counter", "Refuser", "other"], **settings}
        return srv_client(*(models or (Counter,)), settings={"cache": section})

    return make


def test_the_plugins_old_name_still_configures_it(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(Counter, settings={"remember": {"models": ["Counter"]}})
    assert [ask(client) for _ in range(2)] == [1, 1]


@pytest.mark.e2e
def test_the_plugins_old_name_is_told_at_the_start(srv_server):
    server = srv_server(Counter, settings={"remember": {"models": ["Counter"]}})
    assert [ask(server) for _ in range(2)] == [1, 1]
    assert "settings.json: the plugin 'remember' is now called 'cache'. Rename its section." in server.logs


def ask(client, x=1.0, name="Counter", **said):
    answer = client.infer(name, {"x": [x]}, **said)
    return int(answer["count"][0])


def test_srv_before_infer_answers_the_same_request_without_asking_the_model(caching):
    client = caching()
    first, again = client.infer("Counter", {"x": [1.0]}, id="a"), client.infer("Counter", {"x": [1.0]}, id="b")
    assert again["count"].tolist() == first["count"].tolist() == [1]
    assert again.response.parameters == {"cached": True}
    assert (first.response.parameters, again.response.id, again.response.model_name) == ({}, "b", "Counter")


def test_srv_after_infer_keeps_no_error(caching):
    client = caching(Refuser)
    answers = [client.infer("Refuser", {"x": [1.0]}) for _ in range(2)]
    assert [answer.error for answer in answers] == ["refused 1 times", "refused 2 times"]


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": {"x": [2.0]}},
        {"inputs": {"x": [1]}},
        {"inputs": {"x": [[1.0]]}},
        {"inputs": {"y": [1.0]}},
        {"inputs": {"x": [1.0], "y": [1.0]}},
        {"inputs": {"x": [1.0]}, "outputs": ["count"]},
        {"inputs": {"x": [1.0]}, "parameters": {"temperature": 1}},
        {"inputs": {"x": Tensor("x", [1.0], parameters={"content_type": "np"})}},
    ],
    ids=["value", "datatype", "shape", "name", "one more", "outputs", "parameters", "input parameters"],
)
def test_a_request_that_differs_is_asked_anew(caching, other):
    client = caching()
    ask(client)
    assert client.infer("Counter", **other)["count"].tolist() == [2]


def test_texts_are_told_apart_where_they_begin_and_end(caching):
    client = caching(model(Refuser, name="other"))
    for words in (["ab", "c"], ["a", "bc"]):
        answer = client.infer("other", {"x": words})
    assert answer.error == "refused 2 times"


def test_two_models_and_two_versions_do_not_share_answers(caching):
    client = caching(Counter, model(Counter, name="other"))
    ask(client)
    assert client.infer("other", {"x": [1.0]})["name"].tolist() == [b"other"]


def test_models_that_settings_do_not_name_are_asked_each_time(caching):
    client = caching(model(Counter, name="unnamed"))
    assert [ask(client, name="unnamed") for _ in range(2)] == [1, 2]


def test_a_model_that_was_loaded_again_is_asked_anew(caching):
    client = caching()
    ask(client)
    ask(client, 2.0)
    client.assembled.loader.load(client.assembled.registry.find("Counter").settings)
    assert ask(client, 2.0) == 1


class Asks(Runtime):
    """Asks another model, whose response is cached too, in the same thread."""

    def predict(self, request):
        return {"count": self.server.infer("Counter", request)["count"]}


def test_a_model_is_cached_whose_predict_asks_another_one_that_is_cached(caching):
    client = caching(Counter, model(Asks, name="other"))
    answers = [client.infer("other", {"x": [1.0]}) for _ in range(2)]
    assert [answer.response.parameters for answer in answers] == [{}, {"cached": True}]


def cached_models():
    """The models of which this process caches responses."""
    return {(model.name, model.version) for model, _ in cache._responses._entries}


@pytest.fixture
def versions(caching, tmp_path):
    """A client of a model with two versions, with a cached response of each."""
    for version in ("1", "2"):
        place = tmp_path / "Counter" / version
        place.mkdir(parents=True)
        (place / "models.py").write_text(VERSION)
        (place / "model-settings.json").write_text('{"implementation": "models.Version"}')
    client = caching(tmp_path)
    for version in ("1", "2"):
        assert client.infer("Counter", {"x": [1.0]}, version=version).ok
    assert cached_models() == {("Counter", "1"), ("Counter", "2")}
    return client


VERSION = "from srv import Runtime\nclass Version(Runtime):\n    def predict(self, request): return [1.0]\n"


def test_srv_model_reloaded_forgets_the_version_that_was_replaced_and_no_other(versions):
    versions.assembled.loader.load(versions.assembled.registry.find("Counter", "2").settings)
    assert cached_models() == {("Counter", "1")}


def test_srv_model_unloaded_forgets_the_version_that_is_gone_and_no_other(versions):
    versions.assembled.loader.unload(versions.assembled.registry.find("Counter", "2"))
    assert cached_models() == {("Counter", "1")}


def test_answers_grow_old(caching):
    client = caching(seconds=0)
    assert [ask(client) for _ in range(2)] == [1, 2]


def test_what_was_not_used_for_longest_makes_room(caching):
    client = caching(max_bytes=3000)
    ask(client, 1.0)
    ask(client, 2.0)
    ask(client, 1.0)
    ask(client, 3.0)
    assert ask(client, 1.0) == 1
    assert ask(client, 2.0) == 4


def test_an_answer_larger_than_the_memory_is_not_kept(caching):
    client = caching(max_bytes=10)
    assert [ask(client) for _ in range(2)] == [1, 2]


def test_binary_and_json_get_what_they_ask_for(caching):
    client = caching()
    request = as_request({"x": [1.0]})
    assert ask(client) == 1
    for _ in range(2):
        assert Binary().infer(client, "Counter", request)["count"].tolist() == [2]


def test_many_threads_at_once_get_right_answers(caching):
    client = caching()
    right = {x: ask(client, float(x)) for x in range(8)}
    wrong = []

    def run():
        wrong.extend(x for x in [*right] * 20 if ask(client, float(x)) != right[x])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_srv_settings_schema_wants_to_know_which_models(isolated_plugins):
    isolated_plugins()
    with pytest.raises(PluginBroken, match=r"cache\.models: Missing data"):
        Client.of(settings={"cache": {}})


def test_without_settings_requests_pay_nothing(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(Counter)
    assert client.assembled.hooks.before_infer == ()
    assert client.assembled.hooks.after_infer == ()


class Streamer(Counter):
    def predict_stream(self, request):
        yield {"count": np.array([-1]), "name": ["half"]}


def test_a_model_that_streams_is_not_cached(caching):
    client = caching(model(Streamer, name="Counter"))
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
    assert client.post("/v2/models/Counter/infer_stream", body).ok
    assert [ask(client) for _ in range(2)] == [1, 2]
