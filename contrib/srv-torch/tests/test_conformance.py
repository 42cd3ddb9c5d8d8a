"""Served by srv, each kind of program does what every runtime must do."""

import numpy as np
import pytest
import torch
from networks import Branches, Classifier, Loops, Pictures, Sequences
from torch.export import Dim

from srv.testing import assert_runtime_conforms

BATCH = Dim("batch", min=1, max=4096)
SIDE = {2: Dim("height", min=2, max=64), 3: Dim("width", min=2, max=64)}
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]], np.float32)
PICTURE = np.linspace(-1, 1, 2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
IDS = np.array([[1, 2, 3], [4, 5, 49]])
MASK = np.array([[1, 1, 0], [1, 1, 1]], np.float32)


def answers(module, *args):
    with torch.inference_mode():
        return module(*map(torch.from_numpy, args))


def test_a_classifier_exported_conforms(export):
    module = Classifier().eval()
    file = export(module, torch.zeros(2, 4), dynamic_shapes={"x": {0: BATCH}})
    assert_runtime_conforms(
        "torch",
        request={"x": ROWS},
        expected={name: value.numpy() for name, value in answers(module, ROWS).items()},
        wrong=[
            {"x": ROWS.astype(np.float64)},
            {"x": ROWS[:, :3]},
            {"x": ROWS[0]},
            {"x": np.zeros((0, 4), np.float32)},
            {"x": np.zeros((5000, 4), np.float32)},
            {"x": ["text"]},
            {"x": ROWS, "y": ROWS},
        ],
        files={"model.pt2": file},
        settings={"max_batch_size": 64},
    )


def test_a_classifier_in_torchscript_conforms(script):
    module = Classifier().eval()
    assert_runtime_conforms(
        "torch",
        request={"x": ROWS},
        expected={name: value.numpy() for name, value in answers(module, ROWS).items()},
        wrong=[{"x": ROWS.astype(np.float64)}, {"x": ROWS[:, :3]}, {"x": ["text"]}],
        files={"model.pt": script(module)},
    )


def test_pictures_of_any_size_conform(export):
    module = Pictures().eval()
    file = export(module, torch.zeros(2, 3, 8, 8), dynamic_shapes={"picture": {0: BATCH, **SIDE}})
    assert_runtime_conforms(
        "torch",
        request={"picture": PICTURE},
        expected={"output": answers(module, PICTURE).numpy()},
        wrong=[{"picture": PICTURE[:, :2]}, {"picture": PICTURE[:, :, :1]}],
        files={"model.pt2": file},
    )


def test_sequences_conform(export):
    module = Sequences().eval()
    shapes = {"ids": {0: BATCH}, "mask": {0: BATCH}}
    file = export(module, torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3), dynamic_shapes=shapes)
    states, last = answers(module, IDS, MASK)
    assert_runtime_conforms(
        "torch",
        request={"ids": IDS, "mask": MASK},
        expected={"output_0": states.numpy(), "output_1": last.numpy()},
        wrong=[
            {"ids": IDS},
            {"ids": IDS, "mask": MASK[:, :2]},
            {"ids": IDS[:1], "mask": MASK},
            {"ids": IDS + 1, "mask": MASK},
            {"ids": IDS.astype(np.int32), "mask": MASK},
        ],
        files={"model.pt2": file},
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_conforms(export, sign):
    rows = sign * ROWS
    file = export(Branches(), torch.ones(2, 4), dynamic_shapes={"x": {0: BATCH}})
    assert_runtime_conforms(
        "torch",
        request={"x": rows},
        expected={"output": np.sin(rows) if sign > 0 else np.cos(rows)},
        files={"model.pt2": file},
    )


def test_control_flow_and_arguments_of_torchscript_conform(script):
    assert_runtime_conforms(
        "torch",
        request={"x": ROWS, "times": [3], "factor": [0.5]},
        expected={"y": ROWS * np.float32(0.125)},
        wrong=[
            {"x": ROWS},
            {"x": ROWS, "times": [1.5]},
            {"x": ROWS, "times": [1, 2]},
            {"x": ROWS, "times": [1], "words": [1]},
        ],
        files={"model.pt": script(Loops())},
    )
