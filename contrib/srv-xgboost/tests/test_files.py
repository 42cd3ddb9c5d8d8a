"""Which files are XGBoost's, which are read, and what is said of the others."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import xgboost

from srv.errors import SrvError
from srv_xgboost import XGBoostRuntime
from srv_xgboost.categories import categories_of
from srv_xgboost.files import WELL_KNOWN

ROWS = np.arange(20.0).reshape(10, 2)
OWN = xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(ROWS, np.arange(10.0))


def spaced(path):
    OWN.save_model(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))


def sorted_keys(path):
    OWN.save_model(path)
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))


@pytest.mark.parametrize("file", [*WELL_KNOWN, "churn.model"])
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_each_format_is_recognised_and_read(load, tmp_path, file, form):
    class Saved:
        @staticmethod
        def save_model(path):
            path.write_bytes(OWN.get_booster().save_raw(form))

    model = load(Saved, file, uri=None if file in WELL_KNOWN else file)
    assert XGBoostRuntime.recognise(tmp_path / file)
    assert np.array_equal(model.ask(ROWS)["predict"], OWN.predict(ROWS))


@pytest.mark.parametrize("write", [spaced, sorted_keys])
def test_json_that_another_program_has_written_is_recognised_and_read(load, tmp_path, write):
    class Other:
        save_model = staticmethod(write)

    model = load(Other, "model.json")
    assert XGBoostRuntime.recognise(tmp_path / "model.json")
    assert np.array_equal(model.ask(ROWS)["predict"], OWN.predict(ROWS))


OTHERS = {
    "a LightGBM's text": b"tree\nversion=v4\nnum_class=1\n",
    "a CatBoost's JSON": b'{"features_info":{"float_features":[]},"oblivious_trees":[]}',
    "a JSON array": b'["learner"]',
    "JSON with a learner deeper": b'{"a":{"learner":1}}',
    "an empty file": b"",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_files_of_others_are_not_recognised_and_not_loaded(load, tmp_path, content):
    class Other:
        save_model = staticmethod(lambda path: path.write_bytes(content))

    with pytest.raises(SrvError, match=r"'model.json' holds no model of XGBoost"):
        load(Other, "model.json")
    assert not XGBoostRuntime.recognise(tmp_path / "model.json")


@pytest.mark.parametrize("head", [b"binf", b"", b"bs64\t"], ids=["with its name", "without", "in base64"])
def test_the_old_binary_format_is_told_with_how_to_convert_it(load, tmp_path, head):
    class Old:
        save_model = staticmethod(lambda path: path.write_bytes(head + np.array([0.5], "f").tobytes() + bytes(300)))

    with pytest.raises(SrvError, match=r"old binary format.*save_model\('model\.ubj'\)"):
        load(Old, "model.bst")
    assert XGBoostRuntime.recognise(tmp_path / "model.bst")


def test_a_file_that_was_cut_off_is_refused(load):
    class Cut:
        @staticmethod
        def save_model(path):
            OWN.save_model(path)
            path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(SrvError, match=r"xgboost \S+ cannot read 'model.json': .*\. Save or copy it again, or install"):
        load(Cut, "model.json")


@pytest.mark.parametrize("form, other", [("json", "ubj"), ("ubj", "json")])
def test_a_format_that_the_file_has_not_is_refused(load, form, other):
    assert load(OWN, f"model.{form}", format=form)
    with pytest.raises(
        SrvError, match=rf"parameters\.format says '{other}', and 'model.{form}' is {form}\. Leave it out"
    ):
        load(OWN, f"model.{form}", format=other)


def test_two_builds_of_different_versions_over_each_other_are_refused(load, monkeypatch):
    versions = {"xgboost": "2.1.4", "xgboost-cpu": "3.2.0"}
    monkeypatch.setattr("srv_xgboost.booster.version", versions.__getitem__)
    with pytest.raises(SrvError, match=r"xgboost 2\.1\.4 and xgboost-cpu 3\.2\.0 are both installed"):
        load(OWN)
    versions["xgboost"] = "3.2.0"
    assert load(OWN).ask(ROWS)

    def one(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("srv_xgboost.booster.version", one)
    assert load(OWN).ask(ROWS)


def test_a_library_whose_files_went_with_the_other_build_is_told_with_what_to_do(load, monkeypatch):
    monkeypatch.delitem(sys.modules, "srv_xgboost.booster", raising=False)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(SrvError, match=r"pip install --force-reinstall --no-deps xgboost-cpu"):
        load(OWN)


def test_the_runtimes_module_imports_no_xgboost():
    code = "import sys, srv_xgboost; print(sorted({'xgboost', 'scipy', 'pandas', 'sklearn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_categories_are_read_beside_numbers_that_are_no_json():
    cats = b'"cats":{"enc":[{"offsets":[],"values":[]},{"offsets":[0,2,3],"values":[97,98,99]},{"type":15,"values":[3,7]}]}'
    model = b'{"learner":{"gradient_booster":{"model":{%s,"trees":[NaN,-Infinity]},"name":"gbtree"}}}'
    in_dart = b'{"learner":{"gradient_booster":{"gbtree":{"model":{%s}},"name":"dart","weight_drop":[1]}}}'
    for form in (model, model.replace(b"NaN,-Infinity", b"1"), in_dart):
        assert categories_of(form % cats) == {1: ("ab", "c"), 2: (3, 7)}
    assert categories_of(model % b'"trees":[]') == {}
