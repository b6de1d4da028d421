#!/usr/bin/env python3
"""How far log-probabilities of tokens move when the linear layers of a base are quantized.

    python trainer/bench/quantization_error.py [--trainer trainer/build/concord-trainer]

For a really trained Llama of 260,000 parameters, on stories that it tells itself, and for the random models of the golden cases, on theirs: prints a table
(bench/RESULTS.md has one). Needs no network and no packages.
"""

import argparse
import json
import struct
import subprocess
import tempfile
from pathlib import Path

TRAINER = Path(__file__).resolve().parents[1]
SHARED = TRAINER.parents[1] / "shared"
STORIES = SHARED / "data" / "tiny-llm-stories260k" / "hf"
QUANTIZATIONS = ("fp8", "nf4", "nf4-double")
BOS, SAMPLES, LENGTH = 1, 64, 256


def write_prompt(path, ids):
    """A groups file of one prompt without completions."""
    tensors = {
        "tokens": ("I32", struct.pack(f"<{len(ids)}i", *ids), [len(ids)]),
        "segments": ("I64", struct.pack("<2q", 0, len(ids)), [2]),
        "group_segments": ("I64", struct.pack("<2q", 0, 1), [2]),
    }
    header, data = {"__metadata__": {"format": "groups.v1"}}, b""
    for name, (dtype, content, shape) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def run(trainer, *arguments):
    return subprocess.run([str(trainer), *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def errors(trainer, folder, model, groups):
    """Of each quantization: tokens, mean and largest absolute difference."""
    base = folder / "base.safetensors"
    run(trainer, "score", "--model", model, "--groups", groups, "--out", base)
    found = []
    for how in QUANTIZATIONS:
        said = json.loads(run(trainer, "score", "--model", model, "--quantize", how, "--groups", groups, "--out", folder / "scores.safetensors", "--compare", base))
        found.append((said["tokens"], said["mean_abs_difference"], said["max_abs_difference"]))
    return found


def of_all(cases):
    """Of several models together."""
    together = []
    for results in zip(*cases):
        tokens = sum(n for n, _, _ in results)
        together.append((tokens, sum(n * mean for n, mean, _ in results) / tokens, max(largest for _, _, largest in results)))
    return together


def row(name, results):
    cells = " | ".join(f"{mean:.4f} | {largest:.3f}" for _, mean, largest in results)
    print(f"| {name} | {results[0][0]:,} | {cells} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", default=TRAINER / "build" / "concord-trainer")
    trainer = parser.parse_args().trainer
    print("| model | tokens | FP8 mean | FP8 max | NF4 mean | NF4 max | NF4, double, mean | NF4, double, max |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prompt(folder / "prompt.safetensors", [BOS])
        stories = folder / "stories.safetensors"
        run(trainer, "generate", "--model", STORIES, "--groups", folder / "prompt.safetensors", "--out", stories,
            "--num-return-sequences", SAMPLES, "--max-new-tokens", LENGTH)
        row("stories260K, trained; its own stories", errors(trainer, folder, STORIES, stories))
        for case in sorted((SHARED / "golden").iterdir()):
            row(f"{case.name}, random (shared/golden)", errors(trainer, folder, case / "model", case / "groups.safetensors"))
        golden = TRAINER / "tests" / "golden"
        families = [case for case in sorted(golden.iterdir()) if (case / "model").is_dir()]
        row(f"{len(families)} families, random (tests/golden)", of_all([errors(trainer, folder, case / "model", golden / "groups.safetensors") for case in families]))


if __name__ == "__main__":
    main()
