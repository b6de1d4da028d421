#!/usr/bin/env python3
"""Writes fp8.safetensors beside this file: what torch makes of E4M3 codes and of weights with a scale for each row.

    python fp8.py

Needs torch and safetensors; torch's version is in the file's metadata. `values` is each code's number. `inputs` become `codes`: every number halfway
between two codes and its neighbours in float, those beyond the largest, and numbers of every size, with both signs. `weight` becomes
`weight.codes` and `weight.scales`, and is `weight.dequantized` again; one of its rows is zeros, one has a single number.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

LARGEST = torch.finfo(torch.float8_e4m3fn).max


def to_codes(x):
    # As torchao: torch makes NaN of what is beyond the largest, so that it is cut first.
    return x.clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn).view(torch.uint8)


def inputs(values):
    codes = values[:127]  # from 0 to the largest
    halfway = (codes[1:] + codes[:-1]) / 2
    infinity, zero = torch.tensor(torch.inf), torch.tensor(0.0)
    spread = torch.rand(512) * 2.0 ** torch.randint(-14, 10, (512,))
    beyond = torch.tensor([448.0, 449.0, 463.9, 464.0, 480.0, 1e30, torch.inf])
    positive = torch.cat([codes, halfway, torch.nextafter(halfway, infinity), torch.nextafter(halfway, zero), spread, beyond])
    return torch.cat([positive, -positive])


def main():
    torch.manual_seed(0)
    values = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    x = inputs(values)
    weight = torch.randn(9, 70) * torch.logspace(-6, 3, 9)[:, None]
    weight[3] = 0
    weight[5] = 0
    weight[5, 17] = -0.3
    scales = weight.abs().amax(1) / LARGEST
    codes = to_codes(torch.where(scales[:, None] > 0, weight / scales[:, None], weight))
    dequantized = codes.view(torch.float8_e4m3fn).float() * scales[:, None]
    tensors = {"values": values, "inputs": x, "codes": to_codes(x), "weight": weight, "weight.scales": scales, "weight.codes": codes, "weight.dequantized": dequantized}
    save_file({name: t.contiguous() for name, t in tensors.items()}, Path(__file__).parent / "fp8.safetensors", {"torch": torch.__version__})


if __name__ == "__main__":
    main()
