#!/usr/bin/env python3
"""Writes the table of GPU figures into RESULTS.md, between its two markers, from results.jsonl: of each key the newest line.

    python trainer/bench/results_table.py [FOLDER of both files]
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- results.jsonl -->", "<!-- end of results.jsonl -->"
# (key, what it is, target); hard limits and where they come from: the trainer's design notes, section 3.
FIGURES = [
    ("sft_8b_tokens_per_second", "SFT, LoRA r16 on all linear layers, Llama-3.1-8B's shape, texts of 2,048", "19,000 tokens/s"),
    ("dpo_8b_pairs_per_second", "DPO, the same model, prompts and answers of 512, cached reference", "12 pairs/s"),
    ("dpo_8b_4way_pairs_per_second", "DPO from rankings of four, 512 + 4 x 256", "-"),
    ("dpo_8b_4way_over_trl", "its pairs a second over TRL's as it comes (gpu_peer.py)", "6"),
    ("dpo_8b_over_trl_default", "DPO over what TRL + PEFT do as they come (gpu_peer.py)", "4"),
    ("dpo_8b_over_trl_tuned", "the same in bfloat16, without checkpointing, reference precomputed", "2"),
    ("dpo_05b_pairs_per_second", "DPO, Qwen2.5-0.5B's shape, 512 + 2 x 512", "150 pairs/s"),
    ("dpo_8b_peak_gb", "memory, 8B DPO in bfloat16, 4,096 tokens in flight", "under 24 GB"),
    ("dpo_8b_nf4_peak_gb", "memory, 8B DPO in NF4", "under 11 GB"),
    ("dpo_8b_fp8_peak_gb", "memory, 8B DPO in FP8", "under 15 GB"),
    ("generate_8b_bandwidth_fraction", "generation, 8B, share of the memory's bandwidth", "0.6"),
]


def table(lines):
    newest = {line["key"]: line for line in lines}
    rows = ["| what | measured | target | date, commit | device, driver | command |", "| --- | --- | --- | --- | --- | --- |"]
    for key, what, target in FIGURES:
        line = newest.get(key)
        if line is None:
            rows.append(f"| {what} | not measured | {target} | | | |")
            continue
        command = line["command"].replace("|", "\\|")
        rows.append(f"| {what} | {line['value']:,} {line['unit']} | {target} | {line['date']}, {line['commit']} | {line['device']} | `{command}` |")
    return rows


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    source = folder / "results.jsonl"
    lines = [json.loads(text) for text in source.read_text().splitlines() if text.strip()] if source.exists() else []
    page = folder / "RESULTS.md"
    text = page.read_text()
    if BEGIN not in text:
        text = text.rstrip("\n") + f"\n\n## On a GPU\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(before + BEGIN + "\n" + "\n".join(table(lines)) + "\n" + END + after)


if __name__ == "__main__":
    main()
