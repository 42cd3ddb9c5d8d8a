"""Inside the isolation nothing is installed but srv and what was given; afterwards all is as it was."""

import sys
from types import ModuleType

import pytest
from distributions import installed_in

import srv.codecs
from srv import InputCodec, Runtime, Tensor, hookimpl
from srv.codecs import UnknownContentType
from srv.discovery import PluginKind, PluginState, discover
from srv.testing import Client, isolated_plugins, model


class Echo(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        return x


class Mine(InputCodec):
    content_type = "mine"
    type_hint = frozenset

    def can_encode(self, value):
        return isinstance(value, frozenset)

    def decode(self, tensor):
        return frozenset(tensor.data)

    def encode(self, name, value):
        return Tensor(name, sorted(value), parameters={"content_type": "mine"})


class Notes:
    def __init__(self):
        self.notes = []

    @hookimpl
    def srv_model_loaded(self, model):
        self.notes.append(model.name)


def test_only_srvs_own_plugins_are_there():
    with isolated_plugins() as plugins:
        assert {row.distribution for row in plugins.rows} == {"srv-inference"}
        assert plugins.find(PluginKind.CODEC, "np").state is PluginState.FOUND


def test_what_is_given_is_there_too_and_works_through_the_ordinary_ways():
    notes = Notes()
    with isolated_plugins(runtimes={"echo": Echo}, codecs=[Mine], hooks={"notes": notes}) as plugins:
        assert plugins.load(PluginKind.RUNTIME, "echo") is Echo
        assert isinstance(srv.codecs.input_codec("mine"), Mine)
        with Client.of(model("echo", name="m")) as client:
            assert client.infer("m", {"x": ["a"]})["output"].tolist() == [b"a"]
        assert notes.notes == ["m"]


def test_whoever_discovers_meanwhile_finds_the_same(isolated_plugins):
    isolated_plugins(runtimes={"echo": Echo})
    assert discover().names(PluginKind.RUNTIME) == ["echo"]
    assert discover(disable=["echo"]).names(PluginKind.RUNTIME) == []


def test_nothing_is_left_behind():
    modules, rows = {*sys.modules}, [str(row) for row in discover().rows]
    with isolated_plugins(runtimes={"echo": Echo}, codecs=[Mine]):
        srv.codecs.input_codec("mine")
    assert [str(row) for row in discover().rows] == rows
    assert {name for name in {*sys.modules} - modules if name.startswith("srv_testing")} == set()
    with pytest.raises(UnknownContentType):
        srv.codecs.input_codec("mine")


def test_nothing_is_left_behind_by_a_test_that_fails():
    with pytest.raises(ZeroDivisionError), isolated_plugins(runtimes={"echo": Echo}):
        raise ZeroDivisionError
    assert "echo" not in discover().names(PluginKind.RUNTIME)


def test_an_isolation_inside_another_ends_with_its_block():
    with isolated_plugins(runtimes={"echo": Echo}):
        with isolated_plugins():
            assert discover().names(PluginKind.RUNTIME) == []
        assert discover().names(PluginKind.RUNTIME) == ["echo"]


def test_an_installed_distribution_is_seen_when_it_is_named(tmp_path):
    with installed_in(tmp_path) as site:
        site.add("srv-one", "[srv.runtimes]\none = one:One\n")
        site.add("srv-two", "[srv.runtimes]\ntwo = two:Two\n")
        with isolated_plugins(installed=["Srv_One"]) as plugins:
            assert plugins.names(PluginKind.RUNTIME) == ["one"]


def test_a_distribution_that_is_not_installed_is_named():
    with pytest.raises(LookupError, match="called srv-none brings anything"), isolated_plugins(installed=["srv-none"]):
        pass


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"runtimes": {"echo": dict}}, "subclass of srv.Runtime is needed"),
        ({"codecs": [Echo]}, "subclass of srv.InputCodec or srv.RequestCodec"),
        ({"hooks": {"notes": Notes}}, "a module of hook implementations is needed"),
    ],
    ids=["runtime", "codec", "hooks"],
)
def test_what_no_entry_point_could_bring_is_refused(given, sentence):
    with pytest.raises(TypeError, match=sentence), isolated_plugins(**given):
        pass


def test_names_of_srvs_own_stay_its_own_as_for_anybody():
    class Np(Mine):
        content_type = "np"

    with isolated_plugins(codecs=[Np]) as plugins:
        assert plugins.find(PluginKind.CODEC, "np").ours
        assert plugins.load(PluginKind.CODEC, "given-to-the-test:np") is Np


def test_a_module_of_hooks_is_given_as_it_is(isolated_plugins, srv_client):
    module = ModuleType("notes_of_a_test")

    @hookimpl
    def srv_model_loaded(model):
        module.loaded = model.name

    module.srv_model_loaded = srv_model_loaded
    isolated_plugins(hooks={"notes": module})
    srv_client(Echo)
    assert module.loaded == "Echo"
