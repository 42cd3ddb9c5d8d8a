"""Tables of categories, texts and vectors give CatBoost's own answer, in each form that clients send."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostRegressor
from trained import CATEGORIES, HOMES, KINDS, NUMBERS, RENTS, REVIEWS, homes, regressor, reviews

from srv import Tensor
from srv.testing import Client, assert_runtime_conforms, assert_tables, model

#: Booleans and integers that are categories come back from texts and floats where the settings say that they are some.
SAID = {"rooms": "integer", "balcony": "boolean"}
WORDS = HOMES.assign(rooms=HOMES["rooms"].astype(str), balcony=HOMES["balcony"].map({True: "yes", False: "no"}))


@cache
def of_homes():
    return homes()


@cache
def of_words():
    return regressor(RENTS, WORDS, cat_features=CATEGORIES)


@cache
def of_reviews():
    return reviews()


def as_file(estimator, form="cbm"):
    return {f"model.{form}": partial(save, estimator, form)}


def save(estimator, form, path):
    estimator.save_model(str(path), format=form)


def numbers(estimator):
    return pd.DataFrame(NUMBERS[:20], columns=[str(name) for name in estimator.feature_names_])


@pytest.mark.parametrize("form", ["cbm", "json"])
def test_a_table_with_categories_is_taken_in_every_form(tmp_path, form):
    frame = HOMES[:20]
    save(of_homes(), form, tmp_path / "own")
    own = CatBoostRegressor().load_model(str(tmp_path / "own"), format=form)  # because JSON rounds some numbers
    settings = {"parameters": {"extra": {"columns": SAID}}}
    files = as_file(of_homes(), form)
    expected = {"predict": own.predict(frame)}
    assert assert_tables("catboost", frame=frame, expected=expected, files=files, settings=settings) == 16


def test_a_table_of_words_needs_no_settings():
    frame = WORDS[:20]
    expected = {"predict": of_words().predict(frame), "leaf": of_words().calc_leaf_indexes(frame)}
    assert assert_tables("catboost", frame=frame, expected=expected, files=as_file(of_words())) == 16


def test_a_table_of_named_numbers_is_taken_in_every_form():
    frame = pd.DataFrame(NUMBERS, columns=list("abcde"))
    estimator = regressor(rows=frame)
    assert assert_tables(
        "catboost", frame=frame[:20], expected={"predict": estimator.predict(frame[:20])}, files=as_file(estimator)
    )


@pytest.mark.parametrize("rows", [1, 200, 256, 257, 400], ids=str)
def test_few_rows_and_many_get_the_same_answers(rows):
    frame = pd.concat([HOMES] * 2)[:rows]
    with Client.of(model("catboost", name="homes", files=as_file(of_homes()))) as client:
        for form in ("json", "binary", "grpc", "grpc-typed"):
            asked = {name: frame[name].to_numpy() for name in ("area", "rooms", "balcony", "floor")}
            answer = client.infer("homes", {**asked, "city": frame["city"].tolist()}, form=form)
            assert np.array_equal(answer["predict"], of_homes().predict(frame)), form


@pytest.mark.parametrize(
    "sent",
    [HOMES["rooms"][:9].tolist(), [str(each) for each in HOMES["rooms"][:9]], HOMES["rooms"][:9].to_numpy(np.int8)],
    ids=["INT64", "BYTES", "INT8"],
)
def test_an_integer_category_may_be_text(sent):
    frame = HOMES[:9]
    rest = {"area": frame["area"].to_numpy(), "city": frame["city"].tolist(), "floor": frame["floor"].to_numpy()}
    with Client.of(model("catboost", name="homes", files=as_file(of_homes()))) as client:
        answer = client.infer("homes", {**rest, "balcony": frame["balcony"].to_numpy(), "rooms": sent})
        assert np.array_equal(answer["predict"], of_homes().predict(frame))


def test_a_category_that_training_had_not_seen_gets_catboosts_answer():
    frame = HOMES[:3].assign(city="Kiel")
    asked = {name: frame[name].tolist() for name in frame.columns} | {"area": frame["area"].to_numpy()}
    closed = {"columns": {"city": {"category": ["Ulm", "Bonn", "Köln", ""]}}}
    strict = model("catboost", name="strict", files=as_file(of_homes()), parameters={"extra": closed})
    with Client.of(model("catboost", name="homes", files=as_file(of_homes())), strict) as client:
        assert np.array_equal(client.infer("homes", asked)["predict"], of_homes().predict(frame))
        refused = client.infer("strict", asked)
        assert (refused.status, refused.error) == (
            400,
            "Column 'city', row 0: 'Kiel' stands where one of the categories ('', 'Bonn', 'Köln', 'Ulm') belongs.",
        )


@pytest.mark.parametrize("rows", [3, 300])
def test_categories_that_the_settings_name_get_the_same_answers(rows):
    frame = HOMES[:rows]
    said = {
        "rooms": {"category": [1, 2, 3, 4, 5]},
        "city": {"category": ["Ulm", "Bonn", "Köln", ""]},
        "balcony": "boolean",
    }
    asked = {name: frame[name].to_numpy() for name in ("area", "rooms", "balcony", "floor")}
    given = model("catboost", name="homes", files=as_file(of_homes()), parameters={"extra": {"columns": said}})
    with Client.of(given) as client:
        answer = client.infer("homes", {**asked, "city": frame["city"].tolist()})
        assert np.array_equal(answer["predict"], of_homes().predict(frame))


VECTORS = {"parameters": {"extra": {"embeddings": {"vector": 4}}}}


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("form", ["json", "binary", "grpc", "grpc-typed"])
def test_texts_and_vectors_are_taken(form, datatype):
    frame = REVIEWS[:50]
    request = {
        "vector": Tensor("vector", np.stack(frame["vector"]), datatype),
        "text": frame["text"].tolist(),
        "stars": frame["stars"].to_numpy(),
    }
    with Client.of(model("catboost", name="reviews", files=as_file(of_reviews()), **VECTORS)) as client:
        outputs = ["predict", "predict_proba", "contributions"]
        answer = client.infer("reviews", request, outputs=outputs, form=form)
        assert np.array_equal(answer["predict_proba"], of_reviews().predict_proba(frame))
        assert answer["predict"].tolist() == of_reviews().predict(frame).tolist()
        assert answer["contributions"].shape == (50, 4)
        described = client.get("/v2/models/reviews").json["inputs"]
        assert [(each["name"], each["datatype"], each["shape"]) for each in described] == [
            ("stars", "FP64", [-1]),
            ("text", "BYTES", [-1]),
            ("vector", "FP32", [-1, 4]),
        ]


def columns_of(frame):
    return {
        name: frame[name].to_numpy() if frame[name].dtype.kind in "iufb" else frame[name].tolist()
        for name in frame.columns
    }


@pytest.mark.parametrize("kind, form", [("RMSE", "json"), ("MultiClass of words", "cbm")])
def test_models_of_numbers_conform(kind, form):
    estimator = KINDS[kind]()
    rows = np.nan_to_num(NUMBERS[:3])
    wrong = [
        {"input": rows[:, :3]},
        {"input": rows[0]},
        {"input": [["a"] * 5]},
        {"a": rows, "b": rows},
        {"x": rows[:0]},
    ]
    expected = {} if form == "json" else {"predict": np.asarray(estimator.predict(rows))}
    settings = {"max_batch_size": 8, "max_batch_time": 0.01} if form == "cbm" else {}
    assert_runtime_conforms(
        "catboost",
        request={"input": rows},
        expected=expected,
        wrong=wrong,
        files=as_file(estimator, form),
        settings=settings,
    )


def test_models_of_tables_conform():
    frame = WORDS[1:4]
    good = columns_of(frame) | {"floor": frame["floor"].to_numpy(float)}
    wrong = [good | {"city": [1.5, 2.5, 3.5]}, good | {"city": ["Ulm", None, "Ulm"]}, good | {"area": ["a", "b", "c"]}]
    expected = {"predict": of_words().predict(frame)}
    assert_runtime_conforms("catboost", request=good, expected=expected, wrong=wrong, files=as_file(of_words()))


def test_models_of_vectors_conform():
    frame = REVIEWS[:3]
    good = {
        "stars": frame["stars"].to_numpy(float),
        "text": frame["text"].tolist(),
        "vector": np.stack(frame["vector"]),
    }
    wrong = [
        good | {"vector": np.zeros((3, 3))},
        good | {"vector": np.full((3, 4), np.nan)},
        {"vector": good["vector"]},
    ]
    expected = {"predict": of_reviews().predict(frame)}
    files = as_file(of_reviews())
    assert_runtime_conforms("catboost", request=good, expected=expected, wrong=wrong, files=files, settings=VECTORS)
