"""What an environment loses while an image is built, and what it keeps."""

import subprocess
import sys

import pytest

from srv_dockerfile.slimming import compile_all, slim


@pytest.fixture
def site(tmp_path):
    """The packages of an environment with these files."""
    made = tmp_path / "env/lib/python3.11/site-packages"

    def make(files):
        for name, text in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        slim(made)
        return made

    return make


PACKAGE = {"pack/__init__.py": "x = 1\n", "pack/tests/__init__.py": "", "pack/tests/test_x.py": "import pack\n"}


def test_tests_of_packages_are_deleted(site):
    made = site(PACKAGE | {"pack/sub/__init__.py": "", "pack/sub/tests/test_y.py": "", "pack/testing/__init__.py": ""})
    assert sorted(path.relative_to(made).as_posix() for path in made.rglob("*")) == [
        *("pack", "pack/__init__.py", "pack/sub", "pack/sub/__init__.py", "pack/testing", "pack/testing/__init__.py"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import pack.tests.test_x",
        "from pack.tests import test_x",
        "from .tests.test_x import something",
        "from . import tests",
        "importlib.import_module('pack.tests.test_x')",
        "os.path.join(here, 'tests', 'data')",
        "open(here + '/tests/data.txt')",
    ],
)
def test_tests_that_a_package_asks_for_are_kept(site, text):
    assert (site(PACKAGE | {"pack/use.py": f"{text}\n"}) / "pack/tests/test_x.py").is_file()


def test_tests_of_one_folder_do_not_keep_those_of_another(site):
    made = site(PACKAGE | {"pack/use.py": "from pack.tests import test_x", "pack/sub/tests/test_y.py": ""})
    assert (made / "pack/tests").is_dir()
    assert not (made / "pack/sub/tests").exists()


def test_a_folder_called_tests_that_holds_none_is_kept(site):
    made = site({"pack/__init__.py": "", "pack/tests/__init__.py": "TESTS = {}", "tests/test_top.py": ""})
    assert (made / "pack/tests/__init__.py").is_file()
    assert (made / "tests/test_top.py").is_file()


def test_bytecode_is_the_same_whatever_times_files_have_and_is_used(tmp_path, site):
    made = site(PACKAGE | {"pack-1.dist-info/uv_cache.json": "{}", "pack-1.dist-info/METADATA": ""})
    assert [path.name for path in (made / "pack-1.dist-info").iterdir()] == ["METADATA"]
    compile_all(tmp_path / "env")
    [cached] = made.glob("pack/__pycache__/__init__.*.pyc")
    once = cached.read_bytes()
    (made / "pack/__init__.py").touch()
    compile_all(tmp_path / "env")
    assert cached.read_bytes() == once
    told = subprocess.run(
        [sys.executable, "-v", "-c", "import pack"], cwd=made, capture_output=True, text=True, check=True
    ).stderr
    assert f"# code object from '{cached}'" in told or f"matches {made}/pack/__init__.py" in told
