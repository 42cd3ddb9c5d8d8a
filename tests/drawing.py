"""Tensors as hypothesis draws them: every datatype, and every shape from a scalar to four dimensions, empty ones too."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from srv.tensors import DTYPES, Tensor

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
OCTETS = st.binary(max_size=5)
TEXTS = st.text(max_size=5).map(str.encode)


@st.composite
def tensors(draw, datatypes=tuple(DTYPES), *, name="x", elements=OCTETS):
    """A tensor of one of the datatypes; `elements` are those of BYTES."""
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(SHAPES)
    if datatype == "BYTES":
        array = np.empty(shape, object)
        drawn = st.lists(elements, min_size=array.size, max_size=array.size)
        array.reshape(-1)[:] = draw(drawn)
    else:
        array = draw(hnp.arrays(DTYPES[datatype], shape))
    return Tensor(name, array, datatype)


def same(one, other):
    """Whether two tensors are, bit for bit."""
    return (one.name, one.datatype, one.shape) == (other.name, other.datatype, other.shape) and (
        list(one.data.reshape(-1)) == list(other.data.reshape(-1))
        if one.datatype == "BYTES"
        else one.data.tobytes() == other.data.tobytes()
    )
