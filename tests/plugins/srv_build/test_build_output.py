import pytest

from srv.images import BuildEvent
from srv_build.build_output import BuildOutput

LINES = {
    "docker": ("Step 4/12 : RUN pip install numpy", BuildEvent("RUN pip install numpy", 4, 12, begins=True)),
    "buildah": ("STEP 4/12: RUN pip install numpy", BuildEvent("RUN pip install numpy", 4, 12, begins=True)),
    "a second stage": ("[2/2] STEP 3/9: USER 1000:0", BuildEvent("USER 1000:0", 3, 9, begins=True)),
    "output": ("Collecting numpy", BuildEvent("Collecting numpy")),
    "colours": ("\x1b[91mWARNING: root\x1b[0m\n", BuildEvent("WARNING: root")),
    "kept, docker": (" ---> Using cache", BuildEvent(" ---> Using cache", cached=True)),
    "kept, buildah": ("--> Using cache 1c2e", BuildEvent("--> Using cache 1c2e", cached=True)),
}


@pytest.mark.parametrize("line, event", LINES.values(), ids=LINES)
def test_a_line_is_read_in_the_words_of_each_builder(line, event):
    assert BuildOutput().read(line) == event


def test_output_belongs_to_the_step_that_runs():
    steps = BuildOutput()
    steps.read("Step 2/3 : RUN make")
    assert steps.read("cc main.c") == BuildEvent("cc main.c", 2, 3)


def test_a_failure_has_the_instruction_and_the_last_lines_of_its_step_only():
    steps = BuildOutput()
    for line in ("Step 1/2 : FROM x", "pulling", "Step 2/2 : RUN make", *(f"line {number}" for number in range(40))):
        steps.read(line)
    failure = steps.failure("acme:1", "The command '/bin/sh -c make' returned a non-zero code: 2")
    assert str(failure) == (
        "The build of acme:1 failed at the step 'RUN make': it ended with 2. "
        "Mend what the lines above name, and build again; the steps before are kept."
    )
    assert failure.output == tuple(f"line {number}" for number in range(25, 40))


ADVICE = {
    "write /var/lib/docker/tmp: no space left on device": "Make room where the builder keeps its images",
    "pull access denied for nothing, repository does not exist": "--base-image",
    "manifest for python:9 not found: manifest unknown": "--base-image",
    "failed to resolve source metadata for docker.io/docker/buildkit-syft-scanner:stable-1": "--sbom-scanner",
    "Cache export is not supported for the docker driver.": "docker buildx create --use",
    "no matching manifest for linux/arm64 in the manifest list entries": "Build on a machine of that platform",
    "initializing source docker://python:9: pinging container registry": "--base-image",
    'building at STEP "RUN false": while running runtime: exit status 1': "Mend what the lines above name",
}


@pytest.mark.parametrize("reason, advice", ADVICE.items(), ids=ADVICE)
def test_what_builders_say_leads_to_what_a_person_can_do(reason, advice):
    assert advice in str(BuildOutput().failure("acme", reason))


@pytest.mark.parametrize(
    "line",
    [
        "error: command 'gcc' failed: No such file or directory",
        "error: command 'x86_64-linux-gnu-g++' failed: No such file or directory",
        "unable to execute 'cc': No such file or directory",
        "../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]",
        "CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage",
    ],
)
def test_a_requirement_that_must_be_compiled_is_told_with_what_to_name(line):
    steps = BuildOutput()
    for text in ("Step 1/1 : RUN pip install thing", f"      {line}", "ERROR: Failed building wheel for thing"):
        steps.read(text)

    failure = str(steps.failure("acme:1", "The command '/bin/sh -c pip' returned a non-zero code: 1"))

    assert failure.endswith("write the lines gcc, g++ and libc6-dev into apt.txt.")
