"""One image of a folder in all the ways in which images are run, and folders that mean ill."""

import re
import time

import pytest
from servers import write_model

from .folders import Case, build, plain

pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]

TOKEN = "s3cret-t0ken"
#: A private index, which all builds here are given, so that they share one environment.
INDEX = ["--build-arg", f"PIP_EXTRA_INDEX_URL=file:///tmp/{TOKEN}/simple"]


@pytest.fixture(scope="module")
def builder(engines):
    """The first that is there."""
    for name in ("docker", "buildah", "podman"):
        if name not in engines.obstacles:
            return name
    pytest.skip("No builder is there: " + " ".join(f"{name}: {why}." for name, why in engines.obstacles.items()))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return plain(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def image(engines, builder, case):
    return build(engines, builder, case, "srv-test:ways", *INDEX)


WAYS = {
    "as it is": [],
    "as 1000": ["--user=1000:0"],
    "as any user of group 0": ["--user=12345:0"],
    "with a root file system that is read-only": ["--read-only", "--tmpfs=/tmp"],
    "with both": ["--user=12345:0", "--read-only", "--tmpfs=/tmp"],
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_same_image_serves(options, engines, builder, case, image):
    with engines.container(builder, image.tag, *options) as container:
        container.wait_ready()
        assert container.infer(case.model, 1.0) == ([2.0], [2.0])
        assert container.stop() == 0


def test_its_first_process_is_srv_and_nothing_in_it_is_writable_for_the_world(engines, builder, image):
    with engines.container(builder, image.tag, "--user=12345:0") as container:
        container.wait_ready()
        command = container.execute("cat", "/proc/1/cmdline").stdout.split("\0")
        assert command[:5] == ["python", "-P", "-m", "srv", "start"]
        found = container.execute("find", "/opt/env", "/srv", "!", "-type", "l", "-perm", "-0002").stdout
        assert found == ""
        assert container.execute("test", "-e", "/srv/app/.srv", check=False).returncode == 1


def test_the_environment_overrides_the_image(engines, builder, image):
    with engines.container(builder, image.tag, SRV_SERVER_NAME="from-outside") as container:
        container.wait_ready()
        told = container.execute("python", "-P", "-m", "srv", "settings", "/srv/app").stdout
        assert re.search(r"server_name .*from-outside", told), told


def test_a_change_of_code_runs_no_pip_and_takes_seconds(engines, builder, case, image, figure):
    write_model(case.folder, predict="return 20 * x")
    try:
        again = build(engines, builder, case, "srv-test:again", *INDEX)
    finally:
        write_model(case.folder)
    steps = again.said.splitlines()
    runs = [place for place, line in enumerate(steps) if re.search(r"RUN .*(pip install|apt-get|venv) ", line)]
    assert len(runs) >= 2
    assert [steps[place] for place in runs if "kept from an earlier build" not in steps[place + 1]] == []
    with engines.container(builder, again.tag) as container:
        assert container.wait_ready().infer(case.model, 1.0) == ([20.0], [20.0])
    figure(f"{builder}: first build {image.seconds:.1f} s, after a change of code {again.seconds:.1f} s")


def test_neither_history_nor_layers_hold_an_address_a_token_or_a_path_of_this_machine(
    engines, builder, case, image, tmp_path
):
    runner = engines.runner(builder)
    told = engines.run(runner, "history", "--no-trunc", image.tag).stdout
    engines.run(runner, "save", "-o", tmp_path / "image.tar", image.tag)
    secrets = [TOKEN, str(case.folder), str(tmp_path.parent)]
    assert [secret for secret in secrets if secret in told] == []
    layers = (tmp_path / "image.tar").read_bytes()
    assert [secret for secret in secrets if secret.encode() in layers] == []


def test_names_with_blanks_quotes_and_letters_of_any_script_travel(engines, builder, tmp_path):
    folder = tmp_path / 'it\'s a "naïve" $(id) 模型'
    write_model(folder, load="import queue, types\nassert queue.Queue and types.ModuleType\nreturn True")
    (folder / "queue.py").write_text("raise RuntimeError('the wrong queue')\n")
    (folder / "types.py").write_text("raise RuntimeError('the wrong types')\n")
    names = ["a b.txt", "it's.txt", 'say "hi".txt', "$HOME.txt", "模型.bin", "-rf"]
    for name in names:
        (folder / name).write_text(name)
    (folder / "huge.bin").touch()
    with (folder / "huge.bin").open("r+b") as huge:
        huge.truncate(2 << 30)
    (folder / ".dockerignore").write_text("huge.bin\n")
    built = build(engines, builder, Case(folder), "srv-test:hostile", *INDEX)
    with engines.container(builder, built.tag) as container:
        assert container.wait_ready().infer("double", 1.0) == ([2.0], [2.0])
        there = container.execute("ls", "-1", "/srv/app").stdout.splitlines()
    assert set(names) <= set(there)
    assert "huge.bin" not in there
    assert built.seconds < 60


def test_a_link_that_leaves_the_folder_is_refused(engines, builder, tmp_path):
    write_model(tmp_path / "folder")
    (tmp_path / "folder/secret").symlink_to("../../secret")
    answer = engines.srv("build", tmp_path / "folder", "-t", "srv-test:link", "--builder", builder, check=False)
    assert answer.returncode == 1
    assert "'secret' is a link to '../../secret', which lies outside of the folder" in answer.stderr


def test_a_step_that_fails_shows_its_last_words_and_leaves_no_file(engines, builder, tmp_path):
    write_model(tmp_path / "folder")
    (tmp_path / "folder/requirements.txt").write_text("colorama==999\n")
    (tmp_path / "tmp").mkdir()
    answer = engines.srv(
        *("build", tmp_path / "folder", "-t", "srv-test:failing", "--builder", builder),
        check=False,
        TMPDIR=str(tmp_path / "tmp"),
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "No matching distribution found for colorama==999" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("The build of srv-test:failing failed at the step 'RUN ")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_quiet_prints_the_id_only(engines, builder, case, image):
    answer = engines.srv("build", case.folder, "-t", "srv-test:quiet", "--builder", builder, "--quiet", *INDEX)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", answer.stdout)
    assert answer.stderr == ""


def test_a_dry_run_prints_what_srv_dockerfile_writes_and_builds_nothing(engines, builder, case):
    dry = engines.srv("build", case.folder, "-t", "srv-test:dry", "--builder", builder, "--dry-run")
    assert dry.stdout == engines.srv("dockerfile", case.folder, "-o", "-").stdout
    assert engines.run(engines.runner(builder), "image", "inspect", "srv-test:dry", check=False).returncode != 0


def test_docker_says_healthy_by_the_image_s_own_check(engines, image, builder):
    engines.need("docker")
    with engines.container(builder, image.tag) as container:
        container.wait_ready()
        until = time.monotonic() + 60
        while (status := container.state()["Health"]["Status"]) == "starting" and time.monotonic() < until:
            time.sleep(0.5)
        assert status == "healthy", container.state()["Health"]
