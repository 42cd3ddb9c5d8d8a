"""Served by srv, each kind of model does what every runtime must do, and threads get their own answers."""

import time

import lightgbm
import numpy as np
import pytest

from srv.testing import Client, assert_runtime_conforms, model, srv_server
from srv.testing.thread_stress import run_in_threads

FEW = {"n_estimators": 5, "n_jobs": 1, "verbose": -1}
OUTPUTS = ["predict", "raw_score", "contributions", "leaf"]


def number(rows):
    return np.nan_to_num(rows[:, 0] + rows[:, 1])


@pytest.mark.parametrize("kind", [lightgbm.LGBMRegressor, lightgbm.LGBMClassifier], ids=["regressor", "classifier"])
def test_it_conforms(rows, kind):
    target = number(rows) if kind is lightgbm.LGBMRegressor else np.digitize(number(rows), [-0.5, 0.5])
    own = kind(**FEW).fit(rows, target)
    deep = np.zeros((1, 1, 1, 1))
    assert_runtime_conforms(
        "lightgbm",
        request={"input": rows[:3]},
        expected={"predict": own.booster_.predict(rows[:3])},
        wrong=[{"input": deep}, {"one": deep, "another": deep}],
        files={"model.txt": own.booster_.save_model},
    )


@pytest.mark.parametrize("booster", ["gbdt", "dart"])
def test_threads_get_the_answers_to_their_own_rows(rows, booster):
    own = lightgbm.LGBMRegressor(**FEW | {"n_estimators": 30}, boosting_type=booster).fit(rows, number(rows))
    parts = [rows[start : start + 1 + 40 * place] for place, start in enumerate(range(0, 800, 100))]
    expected = [
        {
            "predict": own.predict(part),
            "raw_score": own.predict(part, raw_score=True),
            "contributions": own.predict(part, pred_contrib=True),
            "leaf": own.predict(part, pred_leaf=True),
        }
        for part in parts
    ]
    wrong, counts = [], [0] * len(parts)
    with Client.of(model("lightgbm", name="m", files={"model.txt": own.booster_.save_model})) as client:
        end = time.monotonic() + 0.7

        def ask(number):
            while counts[number] < 2 or time.monotonic() < end:
                answer = client.infer("m", {"x": parts[number]}, outputs=OUTPUTS)
                wrong.extend(name for name in OUTPUTS if not np.array_equal(answer[name], expected[number][name]))
                counts[number] += 1

        run_in_threads(ask, len(parts))
    assert wrong == []
    assert min(counts) >= 2


def test_a_bare_folder_is_served_over_every_wire(rows, tmp_path):
    own = lightgbm.LGBMClassifier(**FEW).fit(rows, (number(rows) > 0).astype(int))
    own.booster_.save_model(tmp_path / "model.txt")

    with srv_server(tmp_path) as server:
        [name] = server.get("/v2/models").json["models"]
        for form in ("json", "binary", "grpc", "grpc-typed"):
            answer = server.infer(name, {"x": rows}, outputs=["predict", "predict_proba"], form=form)
            assert np.array_equal(answer["predict"], own.booster_.predict(rows))
            assert np.array_equal(answer["predict_proba"], own.predict_proba(rows))
        assert server.get(f"/v2/models/{name}").json["platform"] == "lightgbm"
