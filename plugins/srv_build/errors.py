"""What can go wrong before, while and after an image is built, each with what to do about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from srv.errors import SrvError, closed, nearest, quoted
from srv.images import BuildFailed


class BadTag(SrvError):
    """The name for the image is none that a registry would take."""

    def __init__(self, tag: str) -> None:
        super().__init__(
            f"{quoted(tag)} is no name for an image. It is [REGISTRY/]NAME[:TAG]: the name in small letters and digits "
            "with single . _ - / between them, the tag up to 128 letters, digits and . _ -"
        )


class UnknownBuilder(SrvError):
    """No installed plugin brings a builder of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        there = f"there are {', '.join(names)}" if names else "no plugin that is in use brings one"
        super().__init__(f"No builder is called {quoted(name)}; {there}.{nearest(name, names)}")


class NoBuilder(SrvError):
    """Every builder that was asked has a reason why it can not build here."""

    def __init__(self, reasons: Mapping[str, str], folder: str) -> None:
        told = "".join(f" {name}: {closed(reason)}" for name, reason in reasons.items())
        super().__init__(
            f"No builder can be used here.{told} Start or install one, or write the Dockerfile for a builder elsewhere: "
            f"srv dockerfile {shlex.quote(folder)}"
        )


class NotPushed(SrvError):
    """The image was built, and its registry did not take it."""

    def __init__(self, tag: str, reason: str) -> None:
        super().__init__(
            f"{tag} was built and not pushed: {closed(reason)} See that the tag begins with the registry's address, "
            "and log in with the builder's own login command."
        )


#: What builders say about a failure, and what a person can do about it; the first that fits.
ADVICE: Mapping[str, str] = {
    r"no space left on device|disk quota exceeded": "Make room where the builder keeps its images, for example with "
    "'docker system prune', 'buildah prune' or 'podman system prune', and build again.",
    r"pull access denied|manifest.*(unknown|not found)|no such host|initializing source|repository.*not found|"
    r"No such image|image not known|name unknown|toomanyrequests|did not resolve": "See that the base image's name is right and that "
    "its registry is in reach, or name another one with --base-image.",
    r"no match for platform|exec format error|does not match the specified platform": "Build on a machine of that "
    "platform, or install QEMU's handlers for foreign programs.",
    r"non-zero code|exit(ed with| status| code)": "Mend what the lines above name, and build again; the steps before "
    "are kept.",
}


#: How builders wrap the reason of a step's failure, which the sentence names already.
WRAPPED = re.compile(r'building at STEP ".*?[^\\]": |creating build container: |error building at.*?": ')
ENDED = re.compile(r"(?:returned a non-zero code: |exit status |exit code:? )(?P<code>\d+)$")


def failed(tag: str, instruction: str, output: Iterable[str], reason: str) -> BuildFailed:
    """The failure of a build, in one sentence, with what to do where that is known."""
    step = f" at the step {quoted(instruction)}" if instruction else ""
    advice = next((f" {advice}" for pattern, advice in ADVICE.items() if re.search(pattern, reason)), "")
    ended = ENDED.search(reason)
    plain = f"it ended with {ended['code']}" if ended else WRAPPED.sub("", reason)
    return BuildFailed(f"The build of {tag} failed{step}: {closed(plain)}{advice}", tuple(output))
