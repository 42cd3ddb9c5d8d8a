"""A real server of a bare folder, as `srv start` serves it."""

import shutil

import numpy as np

from srv.testing import FORMS
from srv.testing.requests import as_request

ROWS = np.random.default_rng(9).uniform(0, 8, (1000, 4))


def test_a_bare_folder_is_served_with_no_settings(saved, pyfunc, srv_server, tmp_path):
    import pandas as pd

    shutil.copytree(saved("iris"), tmp_path / "iris")
    server = srv_server(tmp_path / "iris")
    names = [each["name"] for each in server.metadata("iris").json["inputs"]]
    expected = pyfunc("iris").predict(pd.DataFrame(ROWS, columns=names)).tolist()
    for form in FORMS:
        answer = form.infer(server, "iris", as_request({"x": ROWS}))
        assert [name.decode() for name in answer["output"]] == expected
    body = ",".join(names).encode() + b"\n5.1,3.5,1.4,0.2\n"
    answer = server.request("POST", "/v2/models/iris/invocations", body, headers={"content-type": "text/csv"})
    assert answer.json == {"predictions": ["setosa"]}


def test_below_the_served_folder_it_is_code_that_must_be_allowed(saved, srv_server, tmp_path):
    shutil.copytree(saved("iris"), tmp_path / "models" / "iris")
    server = srv_server(tmp_path / "models")
    assert server.get("/v2/models/iris").status == 404
    assert "MLmodel is code that runs when it is loaded" in server.logs
