"""Images for NVIDIA's GPUs, and for processors alone: which of PyTorch's indexes, and which variables, these mean."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement

from srv.errors import listed
from srv.images import ImagePlan
from srv_dockerfile.errors import UnknownCuda

#: Versions for which PyTorch has an index.
VERSIONS = ("11.8", "12.1", "12.4", "12.6", "12.8", "12.9", "13.0")
INDEX = "https://download.pytorch.org/whl"
#: What runs on processors alone, and what to name instead.
_FOR_CPUS = {
    "faiss-cpu": "faiss-gpu-cu12",
    "jax": "jax[cuda12]",
    "onnxruntime": "onnxruntime-gpu[cuda,cudnn]",
    "tensorflow": "tensorflow[and-cuda]",
    "tensorflow-cpu": "tensorflow[and-cuda]",
    "xgboost-cpu": "xgboost",
}


def check(version: str) -> str:
    """Return a version of CUDA that there is an index for. Raises UnknownCuda."""
    if version not in VERSIONS:
        raise UnknownCuda(version, listed(VERSIONS))
    return version


def index_name(version: str) -> str:
    """Return what PyTorch calls a version: cu124."""
    return f"cu{version.replace('.', '')}"


def add_cuda(plan: ImagePlan, version: str) -> None:
    """Let packages be chosen for this CUDA, and the container be given the GPUs.

    The base stays a plain Python: wheels bring CUDA's libraries, and the driver comes from the machine. The images of
    nvidia/cuda would bring the same libraries once more, and no Python that srv runs on.
    """
    plan.cuda = check(version)
    plan.env |= {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    for name in sorted(plan.named & _FOR_CPUS.keys()):
        instead = _FOR_CPUS[name]
        plan.notes.append(
            f"{name} alone brings no CUDA{'' if name == instead.partition('[')[0] else ' at all'}; name {instead} where "
            "the image shall use GPUs."
        )


def stage_variables(plan: ImagePlan) -> dict[str, str]:
    """Return what uv and micromamba are told while the environment is made, on a machine that has no GPU."""
    index = _index(plan)
    found = {} if index is None else {"UV_TORCH_BACKEND": index}
    return found if plan.cuda is None else {"CONDA_OVERRIDE_CUDA": plan.cuda, **found}


def index_words(plan: ImagePlan) -> list[str]:
    """Return the option that shows pip PyTorch's builds, beside those of the index."""
    index = _index(plan)
    return [] if index is None else [f"--extra-index-url {INDEX}/{index}"]


def _index(plan: ImagePlan) -> str | None:
    """Return the name of PyTorch's index to take torch from; None for wherever the user's own words take it from.

    Without CUDA, and where a plugin asks for torch and not the user, that is the one for processors: on Linux, torch of the
    ordinary index brings gigabytes for GPUs.
    """
    if plan.cuda is not None:
        return index_name(plan.cuda)
    return "cpu" if "torch" not in plan.named and any(map(_is_torch, plan.requirements)) else None


def _is_torch(word: str) -> bool:
    try:
        return Requirement(word).name.lower() == "torch"
    except InvalidRequirement:  # an option of pip's
        return False
