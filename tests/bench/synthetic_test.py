"""The random model's blocks are the bytes that GGUF says, and the same every time."""
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic


@pytest.mark.parametrize("quant", ["q4_0", "q4_1"])
def test_blocks_are_small_weights_around_zero(quant):
    blocks = synthetic.blocks(np.random.default_rng(1), 64, 256, quant)
    weights = gguf.dequantize(blocks, gguf.GGMLQuantizationType[quant.upper()])
    assert weights.shape == (64, 256)
    assert abs(weights.mean()) < 0.005 and 0.01 < weights.std() < 0.04
    again = synthetic.blocks(np.random.default_rng(1), 64, 256, quant)
    assert (blocks == again).all()


def test_the_shape_is_that_of_a_1b_model():
    shapes = {name: (rows, k) for name, rows, k in synthetic.matrices()}
    assert len(shapes) == 1 + 7 * 16
    assert shapes["token_embd"] == (49152, 2048) and shapes["blk.15.ffn_down"] == (2048, 8192)
    assert shapes["blk.0.attn_q"] == (2048, 2048) and shapes["blk.0.attn_k"] == (512, 2048)
    assert sum(rows * k for rows, k in shapes.values()) == 1_073_741_824
