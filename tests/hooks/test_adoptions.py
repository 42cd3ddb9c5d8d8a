"""Which plugin makes a runtime of a class of another library."""

import pytest

from srv.errors import PluginFailed
from srv.hooks import Hooks
from srv.hooks.errors import AdoptedByNoRuntime, AdoptionContested
from srv.model_settings import ModelSettings

SOURCE = """
from srv.hookspecs import hookimpl
from srv.runtime import Runtime

class Adopted(Runtime):
    by = __name__

    def predict(self, request):
        return {{}}

@hookimpl
def srv_adopt(cls, model_settings):
    {answer}
"""
MODEL = ModelSettings("m", implementation="models.Foreign")


class Foreign:
    pass


@pytest.fixture
def add(site):
    """Install a plugin that adopts classes."""

    def add(
        distribution, answer="return Adopted if model_settings.name == 'm' and cls.__name__ == 'Foreign' else None"
    ):
        module = distribution.replace("-", "_") + "_hooks"
        site.add(distribution, f"[srv.plugins]\n{module} = {module}\n", modules={module: SOURCE.format(answer=answer)})

    return add


def test_srv_adopt_of_the_plugin_that_knows_the_class_gives_the_runtime(site, add):
    add("blind-adopter", "return None")
    add("good-adopter")
    hooks = Hooks.start(site.discover())

    assert hooks.adopt(Foreign, MODEL).by == "good_adopter_hooks"
    assert hooks.adopt(dict, MODEL) is None


def test_a_class_that_two_distributions_adopt_is_nobodys_until_prefer_says(site, add):
    add("first-adopter")
    add("second-adopter")

    with pytest.raises(
        AdoptionContested,
        match=r"first-adopter and second-adopter both .*\{\"adopt:models.Foreign\": \"first-adopter\"\}",
    ):
        Hooks.start(site.discover()).adopt(Foreign, MODEL)

    hooks = Hooks.start(site.discover(prefer={"adopt:models.Foreign": "second_adopter"}))
    assert hooks.adopt(Foreign, MODEL).by == "second_adopter_hooks"


@pytest.mark.parametrize(
    "answer, what", [("return Adopted(model_settings)", "an object of Adopted"), ("return dict", "the class dict")]
)
def test_what_is_no_class_of_a_runtime_is_refused_with_the_plugins_name(site, add, answer, what):
    add("odd-adopter", answer)

    with pytest.raises(
        AdoptedByNoRuntime, match=f"odd_adopter_hooks.*of odd-adopter.*with {what}, and not with a class"
    ):
        Hooks.start(site.discover()).adopt(Foreign, MODEL)


def test_a_plugin_that_raises_is_named_in_the_log(site, add, caplog):
    add("broken-adopter", "raise KeyError('x')")

    with pytest.raises(PluginFailed, match="raised KeyError in srv_adopt"):
        Hooks.start(site.discover()).adopt(Foreign, MODEL)
    assert "Plugin 'broken_adopter_hooks' raised in srv_adopt." in caplog.messages


ADOPTER = """
from srv.hookspecs import hookimpl
from srv.runtime import Runtime

class Adopted(Runtime):
    def load(self):
        self.model = self.adopted()

    def predict(self, x: list[str]) -> list[str]:
        return [self.model.answer(each) for each in x]

@hookimpl
def srv_adopt(cls, model_settings):
    return type(cls.__name__, (Adopted,), {"adopted": cls}) if hasattr(cls, "answer") else None
"""
MODELS = "class Foreign:\n    def answer(self, text):\n        return text.upper()\n\nclass Other: ...\n"


def test_a_folder_whose_class_is_adopted_serves_and_another_class_says_that_it_is_no_runtime(
    site, srv_client, tmp_path
):
    site.add("adopter", "[srv.plugins]\nadopter = adopter_hooks\n", modules={"adopter_hooks": ADOPTER})
    served = tmp_path / "served"
    for name, implementation in (("shout", "models.Foreign"), ("other", "models.Other")):
        (served / name).mkdir(parents=True)
        (served / name / "models.py").write_text(MODELS)
        (served / name / "model-settings.json").write_text(f'{{"implementation": "{implementation}"}}')
    (served / "settings.json").write_text('{"on_load_error": "continue"}')

    client = srv_client(served)

    assert client.infer("shout", {"x": ["so"]})["output"].tolist() == [b"SO"]
    rows = {row["name"]: row for row in client.post("/v2/repository/index", {}).json}
    assert "'models.Other' is no runtime: it is not a class that extends srv.Runtime." in rows["other"]["reason"]
