"""What stays out of an image: srv's lines, the user's own, and what is told by what is in it."""

import pytest

from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.files import staying_out, travelling
from srv_dockerfile.ignore_lines import file_text, lines_for, own_lines


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def travels(folder):
    """The files that travel of those laid into a folder."""

    def lay(*names, own="", needed=()):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        (folder / ".dockerignore").write_text(own)
        ignore = Ignore(lines_for(folder, own_lines(folder), needed))
        return [entry.name for entry in travelling(folder, ignore) if not entry.is_folder]

    return lay


#: What people have in their folders, and whether it goes into the image.
FILES = {
    "models.py": True,
    "model-settings.json": True,
    "requirements.txt": True,
    ".streamlit/config.toml": True,
    "environment.yaml": True,
    "env/__init__.py": True,  # a package for reinforcement learning, and no virtual environment
    "wandb/__init__.py": True,
    "sub/compiled.pyc": True,  # Python writes such a file only where somebody asks it to
    "build/model.onnx": True,
    "dist/weights.bin": True,
    "runs/detect/weights/best.pt": True,
    "lightning_logs/version_0/checkpoints/last.ckpt": True,
    ".cache/huggingface/hub/models--a/x": True,
    "pkg.egg-info/PKG-INFO": True,
    "tests/test_models.py": True,
    "Dockerfile": False,
    "Dockerfile.gpu": False,
    "docker-compose.override.yml": False,
    ".dockerignore": False,
    ".env": False,
    ".env.local": False,
    ".env-prod": False,
    ".envrc": False,
    ".envs/prod/postgres": False,
    "sub/.env": False,
    "sub/deep/.env.production": False,
    ".git/config": False,
    "sub/.git/HEAD": False,
    "library/.git": False,  # as of a submodule or a worktree
    ".hg/x": False,
    ".dvc/config.local": False,
    ".bash_history": False,
    ".venv/bin/python": False,
    "sub/venv/lib/x.py": False,
    ".direnv/python-3.11/bin/x": False,
    "node_modules/left-pad/index.js": False,
    "ui/node_modules/x/index.js": False,
    "mlruns/0/meta.yaml": False,
    "sub/mlruns/0/abc/artifacts/model.pkl": False,
    "__pycache__/models.cpython-311.pyc": False,
    "sub/deep/__pycache__/x.pyc": False,
    "notebooks/.ipynb_checkpoints/a.ipynb": False,
    ".mypy_cache/x": False,
    ".pytest_cache/x": False,
    ".ruff_cache/x": False,
    ".tox/py311/x": False,
    ".nox/x": False,
    ".coverage": False,
    "htmlcov/index.html": False,
    "wandb/run-20260101-abc/files/x": False,
    "deploy/.terraform/providers/x": False,
    ".idea/workspace.xml": False,
    ".vscode/settings.json": False,
    "models.py~": False,
    ".models.py.swp": False,
    ".DS_Store": False,
    "sub/._models.py": False,
}


def test_what_people_have_in_their_folders_travels_or_stays_out(travels):
    found = travels(*FILES)

    assert {name: name in found for name in FILES} == FILES


def test_srv_s_lines_hold_beside_the_user_s_own(travels):
    assert travels("a", "data", ".env", ".git/config", own="data\nlink\n") == ["a"]


def test_a_line_that_brings_back_a_folder_brings_back_nothing_else_that_srv_leaves_out(travels):
    names = ("models/a", "models/.env", "models/.git/x", "models/__pycache__/x", "other")

    for own in ("*\n!models\n", "*\n!models/**\n", "*\n!m*/*\n"):
        assert travels(*names, own=own) == ["models/a"]


@pytest.mark.parametrize(
    "own, back",
    [
        ("!.env", [".env"]),
        ("!**/.env", [".env", "sub/.env"]),
        ("!sub/.env*", ["sub/.env", "sub/.env.local"]),
        ("!sub/.git/hooks", ["sub/.git/hooks/x"]),
        ("!.env\n.env", []),
        ("!sub/.git\nsub/.git/config", ["sub/.git/hooks/x"]),
    ],
)
def test_a_line_brings_back_what_it_names(travels, own, back):
    names = (".env", "sub/.env", "sub/.env.local", "sub/.git/config", "sub/.git/hooks/x")

    assert travels(*names, own=own) == back


def test_environments_are_told_by_what_is_in_them_whatever_their_name_and_depth(travels, folder):
    names = ["a.py", "sub/a.py", "my [env]/lib/x.py", "a/b/c/d/env310/lib/x.py", "sub/conda/lib/x.py", "caches/x"]
    markers = [
        "my [env]/pyvenv.cfg",
        "a/b/c/d/env310/pyvenv.cfg",
        "sub/conda/conda-meta/history",
        "caches/CACHEDIR.TAG",
    ]
    (folder / "my [env]" / "bin").mkdir(parents=True)
    (folder / "my [env]" / "bin" / "python3").symlink_to("/usr/bin/python3")
    (folder / "elsewhere").symlink_to("/nowhere/at/all")
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside" / "pyvenv.cfg").touch()
    (folder / "linked").symlink_to(folder.parent / "outside")

    assert travels(*names, *markers, own="elsewhere") == ["a.py", "sub/a.py"]
    assert travels(own="elsewhere\n!my \\[env]/lib\n") == ["a.py", "my [env]/lib/x.py", "sub/a.py"]


def test_an_environment_that_is_the_folder_itself_leaves_the_folder_its_files(travels):
    assert travels("pyvenv.cfg", "bin/python", "lib/python3.11/x.py", "models.py", "sub/lib/a") == [
        "models.py",
        "sub/lib/a",
    ]


def test_a_cache_of_models_travels(travels):
    assert travels("hub/CACHEDIR.TAG", "hub/models--a--b/x") == ["hub/CACHEDIR.TAG", "hub/models--a--b/x"]


def test_what_a_model_is_made_of_travels_out_of_a_folder_that_stays_out(travels):
    names = ("mlruns/0/a/artifacts/model.pkl", "mlruns/0/a/artifacts/.env", "mlruns/0/b/artifacts/model.pkl", "venv/w")

    assert travels(*names, needed=["mlruns/0/a/artifacts", "venv/w"]) == ["mlruns/0/a/artifacts/model.pkl", "venv/w"]
    assert travels(own="mlruns", needed=["mlruns/0/a/artifacts"]) == []


def test_what_the_file_says_that_srv_writes_is_what_holds(travels, folder):
    own = "*\n!models\n!.env\n"
    before = travels("models/a", "models/.env", ".env", "x", "envs/one/pyvenv.cfg", own=own)
    lines = lines_for(folder, own_lines(folder))

    text = file_text(own_lines(folder), lines)

    read = Ignore(text.splitlines())
    assert [entry.name for entry in travelling(folder, read) if not entry.is_folder] == before == [".env", "models/a"]


def test_a_folder_that_stays_out_is_named_alone(travels, folder):
    travels("a", "data/x", "data/y", "kept/x", "kept/y", own="data\nkept\n!kept/y\n")

    ignore = Ignore(lines_for(folder, own_lines(folder)))

    assert [entry.name for entry in staying_out(folder, ignore)] == [".dockerignore", "data", "kept"]
