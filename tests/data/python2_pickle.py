"""Writes pickles as Python 2's cPickle did at protocol 2, the form of CIFAR's official python version."""

import struct

import numpy as np


def dumps(content: dict) -> bytes:
    """A dictionary of byte strings, integers, lists and uint8 arrays."""
    return b"\x80\x02" + _value(content) + b"."


def _value(value) -> bytes:
    if isinstance(value, bytes):
        head = b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))
        return head + value
    if isinstance(value, int):
        if 0 <= value < 256:
            return b"K" + bytes([value])
        return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_value, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_value(key) + _value(item) for key, item in value.items()) + b"u"
    return _array(value)


def _array(array: np.ndarray) -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"(" + b"".join(map(_value, array.shape)) + b"t"
    dtype = b"cnumpy\ndtype\n" + _value(array.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
    dtype += b"(K\x03U\x01|NNN" + _value(-1) + _value(-1) + b"K\x00tb"
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    data = array.tobytes(order="F" if fortran else "C")
    return empty + b"(K\x01" + shape + dtype + (b"\x88" if fortran else b"\x89") + _value(data) + b"tb"
