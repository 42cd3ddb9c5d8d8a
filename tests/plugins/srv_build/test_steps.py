import pytest

from srv.images import BuildEvent
from srv_build.steps import Steps

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
    assert Steps().read(line) == event


def test_output_belongs_to_the_step_that_runs():
    steps = Steps()
    steps.read("Step 2/3 : RUN make")
    assert steps.read("cc main.c") == BuildEvent("cc main.c", 2, 3)


def test_a_failure_has_the_instruction_and_the_last_lines_of_its_step_only():
    steps = Steps()
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
    "initializing source docker://python:9: pinging container registry": "--base-image",
    'building at STEP "RUN false": while running runtime: exit status 1': "Mend what the lines above name",
}


@pytest.mark.parametrize("reason, advice", ADVICE.items(), ids=ADVICE)
def test_what_builders_say_leads_to_what_a_person_can_do(reason, advice):
    assert advice in str(Steps().failure("acme", reason))
