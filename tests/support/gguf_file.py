"""A small GGUF v3 reader and writer for tests, and the values of its block formats.

Written from the format's description alone; shares nothing with the program under test, so that the
two can disagree.
"""

import struct
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 32
GROUP = 32

# name: (type number, elements a block, bytes a block)
FORMATS = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, GROUP, 18),
    "Q4_1": (3, GROUP, 20),
    "Q8_0": (8, GROUP, 34),
    "BF16": (30, 1, 2),
}
FORMAT_OF_NUMBER = {number: name for name, (number, _, _) in FORMATS.items()}

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
U32, I32, F32, BOOL, STRING = 4, 5, 6, 7, 8


@dataclass
class Tensor:
    """`data` holds the blocks as they stand in the file, one row after the other."""

    format: str
    shape: tuple  # (rows, k), or (n,) for a vector
    data: bytes

    @property
    def rows(self):
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def k(self):
        return self.shape[-1]

    def values(self, dtype=np.float64):
        """The dequantized tensor; exact in binary64 (and in binary32 but for the sum of Q4_1)."""
        return dequantize(self, dtype)


def dequantize(tensor, dtype=np.float64):
    raw = np.frombuffer(tensor.data, np.uint8)
    if tensor.format == "F32":
        return raw.view("<f4").astype(dtype).reshape(tensor.shape)
    if tensor.format == "F16":
        return raw.view("<f2").astype(dtype).reshape(tensor.shape)
    if tensor.format == "BF16":
        return (
            (raw.view("<u2").astype(np.uint32) << 16)
            .view(np.float32)
            .astype(dtype)
            .reshape(tensor.shape)
        )
    blocks = raw.reshape(-1, FORMATS[tensor.format][2])
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(dtype)
    if tensor.format == "Q8_0":
        values = blocks[:, 2:].view(np.int8).astype(dtype) * scale
    elif tensor.format == "Q4_0":
        values = (_nibbles(blocks[:, 2:]).astype(dtype) - 8) * scale
    else:
        minimum = np.ascontiguousarray(blocks[:, 2:4]).view("<f2").astype(dtype)
        values = _nibbles(blocks[:, 4:]).astype(dtype) * scale + minimum
    return values.reshape(tensor.shape)


def _nibbles(packed):
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def quantize_q8_0(values):
    """Float weights [rows, k] to Q8_0 as numerics.md's import rule says; k is padded to whole
    groups with zeros.

    Returns (codes int8 [rows, padded k], scales float32 [rows, groups]).
    """
    rows, k = values.shape
    padded = np.zeros((rows, -(-k // GROUP) * GROUP), np.float32)
    padded[:, :k] = values
    groups = padded.reshape(rows, -1, GROUP)
    scale = (np.abs(groups).max(axis=2) / np.float32(127)).astype(np.float16).astype(np.float32)
    divisor = np.where(scale > 0, scale, np.float32(1))[..., None]
    codes = np.where(scale[..., None] > 0, np.clip(np.rint(groups / divisor), -127, 127), 0).astype(
        np.int8
    )
    return codes.reshape(rows, -1), scale


def stored_rows(tensor):
    """Each row's bytes as a store holds them: float matrices as Q8_0, vectors as binary32."""
    if len(tensor.shape) == 1:
        return [tensor.values(np.float32).astype("<f4").tobytes()]
    if FORMATS[tensor.format][1] == GROUP:
        blocks = np.frombuffer(tensor.data, np.uint8).reshape(tensor.rows, -1)
    else:
        codes, scale = quantize_q8_0(tensor.values(np.float32))
        heads = scale.astype("<f2")[..., None].view(np.uint8)
        codes = codes.reshape(*scale.shape, GROUP).view(np.uint8)
        blocks = np.concatenate([heads, codes], axis=2).reshape(tensor.rows, -1)
    return [row.tobytes() for row in blocks]


class GgufFile:
    """Metadata and tensors of a file, in the file's order."""

    def __init__(self, metadata=None, tensors=None):
        self.metadata = dict(metadata or {})
        self.tensors = dict(tensors or {})

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return _Reader(file.read()).file()

    def write(self, path):
        with open(path, "wb") as file:
            file.write(self.to_bytes())

    def to_bytes(self):
        out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.metadata)))
        for key, value in self.metadata.items():
            out += _string(key) + _typed(value)
        offset = 0
        for name, tensor in self.tensors.items():
            dims = tuple(reversed(tensor.shape))  # GGUF counts dimensions from the fastest
            out += (
                _string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
            )
            out += struct.pack("<IQ", FORMATS[tensor.format][0], offset)
            offset += _aligned(len(tensor.data))
        out += bytes(_aligned(len(out)) - len(out))
        for tensor in self.tensors.values():
            out += tensor.data + bytes(_aligned(len(tensor.data)) - len(tensor.data))
        return bytes(out)


def _aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def _string(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def _typed(value):
    """A metadata value: bool, str, int (u32), float (f32), or (element type, list) for an array."""
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    element, items = value
    head = struct.pack("<IIQ", _ARRAY, element, len(items))
    if element == _STRING:
        return head + b"".join(_string(item) for item in items)
    return head + b"".join(struct.pack(_SCALARS[element], item) for item in items)


class _Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, layout):
        values = struct.unpack_from(layout, self.raw, self.at)
        self.at += struct.calcsize(layout)
        return values[0]

    def string(self):
        size = self.take("<Q")
        self.at += size
        return self.raw[self.at - size : self.at].decode()

    def value(self, kind):
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            element, count = self.take("<I"), self.take("<Q")
            return (element, [self.value(element) for _ in range(count)])
        return self.take(_SCALARS[kind])

    def file(self):
        if self.raw[:4] != b"GGUF":
            raise ValueError("not a GGUF file")
        self.at = 8
        num_tensors, num_keys = self.take("<Q"), self.take("<Q")
        metadata = {}
        for _ in range(num_keys):
            key = self.string()
            metadata[key] = self.value(self.take("<I"))
        infos = []
        for _ in range(num_tensors):
            name = self.string()
            dims = [self.take("<Q") for _ in range(self.take("<I"))]
            infos.append((name, tuple(reversed(dims)), self.take("<I"), self.take("<Q")))
        alignment = metadata.get("general.alignment", ALIGNMENT)
        start = -(-self.at // alignment) * alignment
        tensors = {}
        for name, shape, number, offset in infos:
            form = FORMAT_OF_NUMBER[number]
            _, elements, size = FORMATS[form]
            length = int(np.prod(shape, dtype=np.int64)) // elements * size
            tensors[name] = Tensor(form, shape, self.raw[start + offset : start + offset + length])
        return GgufFile(metadata, tensors)
