from textwrap import dedent

from srv.images import BuildEvent
from srv_build.buildkit_output import BuildKitOutput
from srv_build.errors import NotPushed

SAID = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 170B done
#1 DONE 0.2s

#4 [environment 1/2] FROM docker.io/library/python:3.11-slim
#4 CACHED

#5 [environment 2/2] RUN pip install
#5 0.860 Collecting numpy
#5 ...

#6 [stage-1 2/3] COPY . /srv/app
#6 DONE 0.1s

#5 [environment 2/2] RUN pip install
#5 1.862 ERROR: no matching distribution
#5 ERROR: process "/bin/sh -c pip install" did not complete successfully: exit code: 1
------
 > [environment 2/2] RUN pip install:
1.862 ERROR: no matching distribution
------
Dockerfile:2
--------------------
   1 |     FROM python:3.11-slim AS environment
   2 | >>> RUN pip install
--------------------
"""
REASON = 'failed to solve: process "/bin/sh -c pip install" did not complete successfully: exit code: 1'


def read(text):
    output = BuildKitOutput()
    events = [event for line in dedent(text).splitlines() if (event := output.read(line)) is not None]
    return output, events


def test_steps_that_run_side_by_side_are_told_each_with_its_own_output():
    _, events = read(SAID)
    assert [event for event in events if event.begins or event.cached or event.text == "Collecting numpy"] == [
        BuildEvent("environment: FROM docker.io/library/python:3.11-slim", 1, 2, begins=True),
        BuildEvent("[environment 1/2] FROM docker.io/library/python:3.11-slim", 1, 2, cached=True),
        BuildEvent("environment: RUN pip install", 2, 2, begins=True),
        BuildEvent("Collecting numpy", 2, 2),
        BuildEvent("stage-1: COPY . /srv/app", 2, 3, begins=True),
    ]


def test_a_step_of_one_platform_among_several_is_told_with_it():
    _, events = read("#4 [linux/arm64 environment 2/12] RUN make\n")
    assert events == [BuildEvent("linux/arm64 environment: RUN make", 2, 12, begins=True)]


def test_a_failure_is_told_once_with_the_step_and_what_it_printed():
    output, events = read(SAID)
    failure = output.failure("acme:1", REASON)
    assert str(failure) == (
        "The build of acme:1 failed at the step 'RUN pip install': it ended with 1. "
        "Mend what the lines above name, and build again; the steps before are kept."
    )
    assert failure.output == ("Collecting numpy", "ERROR: no matching distribution")
    assert [event.text for event in events].count("ERROR: no matching distribution") == 1


def test_an_image_that_only_its_registry_refused_was_built():
    output, _ = read(
        """\
        #7 exporting to image
        #7 pushing layers done
        #7 ERROR: failed to push r/acme:1: unexpected status: 401 Unauthorized
        """
    )
    failure = output.failure("r/acme:1", "failed to solve: failed to push r/acme:1: 401 Unauthorized", pushes=True)
    assert isinstance(failure, NotPushed)
    assert str(failure).startswith(
        "r/acme:1 was built and not pushed: failed to push r/acme:1: 401 Unauthorized. Log in"
    )
