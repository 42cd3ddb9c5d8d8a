"""How each builder calls its program, and what it makes of the program's end."""

import os

import pytest

from srv.images import BuildFailed, BuildOrder
from srv_build.buildctl import Buildctl
from srv_build.buildx import Buildx
from srv_build.cli_builders import Buildah

# Programs of ours that note how they are called, because the real ones are not on every machine; scripts/engine has
# some of them for tests/images.
NOTING = """#!/bin/sh
case "$*" in
    *inspect* | *version* | *"images -q"* | *"debug workers"* | *--help*) exit 0 ;;
esac
printf '%s\n' "$@" >> "$CALLS"
while [ $# -gt 0 ]; do
    case "$1" in
        --iidfile) printf sha256:1d > "$2" ;;
        --metadata-file) printf '{"containerimage.digest": "sha256:d1", "containerimage.config.digest": "sha256:1d"}' > "$2" ;;
        --digestfile) printf sha256:d1 > "$2" ;;
    esac
    shift
done
"""
ATTESTED = {"sbom": "true", "provenance": "max"}
CALLS = {
    "buildx": (
        Buildx,
        "docker",
        [
            "buildx build --progress=plain --file",
            "--tag r/acme:1 --platform linux/amd64,linux/arm64 --pull --build-arg SOURCE_DATE_EPOCH --label a=b",
            "--cache-from type=registry,ref=r/c --cache-to type=registry,ref=r/c,mode=max",
            "--sbom=true --provenance=mode=max --output type=registry,rewrite-timestamp=true",
        ],
    ),
    "buildctl": (
        Buildctl,
        "buildctl",
        [
            "build --progress=plain --frontend dockerfile.v0 --local context=",
            "--opt filename=Dockerfile --opt platform=linux/amd64,linux/arm64 --opt image-resolve-mode=pull",
            "--opt build-arg:SOURCE_DATE_EPOCH=7 --opt label:a=b --opt attest:sbom= --opt attest:provenance=mode=max",
            "--import-cache type=registry,ref=r/c --export-cache type=registry,ref=r/c,mode=max",
            "--output type=image,push=true,name=r/acme:1,rewrite-timestamp=true",
        ],
    ),
    "buildah": (
        Buildah,
        "buildah",
        [
            "build --format docker --layers --file",
            "--manifest r/acme:1 --platform linux/amd64,linux/arm64 --pull=always --build-arg SOURCE_DATE_EPOCH",
            "--label a=b --cache-from r/c --cache-to r/c --timestamp 7",
            "r/acme:1 docker://r/acme:1",
        ],
    ),
}


@pytest.fixture
def program(short_path, monkeypatch):
    """Put a program of ours on PATH under a name."""
    monkeypatch.setenv("PATH", f"{short_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(short_path / "calls"))

    def put(name, text):
        (short_path / name).write_text(text)
        (short_path / name).chmod(0o755)
        return short_path / "calls"

    return put


def order(folder, **more):
    return BuildOrder(folder, folder / "Dockerfile", ("r/acme:1",), **more)


@pytest.mark.parametrize("name", CALLS)
def test_each_option_reaches_the_program_in_its_own_words(name, program, tmp_path):
    builder, called, expected = CALLS[name]
    calls = program(called, NOTING)
    asked = order(
        tmp_path,
        build_args={"SOURCE_DATE_EPOCH": "7"},
        labels={"a": "b"},
        platforms=("linux/amd64", "linux/arm64"),
        push=True,
        pull=True,
        cache_from=("r/c",),
        cache_to=("type=registry,ref=r/c,mode=max",),
        epoch=7,
        **(ATTESTED if name != "buildah" else {}),
    )

    image = builder().build(asked, lambda _: None)

    assert image.digest == "sha256:d1"
    words = " ".join(calls.read_text().split("\n"))
    for part in expected:
        assert part in words


def test_several_names_of_an_image_are_one_value_for_buildctl(program, tmp_path):
    calls = program("buildctl", NOTING)
    asked = BuildOrder(tmp_path, tmp_path / "Dockerfile", ("r/acme:1", "r/acme:2"), push=True)
    Buildctl().build(asked, lambda _: None)
    assert 'type=image,push=true,"name=r/acme:1,r/acme:2"' in calls.read_text().splitlines()


def test_a_program_that_was_killed_is_said_to_be(program, tmp_path):
    program("buildah", "#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(BuildFailed, match=r"failed: buildah was killed by SIGKILL, as systems do .* Build again when"):
        Buildah().build(order(tmp_path), lambda _: None)


def test_a_program_that_cannot_be_run_is_said_in_one_line(program, tmp_path, short_path, monkeypatch):
    program("buildah", "#!/no/such/shell\n")
    monkeypatch.setenv("PATH", str(short_path))
    with pytest.raises(BuildFailed, match=r"failed: buildah cannot be run: No such file or directory\."):
        Buildah().build(order(tmp_path), lambda _: None)
    assert Buildah().unavailable() == "buildah: No such file or directory"


def test_a_socket_that_may_not_be_used_is_told_with_the_ways_to_use_it(program):
    program(
        "docker", '#!/bin/sh\n[ "$2" = version ] || { echo "ERROR: permission denied while trying" >&2; exit 1; }\n'
    )
    said = Buildx().unavailable()
    for words in ("Permission denied", "group docker", "sudo", "DOCKER_HOST"):
        assert words in said
