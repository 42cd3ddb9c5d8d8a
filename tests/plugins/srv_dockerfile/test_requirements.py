"""What requirements files and conda files name."""

import sys
from importlib.metadata import version

import pytest

from srv.errors import SrvError, quoted
from srv_dockerfile.conda import conda_file
from srv_dockerfile.markers import image_environment, python_of
from srv_dockerfile.requirements import Named, read_requirements

PACKAGING = version("packaging")


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
        ("thing @ file:///gone/thing", "a build does not see this machine's files. Write thing==VERSION instead"),
        (
            "packaging @ file:///croot/packaging_1",
            f"a build does not see this machine's files. Write packaging=={PACKAGING}",
        ),
        (
            "thing @ file://{place}/outside.whl",
            "a build does not see this machine's files. Copy the wheel into the folder",
        ),
        ("file://{place}", "a build does not see this machine's files. Put a wheel of it into the folder"),
        ("git+file://{folder}/sub#egg=thing", "a build does not see this machine's files. Write ./sub instead"),
        ("--find-links file://{folder}/sub", "a build does not see this machine's files. Write ./sub instead"),
        ("-i file:///index", "a build does not see this machine's files."),
        ("{folder}/sub", "a build has the folder at another place. Write ./sub instead"),
    ],
)
def test_a_line_that_an_image_cannot_follow_is_a_sentence_with_the_line(read, tmp_path, line, why):
    (tmp_path.parent / "outside.whl").write_text("")
    line = line.format(folder=tmp_path, place=tmp_path.parent)

    with pytest.raises(SrvError) as error:
        read(f"numpy\n{line}\n")

    assert str(error.value).startswith(f"requirements.txt has the line {quoted(line)}: {why}")


def test_a_line_whose_marker_does_not_hold_in_the_image_names_nothing(read):
    named = read(
        "a; sys_platform == 'win32'\nb; sys_platform == 'linux'\nc; platform_system == 'Darwin' --hash=sha256:00\n"
        "d; python_version < '3'\ne @ file:///c:/e.whl ; os_name == 'nt'\n./sub; os_name == 'nt'\n"
        "https://x.example/f-1-py3-none-any.whl ; os_name == 'posix'\n"
    )

    assert named.distributions == {"b", "f"}
    assert named.needs == []
    assert named.hashed


def test_markers_are_judged_for_the_image_s_python(tmp_path):
    (tmp_path / "requirements.txt").write_text("old; python_version < '3.12'\nnew; python_full_version >= '3.12'\n")
    named = Named(environment=image_environment("3.12"))

    read_requirements(tmp_path, "requirements.txt", named)

    assert named.distributions == {"new"}
    assert python_of("registry.example:5000/python:3.12-slim") == "3.12"
    assert python_of("mine:1") == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize("line", ["thing @ git+https://a.example/b@v1", "git+https://a.example/b@v1#egg=thing[x]"])
def test_git_is_there_for_what_it_fetches_also_where_another_file_names_it(read, line):
    named = read("-r more.txt\n", **{"more.txt": f"{line}\nother @ hg+https://a.example/c"})

    assert named.distributions == {"thing", "other"}
    assert named.tools == {"git", "mercurial", "ca-certificates"}
    assert named.notes == []


def test_a_repository_that_needs_a_key_is_told(read):
    (note,) = read("thing @ git+ssh://git@a.example/b@v1").notes

    assert note.startswith(
        "requirements.txt has the line 'thing @ git+ssh://git@a.example/b@v1', for which git needs a key"
    )


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


@pytest.mark.parametrize(
    "spec, python",
    [("python=3.12", "3.12"), ("python 3.12.*", "3.12"), ("python==3.11.4", "3.11"), ("python>=3.11", None)],
)
def test_a_conda_file_says_which_python_markers_are_judged_for(tmp_path, spec, python):
    assert conda(tmp_path, f"dependencies: ['{spec}']").python == python


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
