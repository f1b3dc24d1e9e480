"""Writes .golden files: named arrays, read by tests/golden.c.

Layout, little-endian, one record after another until the end of the file:
    u32 length of the name, the name, u32 dtype, u32 ndim, i64 shape[ndim], the elements.
The dtype is nnfuse's number (include/nnfuse/tensor.h).
"""
import pathlib
import struct

import numpy

DTYPES = {
    "float32": 1, "float64": 2, "float16": 3, "bfloat16": 4, "int8": 5, "uint8": 6, "int32": 7,
    "int64": 8, "bool": 9,
}


def array(value):
    """(dtype number, numpy array) of a tensor or anything that numpy takes."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            import torch
            return DTYPES["bfloat16"], value.contiguous().view(torch.int16).numpy()
        value = value.numpy()
    value = numpy.asarray(value)
    return DTYPES[value.dtype.name], value


def write(path, arrays):
    with pathlib.Path(path).open("wb") as out:
        for name, value in arrays.items():
            dtype, data = array(value)
            encoded = name.encode()
            out.write(struct.pack("<I", len(encoded)) + encoded)
            out.write(struct.pack("<II", dtype, data.ndim))
            out.write(struct.pack(f"<{data.ndim}q", *data.shape))
            out.write(numpy.ascontiguousarray(data).tobytes())
