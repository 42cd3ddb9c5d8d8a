"""The script that installs packages while an image is built: uv with pip's settings, else pip."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

from srv_dockerfile.installing import script_words

UV = """
    #!{python}
    import json, os, sys
    names = ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INSECURE_HOST", "UV_FIND_LINKS", "SSL_CERT_FILE", "UV_HTTP_TIMEOUT"]
    print(json.dumps([sys.argv[1:], {{name: os.environ[name] for name in names if name in os.environ}}]))
    sys.exit({code})
"""


@pytest.fixture
def install(tmp_path):
    """Run the script as a Dockerfile writes it, beside a uv that tells what it was given."""

    def make(*words, code=0, uv=True, config="", **environ):
        subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {' '.join(script_words())} > install.py"], cwd=tmp_path, check=True
        )
        if uv:
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin/uv").write_text(dedent(UV.format(python=sys.executable, code=code)).lstrip())
            (tmp_path / "bin/uv").chmod(0o755)
        (tmp_path / "pip.conf").write_text(config)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "SSL_"))}
        own = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        own |= {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path)}  # without the files of this machine
        return subprocess.run(
            [sys.executable, tmp_path / "install.py", sys.executable, *words],
            env=kept | own | environ,
            capture_output=True,
            text=True,
            check=False,
        )

    return make


NOTHING = ("--no-index", "srv-no-such-distribution")


def told(answer):
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout.splitlines()[0])


def test_uv_gets_the_words(install):
    words, _ = told(install("-r", "requirements.txt", "numpy<3"))
    assert words == ["pip", "install", "--python", sys.executable, "-r", "requirements.txt", "numpy<3"]


def test_settings_of_pip_hold_for_uv_and_the_nearest_counts(install):
    config = (
        "[global]\nindex-url = https://a.example/simple\ntimeout = 7\n[install]\nindex-url = https://b.example/simple\n"
    )
    given = {
        "PIP_EXTRA_INDEX_URL": "https://c.example/simple https://d.example/simple",
        "PIP_TRUSTED_HOST": "c.example",
        "PIP_CERT": "/etc/ca.pem",
        "PIP_FIND_LINKS": "/wheels /more",
    }
    _, settings = told(install(config=config, **given))
    assert {name: value for name, value in settings.items() if value} == {
        "UV_DEFAULT_INDEX": "https://b.example/simple",
        "UV_INDEX": "https://c.example/simple https://d.example/simple",
        "UV_INSECURE_HOST": "c.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_HTTP_TIMEOUT": "7",
    }
    _, settings = told(install(config=config, PIP_INDEX_URL="https://e.example/simple"))
    assert settings["UV_DEFAULT_INDEX"] == "https://e.example/simple"


def test_constraints_of_pip_hold_for_uv_beside_those_that_the_words_name(install):
    config = "[global]\nconstraint = general.txt\n[install]\nconstraint = near.txt more.txt\n"
    words, _ = told(install("-c", "lowest.txt", "numpy", config=config))
    assert words[4:] == ["-c", "near.txt", "-c", "more.txt", "-c", "lowest.txt", "numpy"]


def test_a_setting_that_uv_has_not_is_left_to_pip(install):
    answer = install(*NOTHING, config="[global]\nonly-binary = :all:\n")
    assert "uv has no setting only-binary, so pip installs." in answer.stdout
    assert "No matching distribution found for srv-no-such-distribution" in answer.stderr


@pytest.mark.parametrize("given", [{"uv": False}, {"code": 1}], ids=["no uv", "uv fails"])
def test_what_uv_cannot_install_pip_tries_and_pip_has_the_last_word(install, given):
    answer = install(*NOTHING, **given)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == "ERROR: No matching distribution found for srv-no-such-distribution"
