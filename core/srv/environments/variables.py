"""Variables of a model process: those of the server, without what leads to the server's packages, and the model's own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from srv.cores import give_cores, processors, without_given_cores
from srv.devices import shared_out, visible
from srv.model_settings import ProcessSettings
from srv.placement import Placement

#: What says where another environment is; a process of the server's own environment keeps it.
_OF_AN_ENVIRONMENT = (
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "CONDA_PROMPT_MODIFIER",
    "CONDA_SHLVL",
)
#: What makes Python look for modules elsewhere. srv starts Python isolated, and a model's own children must not read it either.
_OF_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE")


def placement_of(process: ProcessSettings, number: int, chosen: Placement | None = None) -> Placement:
    """Return where process `number` runs: as settings say, shared out, or as a plugin has chosen over that."""
    if chosen is None:
        chosen = Placement()
    devices = shared_out(process.devices, process.count, number) if chosen.devices is None else chosen.devices
    if chosen.cpus is not None:
        cpus = frozenset(chosen.cpus)
    else:
        cpus = frozenset(each for text in shared_out(process.cpus, process.count, number) for each in processors(text))
    return Placement(devices=devices, cpus=cpus, env=chosen.env)


def process_environ(
    process: ProcessSettings, placement: Placement, *, prefix: Path, environ: Mapping[str, str], cores: int
) -> dict[str, str]:
    """Return the variables of a model process whose environment's folder is `prefix`.

    What settings say counts over the placement's variables, and those over the server's. `cores` are what numeric libraries
    get where nobody says OMP_NUM_THREADS; a process with processors of its own gets as many as it has.
    """
    variables = {name: value for name, value in without_given_cores(environ).items() if name not in _OF_PYTHON}
    variables["PYTHONNOUSERSITE"] = "1"
    if prefix != Path(sys.prefix):
        for name in _OF_AN_ENVIRONMENT:
            variables.pop(name, None)
        variables["CONDA_PREFIX" if (prefix / "conda-meta").is_dir() else "VIRTUAL_ENV"] = str(prefix)
        variables["PATH"] = f"{prefix / 'bin'}:{variables.get('PATH', '/usr/bin:/bin')}"
    variables |= visible(placement.devices or ())
    variables |= {**placement.env, **process.env}
    give_cores(len(placement.cpus or ()) or cores, variables)
    return variables
