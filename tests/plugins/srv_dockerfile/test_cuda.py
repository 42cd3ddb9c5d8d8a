"""Images for GPUs, as text: the index, the variables, and what is said of packages for processors."""

import pytest
from dockerfile_reading import stages

from srv_dockerfile.errors import UnknownCuda
from srv_dockerfile.rendering import render


@pytest.mark.parametrize("version, name", [("11.8", "cu118"), ("12.4", "cu124"), ("13.0", "cu130")])
def test_packages_come_from_the_index_for_that_cuda(plan, version, name):
    _, environment, _, image = stages(render(plan({"requirements.txt": "torch==2.6.0\n"}, cuda=version)))

    assert f"--extra-index-url https://download.pytorch.org/whl/{name} -r requirements.txt" in environment[-1]
    assert f'ENV UV_TORCH_BACKEND="{name}"' in environment
    assert f'ENV CONDA_OVERRIDE_CUDA="{version}"' in environment
    assert not [line for line in image if "CONDA" in line or "UV_" in line]


def test_the_container_is_given_gpus_and_starts_from_a_plain_python(plan):
    made = plan(cuda="12.4")

    assert made.env["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert made.env["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert made.base_image.startswith("python:")


def test_without_it_nothing_is_said_of_gpus(plan):
    text = render(plan())
    assert not [word for word in ("NVIDIA", "CUDA", "TORCH", "pytorch.org") if word in text]


def test_torch_that_a_plugin_asks_for_comes_without_cuda(plan):
    made = plan()
    made.requirements += ["--pre", "torch==2.13.0"]
    environment = stages(render(made))[1]

    assert "--extra-index-url https://download.pytorch.org/whl/cpu " in environment[-1]
    assert " --pre torch==2.13.0 " in environment[-1]
    assert 'ENV UV_TORCH_BACKEND="cpu"' in environment
    assert not [line for line in environment if "CUDA" in line]


def test_torch_that_the_user_names_comes_from_the_users_index(plan):
    made = plan({"requirements.txt": "torch==2.6.0\n"})
    made.requirements.append("torchvision==0.21")
    assert not [word for word in ("TORCH", "pytorch.org") if word in render(made)]


def test_an_unknown_version_is_a_sentence_with_those_known(plan):
    with pytest.raises(UnknownCuda) as error:
        plan(cuda="12.5")
    assert str(error.value) == (
        "No index has packages for CUDA '12.5'. There are 11.8, 12.1, 12.4, 12.6, 12.8, 12.9, 13.0; take the nearest below."
    )


def test_packages_for_processors_are_told(plan):
    notes = plan({"requirements.txt": "onnxruntime\ntensorflow\ntorch\n"}, cuda="12.4").notes
    assert [note.split(";")[0] for note in notes if "CUDA" in note] == [
        "onnxruntime alone brings no CUDA at all",
        "tensorflow alone brings no CUDA",
    ]
