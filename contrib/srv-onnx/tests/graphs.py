"""ONNX models for tests, made of a few operators each."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: What the oldest onnxruntime that the package takes can read.
IR_VERSION, OPSET = 8, 17

FLOAT, INT64, TEXT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def value(name, kind=FLOAT, shape=("n", 2)):
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def model_of(inputs, outputs, nodes, *, weights=(), opset=OPSET, metadata=None, domains=(), **said):
    """A model as onnx has it; `weights` are arrays by name."""
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, held)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made = helper.make_model(graph, opset_imports=opsets, **said)
    made.ir_version = IR_VERSION
    if metadata:
        helper.set_model_props(made, metadata)
    return made


def bytes_of(*args, **kwargs):
    return model_of(*args, **kwargs).SerializeToString()


def identity(kind=FLOAT, shape=("n", 2), **kwargs):
    """A model that gives its input x as its output y."""
    return bytes_of([value("x", kind, shape)], [value("y", kind, shape)], [node("Identity", ["x"], ["y"])], **kwargs)


def perceptron(seed=0, width=4, classes=3):
    """Two layers: x [n, 4] → logits [n, 3] and the best class [n]."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(size=(width, 16)).astype(np.float32),
        "b1": rng.normal(size=16).astype(np.float32),
        "w2": rng.normal(size=(16, classes)).astype(np.float32),
    }
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w2"], ["logits"]),
        node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [value("label", INT64, ["n"]), value("logits", FLOAT, ["n", classes])]
    return bytes_of([value("x", FLOAT, ["n", width])], outputs, nodes, weights=weights)


def convolution(seed=0):
    """An image [n, 3, height, width] of any size → scores [n, 5]."""
    rng = np.random.default_rng(seed)
    weights = {
        "k": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w": rng.normal(size=(8, 5)).astype(np.float32),
    }
    nodes = [
        node("Conv", ["image", "k"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w"], ["scores"]),
    ]
    image = value("image", FLOAT, ["n", 3, "height", "width"])
    return bytes_of([image], [value("scores", FLOAT, ["n", 5])], nodes, weights=weights)


def save_apart(made, file):
    """Write a model with its weights in a file of their own beside it."""
    onnx.save_model(made, file, save_as_external_data=True, location="weights.bin", size_threshold=0)
