"""A few seconds of scripts/chaos: everything at once, and nothing wrong, hung, or lost without a cause."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(300)]
CHAOS = Path(__file__).parents[2] / "scripts/chaos"


def test_under_everything_at_once_nothing_is_wrong_hung_or_lost_without_a_cause(tmp_path, figure):
    figures, log = tmp_path / "figures.json", tmp_path / "log"
    words = ["--seconds", "6", "--warm-up", "2", "--kill-every", "2.5", "--replace-every", "4"]

    done = subprocess.run(
        [sys.executable, CHAOS, *words, "--json", figures, "--log", log], capture_output=True, text=True, check=False
    )

    said = f"{done.stdout}\n{done.stderr}\n{log.read_text()[-4000:] if log.exists() else ''}"
    assert done.returncode == 0, said
    told = json.loads(figures.read_text())
    assert (told["wrong"], told["hung"], told["lost"]["without a cause"], told["in_flight_bytes"]) == (0, 0, 0, 0)
    assert told["right"] > 500, said
    lost = sum(told["lost"]["with a cause"].values())
    figure(f"everything at once, 6 s: {told['right']} right, {told['kills']} workers killed, {lost} lost with them")
