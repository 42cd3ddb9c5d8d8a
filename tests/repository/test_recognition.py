from pathlib import Path

import pytest

from srv.repository import Repository
from srv.repository.errors import CodeNotAllowed, FileContested, FileRefused, NoRuntimeGiven
from srv.repository.recognition import Recognition
from srv.settings import read_server_settings

FILES = {
    "model.skops": ("sklearn",),
    "model.bst": ("lightgbm", "xgboost"),
    "model.json": ("catboost", "xgboost"),
    "model.pt": ("lightning", "torch"),
    "MLmodel": ("mlflow",),
}


def choose(yes, *present, code_allowed=False):
    """Choose where these runtimes take every file and the others none."""
    asked = []

    def refusal(runtime, path):
        asked.append((path.name, runtime))
        return "" if runtime in yes else "it says no"

    paths = {name: Path("folder") / name for name in present}
    chosen = Recognition(FILES, refusal, code={"MLmodel"}, whole={"MLmodel"}).choose(
        paths, place="P", code_allowed=code_allowed
    )
    return (*chosen, asked)


@pytest.mark.parametrize(
    "yes, present, file, runtime",
    [
        (["xgboost"], ["model.bst"], "model.bst", "xgboost"),
        (["lightgbm"], ["model.bst"], "model.bst", "lightgbm"),
        (["xgboost"], ["model.json", "model.bst"], "model.json", "xgboost"),
        (["catboost"], ["model.skops", "model.json"], "model.json", "catboost"),
        (["sklearn"], ["model.skops", "model.bst"], "model.skops", "sklearn"),
    ],
    ids=["one", "the other", "the first of its files", "the file of its own", "of files that clash"],
)
def test_the_one_runtime_that_takes_a_file_serves_it(yes, present, file, runtime):
    assert choose(yes, *present)[:2] == (file, runtime)


def test_nobody_is_asked_where_one_runtime_recognises_the_files():
    assert choose([], "model.skops", "other.txt") == ("model.skops", "sklearn", [])


def test_every_runtime_is_asked_once_for_each_of_its_files():
    *_, asked = choose(["xgboost"], "model.bst", "model.json")
    assert asked == [
        ("model.bst", "lightgbm"),
        ("model.bst", "xgboost"),
        ("model.json", "catboost"),
        ("model.json", "xgboost"),
    ]


def test_where_several_say_yes_the_error_names_them_and_what_to_write():
    with pytest.raises(FileContested) as error:
        choose(["lightgbm", "xgboost", "sklearn"], "model.bst")

    assert str(error.value) == (
        "P: model.bst can be served by lightgbm, xgboost. Say which is meant in the model's settings: "
        '"runtime": "lightgbm" or "runtime": "xgboost".'
    )


def test_where_all_refuse_the_error_says_how_and_what_to_write():
    with pytest.raises(FileRefused) as error:
        choose([], "model.bst")

    assert str(error.value) == (
        "P: model.bst can be served by no installed runtime. lightgbm refuses model.bst: it says no; xgboost refuses "
        "model.bst: it says no. If one of them can serve it all the same, say so in the model's settings: "
        '"runtime": "lightgbm" or "runtime": "xgboost".'
    )


def test_code_is_served_by_the_one_that_takes_it_only_where_it_may_run():
    with pytest.raises(CodeNotAllowed, match=r"P: model\.pt is code"):
        choose(["torch"], "model.pt")

    assert choose(["torch"], "model.pt", code_allowed=True)[:2] == ("model.pt", "torch")


@pytest.mark.parametrize(
    "yes, chosen", [(["torch", "sklearn"], ("model.skops", "sklearn")), (["torch"], ("model.pt", "torch"))]
)
def test_code_is_served_where_no_runtime_takes_a_file_that_is_none(yes, chosen):
    assert choose(yes, "model.pt", "model.skops", code_allowed=True)[:2] == chosen


def test_a_file_that_describes_its_folder_comes_before_the_others_there():
    present = ["model.skops", "MLmodel", "model.bst"]
    assert choose(["mlflow", "sklearn", "xgboost"], *present, code_allowed=True)[:2] == ("MLmodel", "mlflow")
    assert choose(["sklearn"], *present)[:2] == ("model.skops", "sklearn")
    with pytest.raises(CodeNotAllowed, match="P: MLmodel is code"):
        choose(["mlflow", "sklearn"], *present)


def test_a_file_that_nobody_recognises_gives_no_runtime():
    with pytest.raises(NoRuntimeGiven):
        choose(["torch"], "other.txt")


OF_WORD = """
from srv import Runtime

class Mine(Runtime):
    @classmethod
    def recognise(cls, path):
        return path.read_text() == "{}"
"""


@pytest.fixture
def one_and_two(site, tmp_path):
    """Install two runtimes for model.x, each of which takes its own word in it, and return a folder for models."""
    for word in ("one", "two"):
        site.add(
            f"srv-{word}",
            f"[srv.runtimes]\n{word} = srv_{word}:Mine [model.x]\n",
            modules={f"srv_{word}": OF_WORD.format(word)},
        )
    folder = tmp_path / "zoo"
    for word in ("one", "two", "three"):
        (folder / word).mkdir(parents=True)
        (folder / word / "model.x").write_text(word)
    return folder


def test_installed_runtimes_tell_their_files_apart_in_the_folders(one_and_two, site):
    found = Repository.of(read_server_settings(one_and_two, environ={}), site.discover()).models()

    assert [(model.name, model.runtime, model.parameters.uri) for model in found.models] == [
        ("one", "one", "model.x"),
        ("two", "two", "model.x"),
    ]
    [failed] = found.failures
    assert failed.name == "three"
    assert failed.reason.startswith(
        "three: model.x can be served by no installed runtime. one refuses model.x: it says no"
    )


def test_a_folder_inside_a_model_that_no_runtime_takes_is_a_part_of_that_model(one_and_two, site):
    for inside in ("1_part", "2"):
        (one_and_two / "one" / inside).mkdir()
        (one_and_two / "one" / inside / "model.x").write_text("one" if inside == "2" else "weights of a layer")
    (one_and_two / "three" / "model.x").write_text("two")

    def models(folder):
        found = Repository.of(read_server_settings(folder, environ={}), site.discover()).models()
        assert found.failures == ()
        return [(model.name, model.version) for model in found.models], found.notes

    assert models(one_and_two)[0] == [("one", None), ("one", "2"), ("three", None), ("two", None)]
    names, notes = models(one_and_two / "one")
    assert names == [("2", None), ("one", None)]
    [note] = notes
    assert note == (
        f"{one_and_two}/one/1_part is a part of the model around it, for no installed runtime can serve its model.x by "
        "itself. To serve it all the same, give it a model-settings.json."
    )


def test_prefer_decides_without_asking(one_and_two, site):
    plugins = site.discover(prefer={"file:model.x": "srv-two"})

    found = Repository.of(read_server_settings(one_and_two, environ={}), plugins).models()

    assert {model.runtime for model in found.models} == {"two"}
    assert len(found.models) == 3
    assert [row.state.value for row in plugins.rows if row.distribution in ("srv-one", "srv-two")] == ["found", "found"]


def test_a_file_elsewhere_is_asked_about_when_it_has_been_fetched(one_and_two, site, tmp_path):
    (one_and_two / "far").mkdir()
    (one_and_two / "far" / "model-settings.json").write_text('{"parameters": {"uri": "https://there/model.x"}}')
    repository = Repository.of(read_server_settings(one_and_two, environ={}), site.discover())
    [far] = [model for model in repository.models().models if model.name == "far"]
    assert (far.runtime, far.candidates, far.parameters.uri) == (None, ("one", "two"), "https://there/model.x")

    (tmp_path / "model.x").write_text("two")
    assert repository.runtime_for(far, tmp_path / "model.x") == "two"

    (tmp_path / "model.x").write_text("")
    with pytest.raises(FileRefused, match=r"one refuses model\.x: it is empty; two refuses model\.x: it is empty"):
        repository.runtime_for(far, tmp_path / "model.x")


def test_a_file_elsewhere_whose_name_only_one_runtime_has_needs_no_look(one_and_two, site):
    site.add(
        "srv-four", "[srv.runtimes]\nfour = srv_four:Mine [model.four]\n", modules={"srv_four": OF_WORD.format("x")}
    )
    for name, file in {"far": "model.four", "unknown": "model.five"}.items():
        (one_and_two / name).mkdir()
        (one_and_two / name / "model-settings.json").write_text(
            f'{{"parameters": {{"uri": "https://there/{file}?v=1"}}}}'
        )

    found = Repository.of(read_server_settings(one_and_two, environ={}), site.discover()).models()

    [far] = [model for model in found.models if model.name == "far"]
    assert (far.runtime, far.candidates) == ("four", ())
    [unknown] = [failure for failure in found.failures if failure.name == "unknown"]
    assert isinstance(unknown.error, NoRuntimeGiven)
