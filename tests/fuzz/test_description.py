"""The server does what its own description says, and outlives what the description does not say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40")) * 1.25
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS * 3 + 60)
def test_whoever_follows_the_description_or_strays_from_it_is_answered_as_it_says(server, outlived):
    program = Path(sys.executable).with_name("schemathesis")
    description = f"{server.url()}/v2/docs/dataplane.json"
    limits = ["--max-time", str(max(1, round(SECONDS))), "--max-failures", "20", "--no-color"]
    with outlived():
        done = subprocess.run(
            [program, "--config-file", CONFIGURATION, "run", description, *limits],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
