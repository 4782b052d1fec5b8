"""Two poses with all joints, in pictures of 128x64, pixel centres at integers; TensorFlow checkpoints."""
from __future__ import annotations

import struct

import pytest
import torch


@pytest.fixture
def standing():
    """[1,18,2] x, y: someone upright in a picture of 128x64, facing us, arms a little out."""
    return torch.tensor([[
        [32, 16], [32, 28], [22, 30], [17, 44], [14, 58], [42, 30], [47, 44], [51, 58], [26, 64],
        [25, 88], [23, 110], [38, 64], [39, 88], [42, 110], [30, 14], [34, 14], [27, 16], [37, 16]]]).float()


@pytest.fixture
def walking():
    return torch.tensor([[
        [36, 14], [34, 27], [25, 30], [23, 46], [30, 57], [43, 29], [48, 45], [43, 58], [29, 63],
        [20, 86], [12, 105], [39, 63], [45, 86], [41, 109], [35, 12], [39, 12], [31, 14], [41, 15]]]).float()


def varint(number):
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number, value):
    """Of a protocol buffer message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(pairs):
    entries = [varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs]
    return b"".join(entries) + struct.pack("<II", 0, 1)


@pytest.fixture
def save_bundle():
    """save_bundle(index, tensors): a TensorFlow checkpoint of float32 tensors, in its plainest form."""
    def save(index, tensors):
        data, pairs = b"", [(b"", field(1, 1))]
        for name, tensor in sorted(tensors.items()):
            values = tensor.detach().float().contiguous().numpy().tobytes()
            shape = b"".join(field(2, field(1, side)) for side in tensor.shape)
            place = field(4, len(data)) + field(5, len(values))
            pairs.append((name.encode(), field(1, 1) + field(2, shape) + place))
            data += values
        table = block(pairs)
        places = block([(b"", varint(0) + varint(len(table)))])
        footer = varint(0) * 2 + varint(len(table) + 5) + varint(len(places))
        magic = bytes.fromhex("57fb808b247547db")
        index.write_bytes(table + bytes(5) + places + bytes(5) + footer.ljust(40, b"\0") + magic)
        index.with_name(f"{index.stem}.data-00000-of-00001").write_bytes(data)
        return index
    return save
