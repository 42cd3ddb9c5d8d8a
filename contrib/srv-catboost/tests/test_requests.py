"""What does not fit is a 400 that says what and where; what the settings say wrongly keeps the model from loading."""

import numpy as np
import pytest
from test_tables import VECTORS, as_file, columns_of, of_homes, of_reviews
from trained import HOMES, NUMBERS, REVIEWS, regressor

from srv import Tensor
from srv.errors import LoadFailed
from srv.testing import Client, model

GOOD = columns_of(HOMES[1:4])
REVIEW = {
    "stars": REVIEWS["stars"][:2].to_numpy(),
    "text": REVIEWS["text"][:2].tolist(),
    "vector": np.stack(REVIEWS["vector"][:2]),
}


@pytest.fixture(scope="module")
def client():
    forbidden = regressor(rows=np.nan_to_num(NUMBERS), nan_mode="Forbidden")
    with Client.of(
        model("catboost", name="homes", files=as_file(of_homes())),
        model("catboost", name="reviews", files=as_file(of_reviews()), **VECTORS),
        model("catboost", name="numbers", files=as_file(regressor())),
        model("catboost", name="forbidden", files=as_file(forbidden)),
    ) as client:
        yield client


WRONG = {
    "an unknown column": ("homes", GOOD | {"cellar": [1, 2, 3]}, "Column 'cellar' is unknown"),
    "no column": ("homes", {name: GOOD[name] for name in GOOD if name != "city"}, "Column 'city' is missing."),
    "a float category": ("homes", GOOD | {"rooms": [1.0, 2.0, 3.0]}, "Column 'rooms', row 0: the number 1.0 (FP64) stands where text or an integer belongs."),
    "a missing category": ("homes", GOOD | {"city": ["Ulm", None, "Bonn"]}, "Column 'city', row 1: a missing value stands where text or an integer belongs."),
    "a text as number": ("homes", GOOD | {"area": ["50", "60", "70"]}, "Column 'area', row 0: '50' (BYTES) stands where a number belongs."),
    "other lengths": ("homes", GOOD | {"floor": [1, 2]}, "rows"),
    "a matrix of floats": ("homes", {"x": np.ones((2, 5))}, "Column 'city', row 0: the number 1.0 (FP64) stands where text or an integer belongs."),
    "no rows": ("homes", {name: values[:0] for name, values in GOOD.items()} | {"city": Tensor("city", [], "BYTES", [0])}, "The request has no rows"),
    "no rows of numbers": ("numbers", {"x": NUMBERS[:0]}, "The request has no rows"),
    "too wide": ("numbers", {"x": np.ones((2, 6))}, "rows of 5 features, so the shape must be [n, 5]"),
    "too narrow": ("numbers", {"x": np.ones((2, 4))}, "rows of 5 features, so the shape must be [n, 5]"),
    "too deep": ("numbers", {"x": np.ones((2, 5, 1))}, "rows of 5 features, so the shape must be [n, 5]"),
    "names without names": ("numbers", {"a": [1.0], "b": [2.0]}, "Input 'a' is unknown; the model takes input."),
    "words": ("numbers", {"x": [["a"] * 5]}, "Column 0, row 0: 'a' (BYTES) stands where a number belongs."),
    "a forbidden NaN": ("forbidden", {"x": NUMBERS}, "a missing value stands where a number belongs."),
    "no vector": ("reviews", {name: REVIEW[name] for name in ("stars", "text")}, "The model takes vectors in 'vector'; send a tensor for each feature, by its name."),
    "a long vector": ("reviews", REVIEW | {"vector": np.ones((2, 5))}, "Input 'vector' is FP64 [2, 5]; the model takes a vector of 4 floats"),
    "a vector of integers": ("reviews", REVIEW | {"vector": np.ones((2, 4), dtype=np.int64)}, "must be FP32 or FP64 [n, 4]"),
    "a vector with NaN": ("reviews", REVIEW | {"vector": np.array([[1, 2, 3, 4], [1, np.nan, 3, 4]])}, "Input 'vector', row 1: the vector holds a value that is missing or infinite."),
    "a missing text": ("reviews", REVIEW | {"text": ["a", None]}, "Column 'text', row 1: a missing value stands where text belongs."),
    "fewer vectors": ("reviews", REVIEW | {"vector": np.ones((1, 4))}, "Column 'vector' has 1 rows and column 'stars' has 2."),
    "an unknown input beside a vector": ("reviews", REVIEW | {"start": [1, 2]}, "Column 'start' is unknown; the model takes stars, text, vector. Did you mean 'stars'?"),
    "a vector alone": ("reviews", {"vector": REVIEW["vector"]}, "Columns 'stars', 'text' are missing."),
    "vectors without rows": ("reviews", {name: values[:0] for name, values in REVIEW.items()} | {"text": Tensor("text", [], "BYTES", [0])}, "The request has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name, inputs, sentence", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_a_400_that_says_where(client, name, inputs, sentence):
    answer = client.infer(name, inputs)
    assert answer.status == 400
    assert sentence in answer.error


def test_an_unknown_output_is_refused_with_those_there_are(client):
    answer = client.infer("numbers", {"x": NUMBERS[:1]}, outputs=["predict_proba"])
    assert answer.status == 400
    assert all(name in answer.error for name in ("predict", "raw", "leaf", "contributions"))


def test_texts_of_all_columns_are_refused_where_one_may_be_a_boolean(client):
    answer = client.infer("homes", {"x": [["50", "Ulm", "2", "true", "1"]]})
    assert (answer.status, "Column 'balcony' may hold values of any kind" in answer.error) == (400, True)


def test_catboost_prints_nothing_beside_the_log(client, capfd):
    talkative = regressor(verbose=1)
    capfd.readouterr()
    with Client.of(model("catboost", name="talkative", files=as_file(talkative))) as other:
        assert other.infer("talkative", {"x": NUMBERS}).ok
    assert client.infer("numbers", {"x": NUMBERS}, outputs=["contributions", "leaf"]).ok
    assert capfd.readouterr().out == ""


SETTINGS = {
    "an unknown column": (of_homes, {"columns": {"citi": "text"}}, "parameters.extra.columns names 'citi', and the model was trained on area, balcony, city, floor, rooms. Did you mean 'city'?"),
    "a number that is text": (of_homes, {"columns": {"area": "text"}}, "parameters.extra.columns says 'text' for 'area', which holds numbers in the model; the kinds of these are"),
    "a category that is a float": (of_homes, {"columns": {"rooms": "float"}}, "says 'float' for 'rooms', which holds categories in the model"),
    "an optional category": (of_homes, {"columns": {"rooms": {"kind": "integer", "optional": True}}}, "says 'optional' for 'rooms', which means nothing to a model of CatBoost"),
    "an unknown key": (of_homes, {"colums": {}}, "colums"),
    "vectors of no length": (of_reviews, {}, "The model takes vectors in 'vector', and its file does not say how long they are"),
    "vectors that are none": (of_homes, {"embeddings": {"area": 3}}, "parameters.extra.embeddings names 'area', and the model takes none."),
    "vectors of length 0": (of_reviews, {"embeddings": {"vector": 0}}, "embeddings"),
    "no thread": (of_homes, {"thread_count": 0}, "thread_count"),
}  # fmt: skip


@pytest.mark.parametrize("estimator, extra, sentence", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_do_not_fit_keep_the_model_from_loading(estimator, extra, sentence):
    with pytest.raises(Exception) as refused:
        Client.of(model("catboost", name="m", files=as_file(estimator()), parameters={"extra": extra}))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"hello", "'model.cbm' holds no model of CatBoost"),
        (b"CBM1" + b"x" * 50, "cannot read 'model.cbm': Failed to read required number of bytes"),
        (b"", "'model.cbm' holds no model of CatBoost"),
        (b'{"features_info": {}}', "'model.cbm' holds no trees"),
        (b'{"learner": {}}', "'model.cbm' holds no model of CatBoost"),
    ],
    ids=["no model", "garbage", "empty", "no trees", "XGBoost's"],
)
def test_a_file_that_holds_no_model_is_refused(content, sentence):
    with pytest.raises(LoadFailed) as refused:
        Client.of(model("catboost", name="m", files={"model.cbm": content}))
    assert sentence in str(refused.value)


def test_a_format_that_the_file_has_not_is_refused():
    with pytest.raises(LoadFailed, match=r"parameters.format says 'json', and 'model.cbm' is cbm. Leave it out"):
        Client.of(model("catboost", name="m", files=as_file(of_homes()), parameters={"format": "json"}))
