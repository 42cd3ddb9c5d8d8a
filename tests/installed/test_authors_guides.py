"""The guides for people who publish plugins, followed from the first command to the last, and what comes after."""

import json
import re
import shutil

import pytest
from guides import GUIDES, TOP, blocks, installs, same, shown
from servers import running

from .conftest import copy_checkout
from .shells import Shell, follow

pytestmark = [pytest.mark.installed, pytest.mark.timeout(900)]

PUBLISH = TOP / "docs/publish-a-runtime.md"
INSTALL = TOP / "docs/install.md"
EXAMPLES = TOP / "docs/examples"


@pytest.fixture(scope="module")
def followed(index, tmp_path_factory):
    """Follow a page, once however often it is asked for; gives the folder in which that was done."""
    folders = {}

    def follow_once(guide):
        if guide not in folders:
            folder = tmp_path_factory.mktemp(guide.stem)
            if guide == INSTALL:  # without an index that has srv
                copy_checkout(folder / "srv")
                follow(guide, Shell(folder, {}))
            else:
                shutil.copytree(EXAMPLES, folder / "docs/examples", ignore=shutil.ignore_patterns("model.*"))
                follow(guide, Shell(folder, index.environ()))
            folders[guide] = folder
        return folders[guide]

    return follow_once


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if installs(guide)], ids=shown)
def test_a_guide_does_what_it_says(followed, guide):
    followed(guide)


def test_the_index_is_where_a_guides_srv_comes_from(followed, index, srv_wheel):
    followed(PUBLISH)
    assert srv_wheel.name in index.served


# -- a stranger's package, which is the page's ------------------------------------------------------------------------

BROKEN, REFUSED = (block.text for block in blocks(PUBLISH) if block.language == "text" and not block.file)


@pytest.fixture
def release(followed, environment, tmp_path):
    """Release a version of the page's package: what is changed in its runtime, or in what it requires."""
    source = followed(PUBLISH) / "srv-tariff"
    project, runtime = source / "pyproject.toml", source / "src/srv_tariff/runtime.py"
    texts = {file: file.read_text() for file in (project, runtime)}

    def install(version, *, code="", requires="srv-inference>=0.1,<0.2"):
        runtime.write_text(texts[runtime].replace("import csv\n", f"import csv\n{code}\n"))
        said = texts[project].replace('version = "0.1.0"', f'version = "{version}"')
        project.write_text(re.sub(r'"srv-inference[^"]*"', f'"{requires}"', said))
        environment.pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path / version), str(source))
        environment.pip("install", "--no-deps", "--upgrade", *map(str, (tmp_path / version).iterdir()))

    yield install
    for file, text in texts.items():
        file.write_text(text)
    environment.pip("uninstall", "--yes", "srv-tariff")


@pytest.fixture
def shop(tmp_path):
    """A user's models: one that the stranger's runtime serves, and one that it has nothing to do with."""
    shop = tmp_path / "shop"
    (shop / "letters").mkdir(parents=True)
    (shop / "letters/tariff.csv").write_text("up_to,price\n2,4.5\n")
    (shop / "letters/model-settings.json").write_text('{"runtime": "tariff"}')
    (shop / "plain").mkdir()
    (shop / "plain/models.py").write_text(
        "import numpy as np\nfrom srv import Runtime\n\n\nclass Plain(Runtime):\n"
        "    def predict(self, x: np.ndarray) -> np.ndarray:\n        return x\n"
    )
    (shop / "plain/model-settings.json").write_text('{"implementation": "models.Plain"}')
    return shop


def ask(server, model, name):
    request = {"inputs": [{"name": name, "datatype": "FP64", "shape": [1], "data": [1.5]}]}
    return server.post(f"/v2/models/{model}/infer", request)


def listed(environment, *options):
    rows = json.loads(environment.run("srv", "plugins", "--json", *options).stdout)
    return next((row for row in rows if row["distribution"] == "srv-tariff"), None)


def check_served(environment, shop):
    with running(shop, python=environment.bin / "python") as server:
        assert ask(server, "letters", "weight").json["outputs"][0]["data"] == [4.5]
        assert ask(server, "plain", "x").json["outputs"][0]["data"] == [1.5]


def check_rest_served(environment, shop, sentence):
    """With the stranger's runtime out of use srv start fails and says why last, or serves the rest if it is told so."""
    failed = environment.run("srv", "start", str(shop), "--http-port", "0", "--grpc-port", "0", check=False)
    assert failed.returncode == 1
    assert same(f"…{sentence.rstrip()}…", failed.stderr.splitlines()[-1])

    with running(shop, "--on-load-error", "continue", python=environment.bin / "python") as server:
        assert ask(server, "plain", "x").json["outputs"][0]["data"] == [1.5]
        refused = ask(server, "letters", "weight")
        index = server.post("/v2/repository/index", {}).json
        assert server.get("/v2/health/live").status == 200
    assert (refused.status, refused.json["code"]) == (503, "UNAVAILABLE")
    [row] = [row for row in index if row["name"] == "letters"]
    assert row["state"] == "UNAVAILABLE"
    assert "tariff" in row["reason"]


def test_a_strangers_package_is_published_broken_mended_outdated_and_removed(environment, release, shop):
    release("0.1.0")
    assert (listed(environment)["state"], listed(environment)["version"]) == ("found", "0.1.0")
    check_served(environment, shop)

    release("0.1.1", code="import numppy")
    assert listed(environment)["state"] == "found"
    assert listed(environment, "--load")["state"] == "quarantined"
    check_rest_served(environment, shop, BROKEN)
    assert "numppy" in environment.run("srv", "doctor", check=False).stdout

    release("0.1.2", requires="srv-inference>=99")
    assert listed(environment)["state"] == "refused"
    check_rest_served(environment, shop, REFUSED)

    release("0.1.3")
    check_served(environment, shop)

    environment.pip("uninstall", "--yes", "srv-tariff")
    assert listed(environment) is None
    check_rest_served(environment, shop, "No runtime is called 'tariff'; installed: none. Install the package that")
