"""Dockerfiles as tests look at them: whole instructions without comments, by stage."""

import re


def instructions(text):
    """Each instruction on one line, its blanks single."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [" ".join(line.split()) for line in kept.replace("\\\n", " ").splitlines() if line.strip()]


def stages(text):
    """The instructions before the first FROM, then those of each stage."""
    found = [[]]
    for line in instructions(text):
        if re.match("FROM ", line):
            found.append([])
        found[-1].append(line)
    return found
