"""Served by srv, each kind of model does what every runtime must do, and threads get their own answers."""

import time

import numpy as np
import pytest
import xgboost

from srv.testing import Client, assert_runtime_conforms, model, srv_server
from srv.testing.thread_stress import run_in_threads

FEW = {"n_estimators": 5, "n_jobs": 1}
OUTPUTS = ["predict", "margin", "contributions"]


def number(rows):
    return np.nan_to_num(rows[:, 0] + rows[:, 1])


@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
@pytest.mark.parametrize("kind", [xgboost.XGBRegressor, xgboost.XGBClassifier], ids=["regressor", "classifier"])
def test_it_conforms(rows, kind, file):
    target = number(rows) if kind is xgboost.XGBRegressor else (number(rows) > 0).astype(int)
    own = kind(**FEW).fit(rows, target)
    deep = np.zeros((1, 1, 1, 1))
    assert_runtime_conforms(
        "xgboost",
        request={"input": rows[:3]},
        expected={"predict": own.predict(rows[:3])},
        wrong=[{"input": deep}, {"one": deep, "another": deep}],
        files={file: own.save_model},
    )


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_threads_get_the_answers_to_their_own_rows(rows, booster):
    own = xgboost.XGBRegressor(n_estimators=30, n_jobs=1, booster=booster).fit(rows, number(rows))
    parts = [rows[start : start + 100] for start in range(0, 800, 100)]
    expected = [
        {
            "predict": own.predict(part),
            "margin": own.predict(part, output_margin=True),
            "contributions": own.get_booster().predict(xgboost.DMatrix(part), pred_contribs=True),
        }
        for part in parts
    ]
    wrong, counts = [], [0] * len(parts)
    with Client.of(model("xgboost", name="m", files={"model.ubj": own.save_model})) as client:
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
    own = xgboost.XGBClassifier(n_estimators=20, n_jobs=1).fit(rows, (number(rows) > 0).astype(int))
    own.save_model(tmp_path / "model.ubj")

    with srv_server(tmp_path, settings={}) as server:
        [name] = server.get("/v2/models").json["models"]
        for form in ("json", "binary", "grpc", "grpc-typed"):
            answer = server.infer(name, {"x": rows}, outputs=["predict", "predict_proba"], form=form)
            assert np.array_equal(answer["predict"], own.predict(rows))
            assert np.array_equal(answer["predict_proba"], own.predict_proba(rows))
        assert server.get(f"/v2/models/{name}").json["platform"] == "xgboost"
