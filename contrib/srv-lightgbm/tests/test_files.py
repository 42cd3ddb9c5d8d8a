"""Which files are LightGBM's, which are read, and what is said of the others."""

import subprocess
import sys

import lightgbm
import numpy as np
import pandas
import pytest

from srv.errors import SrvError
from srv.testing import Client
from srv_lightgbm import LightGBMRuntime
from srv_lightgbm.files import WELL_KNOWN

ROWS = np.random.default_rng(0).normal(size=(400, 2))
OWN = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(ROWS, ROWS[:, 0])


class Written:
    """A model in the form in which `load` takes it, with content of any kind."""

    def __init__(self, content):
        self.save_model = lambda path: path.write_bytes(content)


@pytest.mark.parametrize("file", [*WELL_KNOWN, "churn.model"])
def test_a_file_of_each_name_is_recognised_and_read(load, tmp_path, file):
    model = load(OWN, file, uri=None if file in WELL_KNOWN else file)
    assert LightGBMRuntime.recognise(tmp_path / file)
    assert np.array_equal(model.ask(ROWS)["predict"], OWN.predict(ROWS))


OTHERS = {
    "an XGBoost's JSON": b'{"learner":{"attributes":{}}}',
    "an XGBoost's UBJSON": b"{L\0\0\0\0\0\0\0\7learner{L",
    "a text": b"tree of life\nversion=4\n",
    "a first line alone": b"tree\n",
    "an empty file": b"",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_files_of_others_are_not_recognised_and_not_loaded(load, tmp_path, content):
    with pytest.raises(SrvError, match=r"'model.bst' holds no model of LightGBM"):
        load(Written(content), "model.bst")
    assert not LightGBMRuntime.recognise(tmp_path / "model.bst")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8, 0.99])
def test_a_file_that_was_cut_off_is_refused(load, keep):
    content = OWN.booster_.model_to_string().encode()
    content = content[: content.index(b"end of trees")]
    with pytest.raises(SrvError, match=r"'model.txt' does not hold all trees that its first lines tell of"):
        load(Written(content[: int(len(content) * keep)]))


OF_CATEGORIES = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(
    pandas.DataFrame({"city": pandas.Categorical(["Ulm", "Bonn"] * 200), "x": ROWS[:, 1]}), ROWS[:, 0]
)
#: Where a file is cut: right behind its trees, and within each part that follows.
CUTS = (
    b"end of trees\n",
    b"feature_importances:\n",
    b"\nparameters:\n",
    b"[num_leaves",
    b"end of para",
    b"\npandas_cat",
)


@pytest.mark.parametrize("end", CUTS, ids=lambda end: end.decode().strip())
def test_a_file_that_was_cut_off_behind_its_trees_is_refused(load, end):
    content = OF_CATEGORIES.booster_.model_to_string().encode()
    content = content[: content.index(end) + len(end)]
    with pytest.raises(
        SrvError, match=r"'model.txt' does not hold all that stands behind its trees, such as categories"
    ):
        load(Written(content))


def test_a_file_that_python_has_not_written_has_no_categories_and_is_read(load):
    content = OWN.booster_.model_to_string().encode()
    content = content[: content.index(b"pandas_categorical")]
    assert np.array_equal(load(Written(content)).ask(ROWS)["predict"], OWN.predict(ROWS))


def test_a_file_without_parameters_which_python_has_written_is_read(load):
    content = OWN.booster_.model_to_string().encode()
    content = content[: content.index(b"parameters:")] + content[content.index(b"pandas_categorical") :]
    assert np.array_equal(load(Written(content)).ask(ROWS)["predict"], OWN.predict(ROWS))


def test_a_format_that_the_file_has_not_is_refused(load):
    assert load(OWN, format="text")
    with pytest.raises(SrvError, match=r"parameters\.format says 'json', and 'model.txt' is text\. Leave it out"):
        load(OWN, format="json")


@pytest.mark.parametrize("change", [(b"\n", b"\r\n"), (b"Tree=1\n", b"Tree=1\n\n")], ids=["line ends", "a line more"])
def test_a_file_whose_trees_were_changed_is_refused(load, change):
    with pytest.raises(SrvError, match=r"it was cut off, or its text was changed"):
        load(Written(OWN.booster_.model_to_string().encode().replace(*change)))


def test_a_file_of_an_old_release_which_does_not_tell_the_sizes_of_its_trees_is_read(load):
    lines = OWN.booster_.model_to_string().splitlines(keepends=True)
    old = "".join(line for line in lines if not line.startswith("tree_sizes=")).encode()
    assert np.array_equal(load(Written(old)).ask(ROWS)["predict"], OWN.predict(ROWS))
    with pytest.raises(SrvError, match="does not hold all trees"):
        load(Written(old[: old.index(b"Tree=2")]))


@pytest.mark.parametrize("size", ["x", "9" * 30], ids=["no number", "more than a file has"])
def test_a_file_with_a_wrong_size_of_a_tree_is_refused(load, size):
    content = OWN.booster_.model_to_string().encode()
    with pytest.raises(SrvError, match=r"it was cut off, or its text was changed"):
        load(Written(content.replace(b"tree_sizes=", f"tree_sizes={size}".encode())))


def test_categories_that_cannot_be_read_are_refused(load):
    with pytest.raises(SrvError, match=r"lightgbm \S+ cannot read 'model.txt': .*\. Save or copy it again, or install"):
        load(Written(OWN.booster_.model_to_string().encode() + b"\npandas_categorical:[[1, 2\n"))


def test_the_runtimes_module_imports_no_lightgbm():
    code = "import sys, srv_lightgbm; print(sorted({'lightgbm', 'scipy', 'pandas', 'sklearn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_beside_srv_xgboost_a_model_bst_goes_to_the_package_whose_file_it_is(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    pytest.importorskip("srv_xgboost")
    other = xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(ROWS, ROWS[:, 0])
    for name, content in (
        ("own", OWN.booster_.model_to_string().encode()),
        ("other", other.get_booster().save_raw("ubj")),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bst").write_bytes(content)

    with Client.of(tmp_path) as client:
        assert client.get("/v2/models/own").json["platform"] == "lightgbm"
        assert client.get("/v2/models/other").json["platform"] == "xgboost"
        assert np.array_equal(client.infer("own", {"x": ROWS})["predict"], OWN.predict(ROWS))
        assert np.array_equal(client.infer("other", {"x": ROWS})["predict"], other.predict(ROWS))
