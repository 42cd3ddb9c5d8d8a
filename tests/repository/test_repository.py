import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from srv.repository import Repository
from srv.settings import read_server_settings
from srv.settings.errors import SettingError

RECOGNISED = {
    "model.skops": ("sklearn",),
    "model.onnx": ("onnx",),
    "model.joblib": ("sklearn",),
    "model.pkl": ("sklearn",),
    "model.ubj": ("one:xgboost", "two:xgboost"),
}
SETTINGS = "model-settings.json"
ANY = {"implementation": "models.M"}


@pytest.fixture
def zoo(tmp_path):
    """The folder that is served."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    return folder


def lay(folder, files):
    """Write files, dicts as JSON, and give back the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def repository(folder, models_dir=None, **environ):
    if models_dir is not None:
        environ["SRV_MODELS_DIR"] = str(models_dir)
    return Repository(read_server_settings(folder, environ=environ), RECOGNISED)


def found(folder, files, models_dir=None, **environ):
    return repository(lay(folder, files), models_dir, **environ).models()


def titles(found):
    return [(model.name, model.version) for model in found.models]


def failure(found):
    [failure] = found.failures
    return failure


def test_a_folder_is_the_one_of_the_start_wherever_the_process_goes_and_is_named_as_it_was_written(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    further = {"c/model.onnx": "", "d/model-settings.json": {"runtime": "onnx", "colour": 1}}
    lay(
        Path("zoo"), {"a/model-settings.json": ANY, "b/model-settings.json": "broken", "e/1/2/model-settings.json": ANY}
    )
    lay(Path("far"), further)
    models = repository(Path("zoo"), Path("far"))
    (tmp_path / "elsewhere").mkdir()
    before = models.models()

    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rmdir()

    after = models.models()
    assert (after.models, after.notes) == (before.models, before.notes)
    assert titles(before) == [("a", None), ("c", None)]
    assert [model.folder for model in before.models] == [tmp_path / "zoo" / "a", tmp_path / "far" / "c"]
    assert [str(failed.error).partition(",")[0] for failed in after.failures] == [
        "zoo/b/model-settings.json",
        "far/d/model-settings.json",
    ]
    assert "zoo/e/1/2/model-settings.json lies deeper" in before.notes[0]


def test_links_to_the_folder_stay_links(tmp_path, monkeypatch):
    lay(tmp_path / "first", {"m/model-settings.json": ANY})
    lay(tmp_path / "second", {"n/model-settings.json": ANY})
    (tmp_path / "current").symlink_to("first")
    monkeypatch.chdir(tmp_path)
    models = repository(Path("current"))
    assert titles(models.models()) == [("m", None)]

    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("second")

    assert titles(models.models()) == [("n", None)]


# -- where models are ------------------------------------------------------------------------------------------------


def test_an_empty_folder_holds_no_model(zoo):
    nothing = found(zoo, {})
    assert (nothing.models, nothing.failures, nothing.notes) == ((), (), ())
    assert nothing.explanation == f"There is no model-settings.json in {zoo} itself."


def test_models_are_the_root_its_folders_and_their_folders(zoo):
    files = {
        SETTINGS: ANY | {"name": "zoo"},
        f"iris/{SETTINGS}": ANY,
        f"wine/1/{SETTINGS}": ANY,
        f"wine/2/{SETTINGS}": ANY,
        f"wine/2/deeper/{SETTINGS}": ANY,
        "wine/notes.txt": "",
        "data/train.csv": "",
    }
    assert titles(found(zoo, files)) == [("iris", None), ("wine", "1"), ("wine", "2"), ("zoo", None)]


def test_a_model_knows_where_it_stands(zoo):
    [iris, wine] = found(zoo, {f"iris/{SETTINGS}": ANY, "wine/3/model.onnx": ""}).models
    assert (iris.folder, iris.source) == (zoo / "iris", "iris/model-settings.json")
    assert (wine.folder, wine.source) == (zoo / "wine" / "3", "wine/3/ (recognised model.onnx)")


def test_models_are_in_order_of_name_and_version(zoo):
    files = {f"b/{version}/{SETTINGS}": ANY for version in ("10", "9", "v11")} | {
        f"a/{SETTINGS}": ANY,
        f"b/{SETTINGS}": ANY,
    }
    assert titles(found(zoo, files)) == [("a", None), ("b", None), ("b", "9"), ("b", "10"), ("b", "v11")]


def test_settings_may_name_model_and_version_otherwise_than_the_folders(zoo):
    files = {f"a/1/{SETTINGS}": ANY | {"name": "iris", "parameters": {"version": "2024"}}}
    assert titles(found(zoo, files)) == [("iris", "2024")]


def test_a_folder_called_as_its_model_is_no_version(zoo):
    assert titles(found(zoo, {f"models/iris/{SETTINGS}": ANY | {"name": "iris"}})) == [("iris", None)]


def test_folders_are_read_anew_at_each_call(zoo):
    models = repository(lay(zoo, {f"a/{SETTINGS}": ANY}))
    assert titles(models.models()) == [("a", None)]
    lay(zoo, {f"b/{SETTINGS}": ANY, f"a/{SETTINGS}": ANY | {"name": "c"}})
    assert titles(models.models()) == [("b", None), ("c", None)]


@pytest.mark.parametrize("folder", [".hidden", ".git", "__pycache__", "node_modules", "venv", "conda", "a/.cache"])
def test_hidden_folders_and_environments_are_passed_over(zoo, folder):
    files = {f"{folder}/{SETTINGS}": ANY, "venv/pyvenv.cfg": "", "conda/conda-meta/history": ""}
    nothing = found(zoo, files)
    assert (nothing.models, nothing.failures, nothing.notes) == ((), (), ())


def test_a_folder_of_models_may_itself_be_hidden(tmp_path):
    folder = tmp_path / ".models"
    folder.mkdir()
    assert titles(found(folder, {f"a/{SETTINGS}": ANY})) == [("a", None)]


def test_a_link_that_leaves_the_root_is_passed_over_with_a_note(zoo, tmp_path):
    outside = lay(tmp_path / "outside", {SETTINGS: ANY})
    (zoo / "a").symlink_to(outside)
    lay(zoo, {f"b/{SETTINGS}": ANY})
    (zoo / "b" / "1").symlink_to(outside)
    outcome = found(zoo, {})
    assert titles(outcome) == [("b", None)]
    assert outcome.notes == (
        f"{zoo}/a is a link that leaves {zoo}, and is passed over. The setting follow_links serves it.",
        f"{zoo}/b/1 is a link that leaves {zoo}, and is passed over.",
    )


def test_a_link_to_what_is_no_model_is_passed_over_in_silence(zoo, tmp_path):
    (zoo / "data").symlink_to(tmp_path)
    assert found(zoo, {}).notes == ()


@pytest.mark.parametrize("name", [SETTINGS, "model.onnx"])
def test_a_file_that_is_a_link_out_of_the_root_is_passed_over_too(zoo, tmp_path, name):
    lay(tmp_path, {name: ANY})
    (zoo / "a").mkdir()
    (zoo / "a" / name).symlink_to(tmp_path / name)
    outcome = found(zoo, {})
    assert outcome.models == ()
    assert outcome.notes == (f"{zoo}/a/{name} is a link that leaves {zoo}, and is passed over.",)


@pytest.mark.parametrize("place", ["served", "models_dir"])
def test_a_folder_that_the_operator_has_linked_is_followed_where_settings_say_so(zoo, tmp_path, place):
    outside = lay(
        tmp_path / "outside", {SETTINGS: ANY, f"2/{SETTINGS}": ANY, "shared/x": "", f"shared/{SETTINGS}": ANY}
    )
    (outside / "3").symlink_to("shared")
    root = zoo if place == "served" else lay(tmp_path / "more", {"note": ""})
    (root / "a").symlink_to(outside)

    outcome = found(zoo, {}, None if place == "served" else root, SRV_FOLLOW_LINKS="true")

    assert {*titles(outcome)} == {("a", None), ("a", "2"), ("a", "3"), ("a", "shared")}
    assert outcome.notes == ()


def test_links_deeper_than_the_root_are_not_followed_out_of_it_whatever_settings_say(zoo, tmp_path):
    outside, linked = lay(tmp_path / "outside", {SETTINGS: ANY}), lay(tmp_path / "linked", {SETTINGS: ANY})
    lay(zoo, {f"b/{SETTINGS}": ANY})
    (zoo / "b" / "1").symlink_to(outside)
    (zoo / "a").symlink_to(linked)
    (linked / "1").symlink_to(outside)
    (zoo / SETTINGS).symlink_to(outside / SETTINGS)

    outcome = found(zoo, {}, SRV_FOLLOW_LINKS="true")

    assert titles(outcome) == [("a", None), ("b", None)]
    assert {note.split(" ")[0] for note in outcome.notes} == {f"{zoo}/{each}" for each in ("a/1", "b/1", SETTINGS)}


def test_a_link_to_a_folder_above_is_not_followed_whatever_settings_say(zoo, tmp_path):
    (zoo / "again").symlink_to(".")
    (zoo / "above").symlink_to(tmp_path)
    assert titles(found(zoo, {f"a/{SETTINGS}": ANY}, SRV_FOLLOW_LINKS="true")) == [("a", None)]


def test_links_inside_the_root_are_followed(zoo):
    lay(zoo, {f"..2024/{SETTINGS}": ANY, f"b/{SETTINGS}": ANY})
    (zoo / "..data").symlink_to("..2024")
    (zoo / "a").mkdir()
    (zoo / "a" / SETTINGS).symlink_to(f"../..data/{SETTINGS}")
    (zoo / "c").symlink_to("b")
    assert titles(found(zoo, {})) == [("a", None), ("b", None), ("c", None)]


def test_a_link_in_a_circle_is_no_model(zoo):
    (zoo / "a").symlink_to("b")
    (zoo / "b").symlink_to("a")
    assert found(zoo, {}).models == ()


def test_settings_that_are_a_link_in_a_circle_are_none(zoo):
    (zoo / "a").mkdir()
    (zoo / "a" / SETTINGS).symlink_to(SETTINGS)
    assert (found(zoo, {}).models, found(zoo, {}).failures) == ((), ())


def test_a_link_to_where_it_stands_is_no_model(zoo):
    (zoo / "again").symlink_to(".")
    assert titles(found(zoo, {f"a/{SETTINGS}": ANY})) == [("a", None)]


def test_the_served_folder_may_be_a_link_and_gives_the_name(zoo, tmp_path):
    (tmp_path / "current").symlink_to(zoo)
    lay(zoo, {SETTINGS: ANY})
    assert titles(found(tmp_path / "current", {})) == [("current", None)]


def test_the_folder_that_one_stands_in_gives_its_name(zoo, monkeypatch):
    lay(zoo, {"model.onnx": "", f"inner/{SETTINGS}": ANY})
    monkeypatch.chdir(zoo)
    here = found(Path(), {})
    assert titles(here) == [("inner", None), ("zoo", None)]
    assert here.models[0].folder == zoo / "inner"
    monkeypatch.chdir(zoo / "inner")
    assert titles(found(Path(".."), {})) == [("inner", None), ("zoo", None)]


# -- the further folder ----------------------------------------------------------------------------------------------


def test_a_further_folder_brings_its_models_too(zoo, tmp_path):
    further = lay(tmp_path / "further", {f"b/{SETTINGS}": ANY, "c/1/model.skops": ""})
    assert titles(found(zoo, {f"a/{SETTINGS}": ANY}, further)) == [("a", None), ("b", None), ("c", "1")]


def test_a_further_folder_may_be_a_model_itself(zoo, tmp_path):
    further = lay(tmp_path / "further", {"model.skops": ""})
    assert titles(found(zoo, {}, further)) == [("further", None)]


def test_a_further_folder_that_is_a_model_is_called_as_the_root_where_that_is_none(zoo, tmp_path):
    further = lay(tmp_path / "further", {"model.skops": ""})

    def names(files):
        settings = read_server_settings(lay(zoo, files), environ={"SRV_MODELS_DIR": str(further)})
        return titles(Repository(replace(settings, root_name="forecasts"), RECOGNISED).models())

    assert names({}) == [("forecasts", None)]
    assert names({"model.onnx": ""}) == [("forecasts", None), ("further", None)]


def test_a_further_folder_that_is_not_there_is_a_note(zoo, tmp_path):
    outcome = found(zoo, {f"a/{SETTINGS}": ANY}, tmp_path / "gone")
    assert titles(outcome) == [("a", None)]
    assert outcome.notes == (f"The models folder {tmp_path / 'gone'} is not there; no models come from it.",)


def test_a_further_folder_that_an_image_names_by_default_is_missed_only_where_no_model_is(zoo, tmp_path):
    image = {"SRV_DEFAULT__MODELS_DIR": str(tmp_path / "gone")}

    assert found(zoo, {}, **image).notes == (
        f"The models folder {tmp_path / 'gone'} is not there; no models come from it.",
    )
    assert found(zoo, {f"a/{SETTINGS}": ANY}, **image).notes == ()


def test_a_further_folder_inside_the_served_one_is_not_read_twice(zoo):
    files = {f"models/a/{SETTINGS}": ANY, f"b/{SETTINGS}": ANY}
    assert titles(found(zoo, files, zoo / "models")) == [("a", None), ("b", None)]


def test_a_further_folder_around_the_served_one_is_not_read_twice(zoo, tmp_path):
    lay(tmp_path, {f"a/{SETTINGS}": ANY})
    assert titles(found(zoo, {"model.onnx": "", f"b/{SETTINGS}": ANY}, tmp_path)) == [
        ("a", None),
        ("b", None),
        ("zoo", None),
    ]


def test_the_served_folder_may_be_named_again_as_the_further_one(zoo):
    assert titles(found(zoo, {f"a/{SETTINGS}": ANY}, zoo)) == [("a", None)]


# -- twice -----------------------------------------------------------------------------------------------------------


def test_a_version_in_two_places_is_an_error_that_names_both(zoo, tmp_path):
    further = lay(tmp_path / "further", {f"a/{SETTINGS}": ANY})
    outcome = found(zoo, {f"a/{SETTINGS}": ANY, f"b/{SETTINGS}": ANY}, further)
    assert titles(outcome) == [("b", None)]
    assert str(failure(outcome).error) == (
        f"Model 'a' is there twice: in {zoo}/a/model-settings.json and in {further}/a/model-settings.json. "
        "Rename one, or give it another version."
    )
    assert failure(outcome).reason == (
        "Model 'a' is there twice: in a/model-settings.json of the folder and in a/model-settings.json of models_dir."
    )


def test_a_version_that_two_folders_name_is_an_error_that_names_both_to_clients_too(zoo):
    files = {f"{folder}/{SETTINGS}": ANY | {"name": "m", "parameters": {"version": "1"}} for folder in ("a", "b")}
    assert failure(found(zoo, files)).reason == (
        "Version '1' of model 'm' is there twice: in a/model-settings.json and in b/model-settings.json."
    )


@pytest.mark.parametrize("place", ["a/1/x", "a/1/x/y", "a/1/x/y/z"])
def test_settings_deeper_than_a_version_are_named_in_a_note(zoo, place):
    outcome = found(zoo, {f"a/1/{SETTINGS}": ANY, f"{place}/{SETTINGS}": ANY})
    assert titles(outcome) == [("a", "1")]
    (note,) = outcome.notes
    assert note.startswith(f"{zoo}/{place}/model-settings.json lies deeper than <name>/<version>/ and is passed over.")


@pytest.mark.parametrize("place", [".hidden", "a/.git/x/y", "a/1/__pycache__", "a/1/node_modules/x"])
def test_settings_in_what_never_holds_models_are_no_note(zoo, place):
    assert found(zoo, {f"b/{SETTINGS}": ANY, f"{place}/{SETTINGS}": ANY}).notes == ()


def test_a_further_folder_deep_in_the_served_one_is_no_note(zoo):
    lay(zoo, {f"deep/in/here/{SETTINGS}": ANY, f"deep/in/here/m/1/{SETTINGS}": ANY})
    assert not any("deeper" in note for note in found(zoo, {}, zoo / "deep" / "in" / "here").notes)


FOREIGN = {
    "mlserver_sklearn.SKLearnModel": 'Write "runtime": "sklearn" in its place',
    "mlserver_xgboost.XGBoostModel": 'Write "runtime": "xgboost" in its place',
    "mlserver_huggingface.HuggingFaceRuntime": 'Write "runtime": "huggingface" in its place',
    "mlserver_mlflow.runtime.MLflowRuntime": 'Write "runtime": "mlflow" in its place',
    "mlserver.MLModel": "Write a class of your own that extends srv.Runtime",
}


@pytest.mark.parametrize("implementation, advice", FOREIGN.items(), ids=FOREIGN)
def test_a_runtime_of_mlservers_is_answered_with_srvs_name_of_it(zoo, implementation, advice):
    outcome = found(zoo, {f"a/{SETTINGS}": {"implementation": implementation}})
    assert advice in failure(outcome).reason
    assert f"'{implementation}' is MLServer's" in failure(outcome).reason


def test_a_module_of_the_folders_own_may_be_called_as_mlservers(zoo):
    lay(zoo, {f"a/{SETTINGS}": {"implementation": "mlserver_sklearn.Mine"}})
    (zoo / "a" / "mlserver_sklearn.py").write_text("")
    assert titles(found(zoo, {})) == [("a", None)]


def test_a_version_that_its_settings_name_counts_and_not_its_folder(zoo):
    files = {f"a/1/{SETTINGS}": ANY, f"a/2/{SETTINGS}": ANY | {"parameters": {"version": "1"}}}
    assert str(failure(found(zoo, files)).error).startswith("Version '1' of model 'a' is there twice: in ")


def test_a_model_without_a_version_is_version_1_and_may_not_stand_beside_that(zoo):
    files = {f"a/{SETTINGS}": ANY, f"a/1/{SETTINGS}": ANY}

    failed = failure(found(zoo, files))

    assert str(failed.error) == (
        f"Version '1' of model 'a' is there twice: in {zoo}/a/model-settings.json and in "
        f"{zoo}/a/1/model-settings.json. A model without a version is version 1 for clients. Rename one, or give it "
        "another version."
    )
    assert (failed.name, failed.version) == ("a", "1")


def test_a_model_without_a_version_may_stand_beside_other_versions(zoo):
    files = {f"a/{SETTINGS}": ANY, f"a/2/{SETTINGS}": ANY}

    assert [(model.name, model.version) for model in found(zoo, files).models] == [("a", None), ("a", "2")]


def test_a_model_that_is_broken_and_there_twice_is_told_as_there_twice(zoo):
    files = {f"a/{SETTINGS}": ANY | {"name": "x"}, f"b/{SETTINGS}": {"name": "x", "zzz": 1}}
    assert "is there twice" in str(failure(found(zoo, files)).error)


def test_versions_of_one_model_may_stand_in_two_folders(zoo, tmp_path):
    further = lay(tmp_path / "further", {f"a/2/{SETTINGS}": ANY})
    assert titles(found(zoo, {f"a/1/{SETTINGS}": ANY}, further)) == [("a", "1"), ("a", "2")]


# -- the root's model-settings.json ----------------------------------------------------------------------------------

OTHER = {f"other/{SETTINGS}": ANY}


@pytest.mark.parametrize(
    "files, reason",
    [
        ({SETTINGS: {"name": "x", "runtime": "r"}} | OTHER, "it has 'name'"),
        ({SETTINGS: ANY}, "it has 'implementation'"),
        ({SETTINGS: ANY, "other/model.onnx": ""}, "it has 'implementation'"),
        ({SETTINGS: ANY | {"parameters": {"uri": "w.bin"}}, "w.bin": ""} | OTHER, "it has 'implementation'"),
        ({SETTINGS: ANY | {"parameters": {"uri": "s3://shop/w"}}} | OTHER, "it has 'implementation'"),
        ({SETTINGS: ANY, "model.onnx": ""} | OTHER, "it has 'implementation'"),
        (
            {SETTINGS: {"runtime": "r", "parameters": {"uri": "w.bin"}}, "w.bin": ""} | OTHER,
            "its 'parameters.uri' is there",
        ),
        ({SETTINGS: {"runtime": "r"}, "model.skops": ""} | OTHER, "model.skops is beside it"),
        ({SETTINGS: {"runtime": "r"}, "model.pkl": ""} | OTHER, "model.pkl is beside it"),
        ({SETTINGS: {"runtime": "r"}}, "there is no other model"),
    ],
    ids=[
        "name",
        "implementation",
        "a class beside a folder without settings",
        "a class with an artifact",
        "a class with an artifact elsewhere",
        "a class with a file",
        "uri",
        "file",
        "code",
        "alone",
    ],
)
def test_the_roots_file_is_a_model(zoo, files, reason):
    outcome = found(zoo, files)
    assert zoo in [model.folder for model in outcome.models]
    assert outcome.explanation == f"{zoo}/model-settings.json is a model: {reason}."
    assert repository(zoo).explanation() == outcome.explanation


DEFAULTS_LINE = (
    "/model-settings.json gives defaults for the other models: it has no 'name', no 'implementation', no "
    "'parameters.uri' that is there and no recognised file beside it."
)


@pytest.mark.parametrize(
    "settings, line",
    [
        ({"concurrency": 1}, DEFAULTS_LINE),
        ({"runtime": "r", "parameters": {"content_type": "np"}}, DEFAULTS_LINE),
        (
            {"parameters": {"uri": "gone.bin", "version": "3"}},
            DEFAULTS_LINE + " Its 'parameters.uri' is not used. Its 'parameters.version' is not used.",
        ),
        ({"parameters": {"uri": "x" * 5000}}, DEFAULTS_LINE + " Its 'parameters.uri' is not used."),
    ],
    ids=["concurrency", "runtime", "uri and version", "absurd uri"],
)
def test_the_roots_file_gives_defaults(zoo, settings, line):
    outcome = found(zoo, {SETTINGS: settings} | OTHER)
    assert titles(outcome) == [("other", None)]
    assert outcome.explanation == f"{zoo}{line}"


def default_runtime_line(zoo, why):
    return (
        f"{zoo}/model-settings.json gives 'models.M' as the default runtime, for the other models that name none, and "
        f"defaults beside it: {why}, and it has no 'name', no 'parameters.uri' that is there and no recognised file "
        "beside it. To serve it as a model itself, give it a 'name'."
    )


def test_a_class_in_the_root_is_the_default_runtime_of_models_that_name_none(zoo):
    files = {
        SETTINGS: ANY | {"concurrency": 1, "codecs": ["kinds.Codec"]},
        f"empty/{SETTINGS}": {},
        f"other/{SETTINGS}": {"implementation": "mine.M", "codecs": ["mine.Codec"]},
        f"registered/{SETTINGS}": {"runtime": "onnx"},
        f"file/{SETTINGS}": {},
        "file/model.onnx": "",
        "bare/model.onnx": "",
    }
    outcome = found(zoo, files)
    chosen = {
        model.name: (model.runtime, model.implementation, model.implementation_folder) for model in outcome.models
    }
    assert chosen == {
        "empty": (None, "models.M", zoo),
        "other": (None, "mine.M", None),
        "registered": ("onnx", None, None),
        "file": (None, "models.M", zoo),
        "bare": ("onnx", None, None),
    }
    codecs = {model.name: (model.codecs, model.codecs_folder) for model in outcome.models}
    assert codecs["empty"] == codecs["registered"] == (("kinds.Codec",), zoo)
    assert codecs["other"] == (("mine.Codec",), None)
    assert {model.concurrency for model in outcome.models} == {1}
    assert outcome.explanation == default_runtime_line(zoo, "there are other models")
    assert (outcome.defaults.implementation, outcome.defaults.folder) == ("models.M", zoo)


@pytest.mark.parametrize("mounted", [{}, {f"a/{SETTINGS}": {}}], ids=["nothing there yet", "a model"])
def test_a_class_in_the_root_is_the_default_runtime_of_models_dir(zoo, tmp_path, mounted):
    further = lay(tmp_path / "further", mounted)
    outcome = found(zoo, {SETTINGS: ANY}, further)
    assert [(model.name, model.implementation_folder) for model in outcome.models] == ([("a", zoo)] if mounted else [])
    assert outcome.explanation == default_runtime_line(zoo, f"models_dir is {further}")


@pytest.mark.parametrize("name, models", [(None, []), ("mine", ["mine"])])
def test_a_class_in_the_root_of_models_dir_is_the_default_runtime_of_the_models_there(zoo, tmp_path, name, models):
    said = ANY if name is None else ANY | {"name": name}
    further = lay(tmp_path / "further", {SETTINGS: said, f"b/{SETTINGS}": {"runtime": "r"}, f"c/{SETTINGS}": {}})
    outcome = found(zoo, {f"a/{SETTINGS}": {"runtime": "r"}}, further)
    served = {model.name: model.implementation_folder for model in outcome.models}
    assert served == ({"a": None, "b": None, "c": further} if name is None else {"a": None, "b": None, "mine": None})
    assert [failed.name for failed in outcome.failures] == ([] if name is None else ["c"])


@pytest.mark.parametrize(
    "mounted, models",
    [
        (None, [("zoo", None)]),
        ({}, [("zoo", None)]),
        ({"a/model.onnx": ""}, [("a", None), ("zoo", None)]),
        ({f"a/{SETTINGS}": {}}, [("a", "ZOO")]),
        ({SETTINGS: {"platform": "mounted"}}, [("further", "ZOO")]),
    ],
    ids=["no mount", "an empty mount", "a file that a runtime recognises", "a model", "one model, the mount itself"],
)
def test_an_images_class_is_a_model_until_models_that_may_name_no_runtime_are_mounted(zoo, tmp_path, mounted, models):
    further = tmp_path / "further"
    if mounted is not None:
        further.mkdir()
        lay(further, mounted)
    settings = read_server_settings(lay(zoo, {SETTINGS: ANY}), environ={"SRV_DEFAULT__MODELS_DIR": str(further)})
    outcome = Repository(settings, RECOGNISED).models()
    from_zoo = {model.name: "ZOO" for model in outcome.models if model.implementation_folder == zoo}
    assert [(model.name, from_zoo.get(model.name)) for model in outcome.models] == models


def test_a_class_of_the_environment_is_looked_for_in_the_served_folder(zoo, tmp_path):
    further = lay(tmp_path / "further", {f"b/{SETTINGS}": {}, "c/model.onnx": ""})
    outcome = found(zoo, {f"a/{SETTINGS}": {}}, further, SRV_MODEL__IMPLEMENTATION="models.M")
    assert [(model.name, model.implementation, model.implementation_folder) for model in outcome.models] == [
        ("a", "models.M", zoo),
        ("b", "models.M", zoo),
        ("c", None, None),
    ]


def test_a_class_of_the_root_comes_before_that_of_the_environment(zoo):
    files = {SETTINGS: {"runtime": "onnx"}, f"a/{SETTINGS}": {}}
    [model] = found(zoo, files, SRV_MODEL__IMPLEMENTATION="models.M").models
    assert (model.runtime, model.implementation, model.implementation_folder) == ("onnx", None, None)


def test_a_models_dir_that_is_the_served_folder_brings_no_others(zoo):
    outcome = found(zoo, {SETTINGS: ANY}, zoo)
    assert titles(outcome) == [("zoo", None)]


def test_with_a_further_folder_the_roots_file_gives_defaults_though_no_other_model_is_there(zoo, tmp_path):
    further = lay(tmp_path / "further", {})
    assert found(zoo, {SETTINGS: {"runtime": "r"}}, further).explanation == f"{zoo}{DEFAULTS_LINE}"
    assert found(zoo, {}, tmp_path / "gone").models == ()


def test_defaults_lie_between_a_models_own_file_and_the_environment(zoo):
    files = {
        SETTINGS: {"concurrency": 2, "platform": "two", "parameters": {"content_type": "np"}},
        f"a/{SETTINGS}": {"implementation": "models.M", "concurrency": 3},
    }
    environ = {
        "SRV_MODEL__CONCURRENCY": "1",
        "SRV_MODEL__PLATFORM": "one",
        "SRV_MODEL__RUNTIME": "sklearn",
        "SRV_MODEL__PARAMETERS__FORMAT": "one",
    }
    [model] = found(zoo, files, **environ).models
    assert (model.concurrency, model.platform, model.runtime) == (3, "two", None)
    assert (model.parameters.content_type, model.parameters.format) == ("np", "one")


def test_an_environment_is_relative_to_the_folder_of_the_file_that_names_it(zoo):
    own = {"process": {"environment": "venv"}, **ANY}
    files = {SETTINGS: {"process": {"environment": "envs/old.tar.gz"}}, f"a/{SETTINGS}": own, f"b/{SETTINGS}": ANY}

    models = found(zoo, files, SRV_MODEL__PROCESS__COUNT="2").models

    assert [model.process.environment for model in models] == [zoo / "a" / "venv", zoo / "envs" / "old.tar.gz"]
    assert [model.process.count for model in models] == [2, 2]


def test_defaults_never_give_version_or_uri(zoo):
    files = {SETTINGS: {"runtime": "r", "parameters": {"version": "3", "uri": "gone"}}, f"a/{SETTINGS}": {}}
    [model] = found(zoo, files).models
    assert (model.version, model.parameters.uri, model.runtime) == (None, None, "r")


def test_defaults_of_the_root_reach_the_further_folder_and_not_the_other_way_round(zoo, tmp_path):
    further = lay(tmp_path / "further", {SETTINGS: {"platform": "further"}, f"b/{SETTINGS}": ANY})
    outcome = found(zoo, {SETTINGS: {"platform": "root", "concurrency": 1}, f"a/{SETTINGS}": ANY}, further)
    assert [(model.name, model.platform, model.concurrency) for model in outcome.models] == [
        ("a", "root", 1),
        ("b", "further", 1),
    ]
    assert outcome.notes == (f"{further}{DEFAULTS_LINE}",)


def test_a_root_that_is_a_model_gives_the_others_nothing(zoo):
    outcome = found(zoo, {SETTINGS: ANY | {"name": "zoo", "concurrency": 1}, f"a/{SETTINGS}": ANY})
    assert [model.concurrency for model in outcome.models] == [None, 1]


@pytest.mark.parametrize("content", ["{", "[]", {"max_sise": 1}], ids=str)
def test_defaults_that_cannot_be_understood_stop_everything(zoo, content):
    with pytest.raises(SettingError, match=f"{zoo}/model-settings.json"):
        found(zoo, {SETTINGS: content} | OTHER)


def test_a_root_that_is_a_broken_model_is_a_failure_of_that_model_only(zoo):
    outcome = found(zoo, {SETTINGS: ANY | {"name": "x", "zzz": 1}} | OTHER)
    assert titles(outcome) == [("other", None)]
    assert (failure(outcome).name, failure(outcome).version) == ("x", None)


# -- broken models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files, error",
    [
        ({f"a/{SETTINGS}": "{"}, "ZOO/a/model-settings.json, line 1, column 2: this is not JSON: expecting property name enclosed in double quotes. Mend the file."),
        ({f"a/{SETTINGS}": ANY | {"concurrency": "much"}}, "ZOO/a/model-settings.json, line 1: 'concurrency' must be an integer of 1 or more or null, not the text 'much'."),
        ({f"a/{SETTINGS}": {}}, "ZOO/a/model-settings.json: neither 'runtime' nor 'implementation' is given, and there is no file that an installed runtime recognises (model.joblib, model.onnx, model.pkl, model.skops, model.ubj). Give one of the two."),
        ({f"a/{SETTINGS}": {}, "a/model.pkl": ""}, 'ZOO/a/model-settings.json: model.pkl is code that runs when it is loaded, and is not served just because it is there. Say "allow_pickle": true in the model\'s settings if you trust it.'),
        ({"a/model.onnx": "", "a/model.skops": ""}, "ZOO/a: model.onnx, model.skops can be served by onnx, sklearn. Say which is meant in the model's settings: \"runtime\": \"onnx\" or \"runtime\": \"sklearn\"."),
        ({"a/model.ubj": ""}, "ZOO/a: model.ubj can be served by one:xgboost, two:xgboost. Say which is meant in the model's settings: \"runtime\": \"one:xgboost\" or \"runtime\": \"two:xgboost\"."),
        ({"a/model.ubj": "", "a/model.skops": ""}, "ZOO/a: model.skops, model.ubj can be served by one:xgboost, sklearn, two:xgboost. Say which is meant in the model's settings: \"runtime\": \"one:xgboost\" or \"runtime\": \"sklearn\" or \"runtime\": \"two:xgboost\"."),
        ({"stats/model.onnx": ""}, "ZOO/stats: no model can be called as this folder, 'stats'. Give the model a 'name' in its model-settings.json: letters, digits and ._- that begin with a letter, a digit or _."),
        ({f"a b/{SETTINGS}": ANY}, "ZOO/a b/model-settings.json: no model can be called as this folder, 'a b'. Give the model a 'name' in its model-settings.json: letters, digits and ._- that begin with a letter, a digit or _."),
        ({f"a/1 2/{SETTINGS}": ANY}, "ZOO/a/1 2/model-settings.json: no version can be called as this folder, '1 2'. Rename the folder, or give 'parameters.version' in its model-settings.json."),
    ],
    ids=["JSON", "type", "runtime", "code", "two runtimes", "contested", "contested and not", "stats", "name", "version"],
)  # fmt: skip
def test_a_broken_model_is_one_sentence_and_the_others_are_served(zoo, files, error):
    outcome = found(zoo, files | OTHER)
    assert titles(outcome) == [("other", None)]
    assert str(failure(outcome).error) == error.replace("ZOO", str(zoo))


def test_what_clients_may_know_shows_no_value_and_no_path_outside(zoo):
    outcome = found(zoo, {f"a/{SETTINGS}": ANY | {"concurrency": "secret"}})
    assert failure(outcome).reason == (
        "a/model-settings.json, line 1: 'concurrency' must be an integer of 1 or more or null."
    )
    assert failure(outcome).source == "a/model-settings.json"


@pytest.mark.parametrize(
    "files, name, version",
    [
        ({f"a/{SETTINGS}": "{"}, "a", None),
        ({f"a/1/{SETTINGS}": "{"}, "a", "1"),
        ({f"a/1/{SETTINGS}": {"name": "x", "zzz": 1}}, "x", "1"),
        ({f"a/{SETTINGS}": {"parameters": {"version": "7"}, "zzz": 1}}, "a", "7"),
        ({f"a/{SETTINGS}": {"name": "no name", "parameters": []}}, "a", None),
        ({f"m/x/{SETTINGS}": {"name": "x", "zzz": 1}}, "x", None),
    ],
    ids=["folder", "version folder", "own name", "own version", "no names at all", "folder called as its model"],
)
def test_a_broken_model_is_called_as_it_would_be_if_it_were_whole(zoo, files, name, version):
    assert (failure(found(zoo, files)).name, failure(found(zoo, files)).version) == (name, version)


# -- recognised files ------------------------------------------------------------------------------------------------


def test_a_folder_with_a_recognised_file_is_served_by_that_runtime(zoo):
    [model] = found(zoo, {"iris/model.skops": ""}).models
    assert (model.name, model.runtime, model.parameters.uri) == ("iris", "sklearn", "model.skops")
    assert model.allow_pickle is False


def test_a_served_folder_that_holds_a_recognised_file_is_a_model(zoo):
    outcome = found(zoo, {"model.onnx": ""})
    assert [(model.name, model.runtime) for model in outcome.models] == [("zoo", "onnx")]
    assert outcome.explanation == f"The folder {zoo} is a model, because of model.onnx in it."


def test_settings_without_a_runtime_take_that_of_the_file_beside_them(zoo):
    [model] = found(zoo, {f"iris/{SETTINGS}": {"concurrency": 1}, "iris/model.onnx": ""}).models
    assert (model.runtime, model.concurrency, model.parameters.uri) == ("onnx", 1, "model.onnx")


@pytest.mark.parametrize(
    "uri, runtime, expected",
    [
        ("weights/model.onnx", "onnx", "weights/model.onnx"),
        ("./weights/", "onnx", "./weights/model.onnx"),
        ("weights", "onnx", "weights/model.onnx"),
    ],
)
def test_settings_without_a_runtime_take_that_of_the_file_that_the_uri_leads_to(zoo, uri, runtime, expected):
    files = {f"a/{SETTINGS}": {"parameters": {"uri": uri}}, "a/weights/model.onnx": "", "a/weights/model.pkl": ""}
    [model] = found(zoo, files).models
    assert (model.runtime, model.parameters.uri) == (runtime, expected)


def test_a_uri_that_leads_to_nothing_known_gives_no_runtime(zoo):
    files = {f"a/{SETTINGS}": {"parameters": {"uri": "weights.bin"}}, "a/weights.bin": "", "a/model.skops": ""}
    assert "neither 'runtime' nor 'implementation' is given" in str(failure(found(zoo, files)).error)


def test_a_recognised_file_has_its_runtime_though_defaults_name_another(zoo):
    outcome = found(zoo, {SETTINGS: {"runtime": "r", "concurrency": 1}, "a/model.onnx": "", f"b/{SETTINGS}": {}})
    assert [(model.runtime, model.concurrency) for model in outcome.models] == [("onnx", 1), ("r", 1)]


def test_a_file_that_is_not_code_is_served_and_the_code_beside_it_is_not_touched(zoo):
    for folder in (zoo, zoo / "a"):
        lay(folder, {"model.pkl": "", "model.skops": ""})
    for model in found(zoo, {}).models:
        assert (model.parameters.uri, model.allow_pickle) == ("model.skops", False)


def test_code_is_served_from_the_folder_that_the_command_line_names(zoo):
    [model] = found(zoo, {"model.pkl": ""}).models
    assert (model.runtime, model.parameters.uri, model.allow_pickle) == ("sklearn", "model.pkl", True)


def test_code_elsewhere_is_not_served_and_noted(zoo, tmp_path):
    further = lay(tmp_path / "further", {"model.joblib": ""})
    outcome = found(zoo, {"a/model.pkl": "", "a/1/model.joblib": ""}, further)
    assert (outcome.models, outcome.failures) == ((), ())
    assert [note for note in outcome.notes if "is code" in note] == [
        f"{place}: {file} is code that runs when it is loaded, and is not served just because it is there. "
        'Say "allow_pickle": true in the model\'s settings if you trust it.'
        for place, file in ((zoo / "a", "model.pkl"), (zoo / "a" / "1", "model.joblib"), (further, "model.joblib"))
    ]


@pytest.mark.parametrize(
    "files, environ",
    [
        ({f"a/{SETTINGS}": {"allow_pickle": True}}, {}),
        ({SETTINGS: {"allow_pickle": True}}, {}),
        ({}, {"SRV_MODEL__ALLOW_PICKLE": "true"}),
    ],
    ids=["own settings", "defaults", "environment"],
)
def test_code_is_served_where_somebody_says_that_it_may_be(zoo, files, environ):
    [model] = found(zoo, files | {"a/model.pkl": ""}, **environ).models
    assert (model.name, model.runtime, model.allow_pickle) == ("a", "sklearn", True)


def test_code_is_not_served_where_somebody_says_that_it_may_not_be(zoo):
    assert "model.pkl is code" in str(failure(found(zoo, {SETTINGS: {"allow_pickle": False}, "model.pkl": ""})).error)


def test_a_model_that_names_its_runtime_is_asked_nothing_about_its_files(zoo):
    [model] = found(zoo, {f"a/{SETTINGS}": {"runtime": "sklearn"}, "a/model.pkl": ""}).models
    assert (model.runtime, model.parameters.uri, model.allow_pickle) == ("sklearn", None, False)


def test_the_artifact_of_one_model_is_no_model_of_its_own(zoo):
    files = {
        SETTINGS: ANY | {"parameters": {"uri": "weights"}},
        "weights/model.skops": "",
        "weights/1/model.onnx": "",
        f"a/{SETTINGS}": ANY | {"parameters": {"uri": "../data/model.skops"}},
        "data/model.skops": "",
    }
    assert titles(found(zoo, files)) == [("a", None), ("zoo", None)]


def test_a_folder_beside_an_artifact_is_a_model_all_the_same(zoo):
    files = {"model.onnx": "", f"a/{SETTINGS}": ANY | {"parameters": {"uri": "../data"}}, "data/w.bin": ""}
    assert titles(found(zoo, files)) == [("a", None), ("zoo", None)]


def test_a_uri_that_names_the_models_own_folder_claims_nothing_below_it(zoo):
    files = {SETTINGS: ANY | {"parameters": {"uri": "."}}, "a/model.skops": ""}
    assert titles(found(zoo, files)) == [("a", None), ("zoo", None)]


def test_a_folder_in_a_model_that_is_not_called_as_a_version_is_a_part_of_it(zoo):
    files = {f"a/{SETTINGS}": ANY, "a/weights/model.onnx": "", "a/v2/model.onnx": "", "b/canary/model.onnx": ""}
    outcome = found(zoo, files)
    assert titles(outcome) == [("a", None), ("a", "v2"), ("b", "canary")]
    [note] = outcome.notes
    assert note == (
        f"{zoo}/a/weights is a part of the model around it and no version, for its name does not begin with a number. "
        "To serve model.onnx as a version, give it a model-settings.json."
    )


def refuses_empty(runtime, path):
    return "" if path.read_text() else "it is empty"


@pytest.mark.parametrize("root", ["", "m/"], ids=["the root", "a model's folder"])
@pytest.mark.parametrize("folder", ["onnx", "1_Pooling", "v2-draft"])
def test_folders_in_a_model_whose_file_describes_its_folder_are_its_parts(zoo, root, folder):
    lay(zoo, {f"{root}model.skops": "whole", f"{root}{folder}/model.onnx": "a part"})
    outcome = Repository(
        read_server_settings(zoo, environ={}), RECOGNISED, refuses_empty, whole={"model.skops"}
    ).models()
    assert titles(outcome) == [("m" if root else zoo.name, None)]
    assert outcome.notes == ()


@pytest.mark.parametrize(
    "files",
    [
        {"m/model.skops": "whole", "m/2/model.onnx": "a version"},
        {"m/model.skops": "", "m/2-draft/model.onnx": "a version"},
        {"m/model.skops": "whole", "m/2-draft/model.onnx": "a version", f"m/2-draft/{SETTINGS}": {"runtime": "onnx"}},
    ],
    ids=["called by a number", "in a folder that no runtime takes", "with settings"],
)
def test_a_version_in_the_folder_of_a_model_that_a_file_describes_is_served(zoo, files):
    lay(zoo, files)
    outcome = Repository(
        read_server_settings(zoo, environ={}), RECOGNISED, refuses_empty, whole={"model.skops"}
    ).models()
    assert len(outcome.models) == 2


@pytest.mark.parametrize("own, name", [({}, "iris"), ({"name": "roses"}, "roses")], ids=["unnamed", "named"])
def test_a_model_that_is_the_root_may_be_called_otherwise_than_its_folder(zoo, own, name):
    lay(zoo, {SETTINGS: ANY | own, "other/model.skops": ""})
    settings = replace(read_server_settings(zoo, environ={}), root_name="iris")

    assert titles(Repository(settings, RECOGNISED).models()) == sorted([(name, None), ("other", None)])


# -- what the operator says --------------------------------------------------------------------------------------------

TRUST = {"runtime": "sklearn", "parameters": {"extra": {"trusted_types": ["shop.Basket"]}}}
ENVIRONMENT = {"SRV_MODEL__PARAMETERS__EXTRA": '{"trusted_types": ["shop.Basket"]}'}


@pytest.mark.parametrize(
    "files, environ",
    [
        pytest.param({SETTINGS: TRUST | {"name": "a"}}, {}, id="the folder that the command line names"),
        pytest.param({SETTINGS: {"parameters": TRUST["parameters"]}, f"a/{SETTINGS}": {"runtime": "sklearn"}}, {}, id="defaults beside it"),
        pytest.param({f"a/{SETTINGS}": {"runtime": "sklearn"}}, ENVIRONMENT, id="the environment"),
        pytest.param({f"a/{SETTINGS}": {"runtime": "sklearn", "parameters": {"extra": {"columns": {}}}}}, ENVIRONMENT, id="the environment, below the model's own"),
    ],
)  # fmt: skip
def test_what_the_operator_says_of_extra_is_known_as_such(zoo, files, environ):
    [model] = found(zoo, files, **environ).models
    assert model.operator_extra == {"trusted_types": ["shop.Basket"]}


def test_what_travels_with_a_model_is_not_what_the_operator_says(zoo, tmp_path):
    further = lay(tmp_path / "further", {SETTINGS: {"parameters": TRUST["parameters"]}, f"b/{SETTINGS}": TRUST})
    models = found(zoo, {f"a/{SETTINGS}": TRUST}, models_dir=further).models
    assert [(model.name, model.operator_extra) for model in models] == [("a", {}), ("b", {})]
    assert [model.parameters.extra for model in models] == [{"trusted_types": ["shop.Basket"]}] * 2


ALLOWED = {"runtime": "sklearn", "allow_pickle": True}


@pytest.mark.parametrize(
    "files, environ, allowed",
    [
        pytest.param({SETTINGS: ALLOWED | {"name": "a"}}, {}, True, id="the folder that the command line names"),
        pytest.param({SETTINGS: {"allow_pickle": True}, f"a/{SETTINGS}": {"runtime": "sklearn"}}, {}, True, id="defaults beside it"),
        pytest.param({f"a/{SETTINGS}": {"runtime": "sklearn"}}, {"SRV_MODEL__ALLOW_PICKLE": "true"}, True, id="the environment"),
        pytest.param({f"a/{SETTINGS}": ALLOWED}, {}, False, id="a file that travels with the model"),
        pytest.param({f"a/{SETTINGS}": ALLOWED | {"allow_pickle": False}}, {"SRV_MODEL__ALLOW_PICKLE": "true"}, False, id="a file that forbids it"),
        pytest.param({SETTINGS: {"name": "a", "runtime": "sklearn"}}, {}, False, id="nobody"),
    ],
)  # fmt: skip
def test_the_operators_word_on_pickles_is_known_as_such(zoo, files, environ, allowed):
    [model] = found(zoo, files, **environ).models
    assert model.operator_allows_pickle is allowed


# -- artifacts elsewhere -----------------------------------------------------------------------------------------------


def test_the_runtime_of_an_artifact_elsewhere_is_recognised_by_the_last_part_of_its_uri(zoo):
    uri = "s3://bucket/iris/model.skops?versionId=3#sha256=1"
    [model] = found(zoo, {f"iris/{SETTINGS}": {"parameters": {"uri": uri}}}).models
    assert (model.runtime, model.parameters.uri) == ("sklearn", uri)


def test_a_pickle_elsewhere_is_recognised_and_not_yet_allowed(zoo):
    [model] = found(zoo, {f"iris/{SETTINGS}": {"parameters": {"uri": "https://host/model.joblib"}}}).models
    assert (model.runtime, model.allow_pickle, model.operator_allows_pickle) == ("sklearn", False, False)


def test_a_root_whose_uri_has_a_scheme_is_a_model(zoo):
    result = found(
        zoo, {SETTINGS: {"runtime": "sklearn", "parameters": {"uri": "s3://bucket/x"}}, f"b/{SETTINGS}": ANY}
    )
    assert [model.name for model in result.models] == ["b", zoo.name]
    assert result.explanation.endswith("is a model: its 'parameters.uri' has a scheme.")


def test_a_cache_in_the_folder_is_no_model(zoo):
    files = {
        "settings.json": {"cache_dir": "cache"},
        "cache/model.skops": "",
        "cache/a/model.skops": "",
        f"b/{SETTINGS}": ANY,
    }

    assert [model.name for model in found(zoo, files).models] == ["b"]
