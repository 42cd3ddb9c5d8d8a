"""Where the processes of models run, as plugins say it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from srv.errors import SrvError
from srv.hooks import Hooks
from srv.model_settings import ModelSettings, ProcessSettings
from srv.placement import Placement

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "placement" / "srv_devices.py"
SOURCE = """
from srv.hookspecs import hookimpl
from srv.placement import Placement

@hookimpl
def srv_placement(model, number):
    {answer}
"""


def model(name="llm", **process):
    return SimpleNamespace(
        name=name, version=None, settings=ModelSettings(name=name, process=ProcessSettings(**process))
    )


@pytest.fixture
def hooks(site):
    """The hooks of plugins, each with what it answers."""

    def hooks(**answers):
        for name, answer in answers.items():
            site.add(
                name, f"[srv.plugins]\n{name} = {name}_hooks\n", modules={f"{name}_hooks": SOURCE.format(answer=answer)}
            )
        return Hooks.start(site.discover())

    return hooks


def test_srv_placement_of_the_first_plugin_that_answers_counts(hooks):
    answers = {
        "a": "return None",
        "b": "return Placement(devices=(f'cuda:{number + 4}',))",
        "c": "return Placement(cpus=[1])",
    }
    assert hooks(**answers).placement(model(), 1) == Placement(devices=("cuda:5",))


def test_without_an_answer_the_settings_count(hooks):
    assert hooks(a="return None").placement(model(), 0) is None
    assert hooks().placement(model(), 0) is None


@pytest.mark.parametrize(
    "answer, what",
    [
        ("return 'cuda:0'", "a str, not with a srv.placement.Placement"),
        ("return Placement(devices='cuda:0')", "devices that are none, such as ('cuda:0',)"),
        ("return Placement(devices=['gpu0'])", "devices that are none, such as ('cuda:0',)"),
        ("return Placement(cpus=['0-3'])", "processors that are no collection of their numbers"),
        ("return Placement(cpus=[True])", "processors that are no collection of their numbers"),
        ("return Placement(env={'A': 1})", "variables that are no mapping of texts"),
        ("return Placement(env=None)", "variables that are no mapping of texts"),
    ],
)
def test_an_answer_that_places_nothing_names_the_plugin(hooks, answer, what):
    with pytest.raises(SrvError) as caught:
        hooks(a=answer).placement(model(), 0)
    assert f"answered srv_placement with {what}. Mend the plugin" in str(caught.value)
    assert "'a'" in str(caught.value)


def test_a_plugin_that_raises_is_named(hooks):
    with pytest.raises(SrvError, match="raised KeyError in srv_placement"):
        hooks(a="raise KeyError('x')").placement(model(), 0)


def test_the_example_gives_devices_by_the_names_of_models(site):
    site.add("srv-devices", "[srv.plugins]\ndevices = srv_devices\n", modules={"srv_devices": EXAMPLE.read_text()})
    settings = {"models": {"llm": ["cuda:2", "cuda:3"], "*": ["cpu"]}}
    hooks = Hooks.start(site.discover(), sections={"devices": settings})

    assert [hooks.placement(model(count=2), number) for number in (0, 1)] == [
        Placement(devices=("cuda:2",)),
        Placement(devices=("cuda:3",)),
    ]
    assert hooks.placement(model("small"), 0) == Placement(devices=("cpu",))
