"""What requirements files and conda files name."""

import pytest

from srv.errors import SrvError
from srv_dockerfile.conda import conda_file
from srv_dockerfile.requirements import Named, read_requirements


@pytest.fixture
def read(tmp_path):
    def make(text, **files):
        (tmp_path / "sub").mkdir()
        for name, content in {"requirements.txt": text, **files}.items():
            (tmp_path / name).write_text(content)
        named = Named()
        read_requirements(tmp_path, "requirements.txt", named)
        return named

    return make


def test_distributions_are_named_as_packaging_compares_them(read):
    text = "Scikit_Learn>=1.4  # why\npandas[excel]; python_version > '3'\n--index-url https://a.example/b\nthing @ https://x.example/t.whl\n"

    assert read(text).distributions == {"scikit-learn", "pandas", "thing"}


def test_continued_lines_are_one_and_hashes_are_noticed(read):
    named = read("numpy==2.0 \\\n    --hash=sha256:00\n# pandas \\\nscipy\n")

    assert named.distributions == {"numpy", "scipy"}
    assert named.hashed


def test_files_that_it_includes_are_needed_and_read(read):
    named = read(
        "-r more.txt\n-c sub/limits.txt\n",
        **{
            "more.txt": "scipy\n-rsub/last.txt\n",
            "sub/limits.txt": "numpy<2\n",
            "sub/last.txt": "joblib\n-c limits.txt\n",
        },
    )

    assert named.needs == ["more.txt", "sub/last.txt", "sub/limits.txt"]
    assert named.distributions == {"scipy", "joblib"}


def test_a_folder_of_wheels_beside_it_is_needed(read):
    assert read("--find-links=sub\n-f https://wheels.example\n").needs == ["sub"]


def test_wheels_and_folders_beside_it_are_needed(read):
    named = read("./my_thing-1.0-py3-none-any.whl\n./sub\n", **{"my_thing-1.0-py3-none-any.whl": ""})

    assert named.needs == ["my_thing-1.0-py3-none-any.whl", "sub"]
    assert named.distributions == {"my-thing"}


@pytest.mark.parametrize(
    "line, why",
    [
        ("-e .", "an image has nothing to edit"),
        ("--editable=sub", "an image has nothing to edit"),
        (".", "the image has this folder already"),
        ("../outside.whl", "it lies outside of the folder"),
    ],
)
def test_a_line_that_an_image_cannot_follow_is_a_sentence_with_the_line(read, tmp_path, line, why):
    (tmp_path.parent / "outside.whl").write_text("")

    with pytest.raises(SrvError) as error:
        read(f"numpy\n{line}\n")

    assert str(error.value).startswith(f"requirements.txt has the line '{line}': {why}")


def conda(folder, text, name="environment.yaml"):
    (folder / name).write_text(text)
    return conda_file(folder)


def test_a_conda_file_names_packages_and_lines_for_pip(tmp_path):
    text = "channels: [conda-forge]\ndependencies:\n  - conda-forge::Python=3.12\n  - pip\n  - xgboost >=2\n  - pip:\n    - colorama\n"

    found = conda(tmp_path, text, "conda.yml")

    assert found.name == "conda.yml"
    assert found.packages == {"python", "pip", "xgboost"}
    assert found.pip == ("colorama",)
    assert found.specs() == []


def test_a_conda_file_without_python_and_pip_gets_this_machine_s(tmp_path):
    python, pip = conda(tmp_path, "dependencies: [xgboost]").specs()

    assert python.startswith("python=3.")
    assert pip == "pip"


@pytest.mark.parametrize(
    "spec",
    ["python=3.10", "python==3.9.1", "python 3.10.*", "python<3.11", "python>=3.8,<3.11", "python<=3.10", "python=2"],
)
def test_a_python_that_is_too_old_is_refused(tmp_path, spec):
    with pytest.raises(SrvError) as error:
        conda(tmp_path, f"dependencies: ['{spec}']")

    assert str(error.value) == (
        f"environment.yaml asks for '{spec}', and srv needs Python 3.11 or newer. Ask for python>=3.11."
    )


@pytest.mark.parametrize(
    "spec", ["python", "python=3.11", "python>=3.8", "python=3", "python<3.13", "python>3.10,<4", "python-dateutil=2.8"]
)
def test_a_python_that_may_be_new_enough_is_taken(tmp_path, spec):
    assert conda(tmp_path, f"dependencies: ['{spec}']").name == "environment.yaml"


@pytest.mark.parametrize(
    "text, why",
    [
        ("a: [", "it is no YAML"),
        ("[]", "it has no list 'dependencies'"),
        ("dependencies: [3]", "the dependency '3' means"),
    ],
)
def test_what_is_no_conda_file_is_a_sentence(tmp_path, text, why):
    with pytest.raises(SrvError, match=why):
        conda(tmp_path, text)


def test_two_conda_files_are_refused(tmp_path):
    (tmp_path / "conda.yaml").write_text("dependencies: []")

    with pytest.raises(SrvError, match=r"environment\.yaml and conda\.yaml both describe an environment"):
        conda(tmp_path, "dependencies: []")


def test_without_a_conda_file_there_is_none(tmp_path):
    assert conda_file(tmp_path) is None
