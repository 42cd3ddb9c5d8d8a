"""Parquet files go through `srv infer` where the extra is installed, and are refused with a sentence where it is not."""

import json
import re
import subprocess

import pytest

pytestmark = pytest.mark.installed
FAILED = "out.parquet.failed.jsonl"
MODEL = """
import numpy as np
from numpy.typing import NDArray
from srv import Runtime


class Model(Runtime):
    def predict(self, rooms: NDArray[np.int64], city: list[str]) -> dict[str, NDArray]:
        if (rooms < 0).any():
            raise ValueError
        return {
            "label": np.array([name.upper() for name in city], object),
            "half": (rooms / 2).astype(np.float32),
            "pair": np.stack([rooms, rooms + 1], axis=1),
        }
"""
WRITE = """
import pyarrow as pa, pyarrow.parquet as pq
rooms, city = [float(number) for number in range(100)], pa.array([f"c{number}" for number in range(100)])
rooms[7], rooms[8], rooms[42] = None, 8.5, -1.0
table = pa.table({"city": city.dictionary_encode(), "note": city, "rooms": rooms})
pq.write_table(table, "in.parquet", row_group_size=33)
"""
READ = """
import json, pyarrow.parquet as pq
file = pq.ParquetFile("out.parquet")
types = {field.name: str(field.type).replace("item", "element") for field in file.schema_arrow}
print(json.dumps([types, file.num_row_groups, file.read().to_pylist()]))
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

    assert done.returncode == 1  # because of the rows that failed
    types, groups, rows = json.loads(fresh_environment.run("python", "-c", READ, cwd=tmp_path).stdout)
    assert types == {"label": "string", "half": "float", "pair": "list<element: int64>"}
    assert groups == 1  # and not one for each batch
    failed = {"label": None, "half": None, "pair": None}
    bad = {
        7: "Column 'rooms': null is no INT64.",
        8: "Column 'rooms': '8.5' is no INT64.",
        42: "Model 'm' raised ValueError",
    }
    assert rows == [failed if n in bad else {"label": f"C{n}", "half": n / 2, "pair": [n, n + 1]} for n in range(100)]
    reasons = {row["row"]: row["error"] for row in map(json.loads, (tmp_path / FAILED).read_text().splitlines())}
    assert {row: reason[: len(bad[row])] for row, reason in reasons.items()} == bad
    written = sorted(path.name for path in tmp_path.glob("*parquet*"))
    assert written == ["in.parquet", "out.parquet", FAILED]

    words = [fresh_environment.bin / "srv", *words[1:], "--to", "parquet", "--quiet"]
    words[words.index("out.parquet")] = "-"
    given = subprocess.run(words, cwd=tmp_path, env=fresh_environment.environ, stdout=subprocess.PIPE, check=False)
    assert given.returncode == 1
    assert given.stdout[-4:] == b"PAR1"
