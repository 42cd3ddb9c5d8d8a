"""Parquet files go through `srv infer` where the extra is installed, and are refused with a sentence where it is not."""

import json
import re
import subprocess

import pytest

pytestmark = pytest.mark.installed
MODEL = """
import numpy as np
from numpy.typing import NDArray
from srv import Runtime


class Model(Runtime):
    def predict(self, rooms: NDArray[np.int64], city: list[str]) -> dict[str, NDArray]:
        if (rooms < 0).any():
            raise ValueError
        return {"label": np.array([name.upper() for name in city], object), "half": rooms / 2}
"""
WRITE = """
import pyarrow as pa, pyarrow.parquet as pq
rooms, city = [*range(100)], [f"c{number}" for number in range(100)]
rooms[42] = -1
pq.write_table(pa.table({"city": city, "note": city, "rooms": rooms}), "in.parquet", row_group_size=33)
"""
READ = """
import json, pyarrow.parquet as pq
print(json.dumps(pq.read_table("out.parquet").to_pylist()))
"""


@pytest.fixture
def url(fresh_environment, tmp_path):
    place = tmp_path / "models" / "m"
    place.mkdir(parents=True)
    (place / "models.py").write_text(MODEL)
    (place / "model-settings.json").write_text('{"implementation": "models.Model"}')
    words = ["start", tmp_path / "models", "--http-port", "0", "--grpc-port", "null"]
    with subprocess.Popen(
        [fresh_environment.bin / "srv", *words], env=fresh_environment.environ, stderr=subprocess.PIPE, text=True
    ) as server:
        yield next(found[1] for line in server.stderr if (found := re.search(r"serving on (http://[^\s\"]+):", line)))
        server.terminate()
        server.communicate()


def test_parquet_goes_in_and_comes_out_where_its_extra_is_installed(fresh_environment, url, tmp_path):
    words = ["srv", "infer", "m", "--url", url, "-i", "in.parquet", "-o", "out.parquet", "--batch-size", "10"]
    (tmp_path / "in.parquet").touch()
    refused = fresh_environment.run(*words, check=False, cwd=tmp_path)
    assert refused.returncode == 1
    assert "pip install srv-inference[parquet]" in refused.stderr

    fresh_environment.pip("install", "pyarrow")
    fresh_environment.run("python", "-c", WRITE, cwd=tmp_path)
    done = fresh_environment.run(*words, check=False, cwd=tmp_path)

    assert done.returncode == 1  # because of the row that failed
    rows = json.loads(fresh_environment.run("python", "-c", READ, cwd=tmp_path).stdout)
    failed = {"label": None, "half": None}
    assert rows == [failed if n == 42 else {"label": f"C{n}", "half": n / 2} for n in range(100)]
    written = sorted(path.name for path in tmp_path.glob("*parquet*"))
    assert written == ["in.parquet", "out.parquet", "out.parquet.failed.jsonl"]
