"""scripts/sizes counts lines of modules and functions, and names that stand twice."""

import json
import subprocess
import sys
from pathlib import Path

SIZES = Path(__file__).parents[2] / "scripts/sizes"


def test_the_middle_the_ninetieth_of_a_hundred_and_the_longest_are_told(tmp_path):
    http = tmp_path / "core/srv/serve/http"
    http.mkdir(parents=True)
    (tmp_path / "plugins").mkdir()
    (http / "__init__.py").write_text("")
    for lines in range(1, 11):
        function = f"def length_{lines}():\n" + "    pass\n" * (lines - 1 or 1)
        (http / f"m{lines}.py").write_text(function + "class Same:\n    pass\n")

    done = subprocess.run([sys.executable, SIZES, tmp_path, "--json"], capture_output=True, text=True, check=True)

    told = json.loads(done.stdout)
    assert told["modules"] == {
        "count": 10,
        "median": 7.5,
        "ninetieth": 11,
        "longest": 12,
        "where": "core/srv/serve/http/m10.py",
    }
    assert told["functions"]["longest"] == 10
    assert told["functions"]["where"] == "core/srv/serve/http/m10.py:1 length_10"
    assert told["modules of serve/http"] == 10
    assert told["class names of core that stand twice"] == {"Same": 10}
    assert told["module names of core that stand twice"] == {}
