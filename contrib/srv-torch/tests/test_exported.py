"""Programs of torch.export, without a server."""

import logging
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from networks import Classifier, Sequences
from torch import nn
from torch.export import Dim

from srv import InvalidInput, Spec, Tensor
from srv.errors import SrvError

BATCH = Dim("batch", min=1, max=64)
ROWS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


def module(forward, **buffers):
    """A module with this forward."""
    made = type("Made", (nn.Module,), {"forward": forward})()
    for name, value in buffers.items():
        made.register_buffer(name, value)
    return made


class Nested(nn.Module):
    def forward(self, pair, options, *, scale: float = 2.0):
        first, second = pair
        total = (first + second) * options["factor"] * scale
        return {"total": total, "parts": (first, [second])}, total.sum()


class Numbers(nn.Module):
    def forward(self, x, times: int):
        return x * times, x.shape[0], 0.5, None


class Halves(nn.Module):
    def forward(self, whole, half):
        return whole[::2] + half


class Writes(nn.Module):
    def forward(self, x, y):
        x.view(-1).add_(1)
        return x * y


def test_metadata_comes_from_the_program(export, load):
    runtime = load(export(Classifier().eval(), torch.zeros(2, 4), dynamic_shapes={"x": {0: BATCH}}))

    assert runtime.inputs == [Spec("FP32", (-1, 4), name="x")]
    assert runtime.outputs == [
        Spec("FP32", (-1, 3), name="logits"),
        Spec("FP32", (-1, 3), name="probabilities"),
        Spec("INT64", (-1,), name="label"),
    ]
    assert runtime.parameters == {
        "format": "torch.export",
        "torch": torch.__version__,
        "ranges": {"x[0]": [1, 64]},
    }


def test_parts_of_nested_arguments_and_results_have_the_way_to_them_for_names(export, load, ask):
    pair = torch.ones(2), torch.ones(2)
    runtime = load(export(Nested(), pair, {"factor": torch.ones(2)}, kwargs={"scale": 3.0}))

    assert [spec.name for spec in runtime.inputs] == ["pair.0", "pair.1", "options.factor"]
    assert runtime.parameters["fixed"] == {"scale": 3.0}
    values = {"options.factor": [2, 2], "pair.0": [1, 2], "pair.1": [3, 4]}
    outputs = ask(runtime, {name: np.array(value, np.float32) for name, value in values.items()})
    assert {name: value.tolist() for name, value in outputs.items()} == {
        "output_0.total": [24.0, 36.0],
        "output_0.parts.0": [1.0, 2.0],
        "output_0.parts.1.0": [3.0, 4.0],
        "output_1": 60.0,
    }


def test_an_input_that_the_program_does_not_use_is_warned_of(export, load, caplog):
    one = torch.ones(2)
    load(export(Nested(), (one, one), {"factor": torch.ones(2)}))
    assert re.findall(r"does not use its input '([\w.]+)'", caplog.text) == ["pair.0"]


def test_numbers_are_inputs_and_outputs_of_one_value(export, load, ask):
    shapes = {"x": {0: BATCH}, "times": Dim.DYNAMIC}
    runtime = load(export(Numbers(), torch.zeros(3, 4), 5, dynamic_shapes=shapes))

    assert runtime.inputs[1] == Spec("INT64", (1,), name="times")
    outputs = ask(runtime, {"x": ROWS, "times": [7]})
    assert np.array_equal(outputs["output_0"], ROWS * 7)
    assert (outputs["output_1"], outputs["output_2"]) == (5, 0.5)
    assert "output_3" not in outputs
    with pytest.raises(InvalidInput, match=r"'times' has shape \[2\]; the model takes a single value"):
        ask(runtime, {"x": ROWS, "times": [7, 8]})


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"x": ROWS.astype(np.float64)}, "Input 'x' is FP64; the model takes FP32."),
        ({"x": ROWS[:, :3]}, "Input 'x' has the length 3 in dimension 1; the model takes 4."),
        ({"x": ROWS[0]}, r"Input 'x' has shape [4]; the model takes [-1, 4], -1 standing for any."),
        ({"x": np.zeros((65, 4), np.float32)}, "Input 'x' has the length 65 in dimension 0; the model takes 1 to 64."),
        ({"x": np.zeros((0, 4), np.float32)}, "Input 'x' has the length 0 in dimension 0; the model takes 1 to 64."),
        ({"rows": ROWS}, "Input 'rows' is unknown; the model takes x."),
        ({}, "Input 'x' is missing; the request brings none."),
        ({"x": [["text"] * 4]}, "Input 'x' is BYTES; the model takes FP32."),
    ],
    ids=["datatype", "width", "rank", "too many", "none", "unknown", "missing", "text"],
)
def test_what_the_program_does_not_take_is_refused_before_it_runs(export, load, ask, inputs, sentence):
    runtime = load(export(Classifier().eval(), torch.zeros(2, 4), dynamic_shapes={"x": {0: BATCH}}))
    with pytest.raises(InvalidInput) as refused:
        ask(runtime, inputs)
    assert str(refused.value) == sentence


def test_lengths_that_depend_on_each_other_are_compared(export, load, ask):
    half = Dim("half", min=2, max=32)
    shapes = {"whole": {0: 2 * half}, "half": {0: half}}
    runtime = load(export(Halves(), torch.zeros(6, 4), torch.zeros(3, 4), dynamic_shapes=shapes))

    assert ask(runtime, {"whole": ROWS[:4], "half": ROWS[:2]})["output"].shape == (2, 4)
    with pytest.raises(
        InvalidInput, match="'whole' has the length 5 in dimension 0; the model takes 4, because of dimen"
    ):
        ask(runtime, {"whole": ROWS, "half": ROWS[:2]})


def test_equal_lengths_are_compared(export, load, ask):
    shapes = {"ids": {0: BATCH}, "mask": {0: BATCH}}
    example = torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3)
    runtime = load(export(Sequences().eval(), *example, dynamic_shapes=shapes))
    sentence = r"'mask' has the length 1 in dimension 0; the model takes 2, because of dimension 0 of 'ids'\."
    with pytest.raises(InvalidInput, match=sentence):
        ask(runtime, {"ids": np.zeros((2, 3), np.int64), "mask": np.ones((1, 3), np.float32)})


def test_an_index_out_of_range_is_the_clients_fault(export, load, ask):
    example = torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3)
    runtime = load(export(Sequences().eval(), *example))
    with pytest.raises(InvalidInput, match="cannot use these values: index out of range in self"):
        ask(runtime, {"ids": np.full((2, 3), 50), "mask": np.ones((2, 3), np.float32)})


def test_what_the_program_asserts_of_values_is_the_clients_fault(export, load, ask, capfd):
    def forward(_, x):
        torch._check(x.sum().item() > 0, lambda: "the sum must be positive")
        return x * 2

    runtime = load(export(module(forward), torch.ones(2)))
    assert ask(runtime, {"x": np.ones(2, np.float32)})["output"].tolist() == [2.0, 2.0]
    with pytest.raises(InvalidInput, match="cannot use these values: "):
        ask(runtime, {"x": -np.ones(2, np.float32)})
    assert capfd.readouterr().err == ""


def test_a_program_that_writes_into_an_input_gets_a_copy_and_the_others_share_the_requests_memory(export, load, ask):
    runtime = load(export(Writes(), torch.ones(5, 4), torch.ones(5, 4)))
    x, y = ROWS.copy(), ROWS.copy()

    output = ask(runtime, {"x": x, "y": y})["output"]

    assert np.array_equal(output, (ROWS + 1) * ROWS)
    assert np.array_equal(x, ROWS)
    assert np.array_equal(y, ROWS)
    identity = load(export(module(lambda _, x: x.view(20)), torch.ones(5, 4)))
    assert np.shares_memory(ask(identity, {"x": x})["output"], x)


def test_a_program_that_changes_its_buffers_is_not_loaded(export, load):
    def forward(self, x):
        self.count.add_(1)
        return x + self.count

    with pytest.raises(SrvError, match="changes its own buffer 'count' whenever it runs"):
        load(export(module(forward, count=torch.zeros(())), torch.ones(2)))


def test_a_program_that_learns_is_not_loaded(export, load):
    with pytest.raises(SrvError, match=r"changes its own statistics of batch_norm.*Call eval\(\) on the model"):
        load(export(Classifier(), torch.zeros(2, 4)))


def test_dropout_of_training_is_warned_of(export, load, caplog):
    with caplog.at_level(logging.WARNING):
        load(export(nn.Dropout(0.5), torch.zeros(2, 4)))
    assert "dropout makes its answers random. Call eval() on the model" in caplog.text


@pytest.mark.parametrize(
    "dtype",
    ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"],
)
def test_each_datatype_goes_in_and_out(export, load, ask, dtype):
    runtime = load(export(module(lambda _, x: x.clone()), torch.zeros(2, dtype=getattr(torch, dtype))))
    output = ask(runtime, {"x": np.array([0, 1], dtype)})["output"]
    assert (output.dtype, output.tolist()) == (np.dtype(dtype), [0, 1])


def test_bfloat16_goes_in_and_out(export, load, ask):
    runtime = load(export(module(lambda _, x: x * 2), torch.zeros(2, dtype=torch.bfloat16)))
    bits = (np.array([1.5, -3.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    assert runtime.outputs == [Spec("BF16", (2,), name="output")]
    output = ask(runtime, {"x": Tensor("x", bits, "BF16")})["output"]
    assert (output.astype(np.uint32) << 16).view(np.float32).tolist() == [3.0, -6.0]


def test_an_output_that_no_datatype_carries_is_left_out_and_the_others_are_there(export, load, ask, caplog):
    runtime = load(export(module(lambda _, x: {"c": torch.complex(x, x), "x": x}), torch.ones(2)))
    assert [spec.name for spec in runtime.outputs] == ["x"]
    assert "The output 'c' is left out" in caplog.text
    assert [*ask(runtime, {"x": np.ones(2, np.float32)})] == ["x"]


def test_a_program_with_nothing_to_give_is_not_loaded(export, load):
    with pytest.raises(SrvError, match="gives no tensor or number"):
        load(export(module(lambda _, x: torch.complex(x, x)), torch.ones(2)))


def test_a_program_with_a_class_of_the_users_in_it_is_told_of_dicts(load, tmp_path):
    # In a process of its own, because this one would know the class.
    code = """if True:
        import dataclasses, torch

        @dataclasses.dataclass
        class Result:
            y: torch.Tensor

        torch.export.register_dataclass(Result, serialized_type_name="Result")
        net = type("Net", (torch.nn.Module,), {"forward": lambda self, x: Result(x)})()
        torch.export.save(torch.export.export(net, (torch.zeros(2),)), "model.pt2")
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, check=True)
    with pytest.raises(
        SrvError, match=r"cannot read 'model\.pt2'; the log has its reason.*with dicts or tuples instead"
    ):
        load(tmp_path / "model.pt2")


def test_an_input_that_no_datatype_carries_keeps_it_from_loading(export, load):
    with pytest.raises(SrvError, match="takes a strided tensor of complex64 as"):
        load(export(module(lambda _, x: x.real), torch.ones(2, dtype=torch.complex64)))


def test_more_rows_in_a_batch_than_the_program_takes_are_refused_at_load(export, load):
    file = export(Classifier().eval(), torch.zeros(2, 4), dynamic_shapes={"x": {0: BATCH}})
    load(file, max_batch_size=64)
    with pytest.raises(SrvError, match="max_batch_size is 65, and the program takes at most 64 rows of 'x'"):
        load(file, max_batch_size=65)
