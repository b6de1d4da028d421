#!/usr/bin/env python3
"""The trainer's speed beside TRL's DPOTrainer on the same cores: a Llama of 10 million parameters, prompts of about 120 tokens, answers of about 60.

    pip install "trl==1.13.*" "peft==0.21.*" torch transformers
    python trainer/bench/trl_speed.py [--trainer trainer/build/concord-trainer] [--threads N] [--rounds 3] [--groups 48]

Both train the same LoRA (rank 8, all linear layers) on the same preferences for three epochs, loading the model and the reference's pass
included, each in a process of its own, by turns, so that whatever else the machine does falls on both; seconds of the clock, and of the
processor, which say more where the machine is shared. Two data sets: pairs, and rankings of four that are six pairs each. TRL
runs as its defaults are, and with the settings tried here. Python's imports are not counted.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS, BATCH, RANK = 3, 8, 8
MODEL = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 320, "intermediate_size": 896,
    "num_hidden_layers": 6, "num_attention_heads": 5, "num_key_value_heads": 5, "vocab_size": 8192,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "dtype": "float32",
}
# What TRL is given beside its defaults; the fastest counts as its best.
SETTINGS = {
    "TRL, defaults": {},
    "TRL, float32, no checkpointing, reference precomputed": {"bf16": False, "gradient_checkpointing": False, "precompute_ref_log_probs": True},
    "TRL, bfloat16, no checkpointing, reference precomputed": {"gradient_checkpointing": False, "precompute_ref_log_probs": True},
}


def make_data(folder, groups, answers):
    """The same preferences as a groups file and as TRL's rows; the order of a group's answers is their rank."""
    import numpy as np
    from safetensors.numpy import save_file

    draw = random.Random(groups * answers)
    some = lambda n: [draw.randrange(2, MODEL["vocab_size"]) for _ in range(n)]
    tokens, segments, group_segments, pairs, rows = [], [0], [0], [], []
    for _ in range(groups):
        prompt = some(draw.randrange(90, 151))
        completions = [some(draw.randrange(40, 81)) + [1] for _ in range(answers)]
        first = len(segments)
        for segment in [prompt, *completions]:
            tokens += segment
            segments.append(len(tokens))
        group_segments.append(len(segments) - 1)
        for better in range(answers):
            for worse in range(better + 1, answers):
                pairs.append([first + better, first + worse])
                rows.append({"prompt_ids": prompt, "chosen_ids": completions[better], "rejected_ids": completions[worse]})
    save_file({"tokens": np.array(tokens, np.int32), "segments": np.array(segments, np.int64),
               "group_segments": np.array(group_segments, np.int64), "pairs": np.array(pairs, np.int32)},
              folder / "groups.safetensors", metadata={"format": "groups.v1"})
    (folder / "rows.json").write_text(json.dumps(rows))
    return len(pairs)


def run_trl(folder, options):
    """In a process of its own: prints the seconds of everything after the imports, by the clock and of the processor."""
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_DISABLED="true")
    import logging

    import peft
    import torch
    import transformers
    import trl
    from datasets import Dataset, disable_progress_bars
    from tokenizers import Tokenizer, models, pre_tokenizers

    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    disable_progress_bars()
    words = {"<pad>": 0, "<eos>": 1, **{f"w{i}": i for i in range(2, MODEL["vocab_size"])}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    imported, imported_cpu = time.perf_counter(), time.process_time()

    text = lambda ids: " ".join("<eos>" if i == 1 else f"w{i}" for i in ids)
    rows = [{"prompt": text(r["prompt_ids"]), "chosen": " " + text(r["chosen_ids"]), "rejected": " " + text(r["rejected_ids"])}
            for r in json.loads((folder / "rows.json").read_text())]
    config = trl.DPOConfig(output_dir=str(folder / "trl"), use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
                           num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, **options)
    lora = peft.LoraConfig(r=RANK, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder.parent / "model", dtype=torch.float32)
    trainer = trl.DPOTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    assert trainer.state.global_step == EPOCHS * -(-len(rows) // BATCH)
    print(json.dumps({"seconds": time.perf_counter() - imported, "cpu": time.process_time() - imported_cpu}))


def time_trl(folder, options):
    ran = subprocess.run([sys.executable, __file__, "--trl", str(folder), json.dumps(options)], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stderr[-2000:])
    return json.loads(ran.stdout.splitlines()[-1])


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_concord(binary, folder, answers):
    """Seconds of the whole process, the reference's pass included: its cache is removed before."""
    for cache in folder.glob("*.reference-*"):
        cache.unlink()
    out = tempfile.mkdtemp(dir=folder)
    # Two groups of four answers are twelve pairs, the nearest to TRL's batch of eight.
    job = {"model_name_or_path": str(folder.parent / "model"), "train_file": str(folder / "groups.safetensors"), "output_dir": out,
           "objective": "dpo", "r": RANK, "num_train_epochs": EPOCHS, "groups_per_step": BATCH if answers == 2 else 2}
    (folder / "job.json").write_text(json.dumps(job))
    start, start_cpu = time.perf_counter(), children_cpu()
    ran = subprocess.run([binary, "train", str(folder / "job.json")], capture_output=True, text=True)
    seconds, cpu = time.perf_counter() - start, children_cpu() - start_cpu
    if ran.returncode:
        sys.exit(ran.stderr)
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    in_steps = sum(step["tokens"] / step["tokens_per_second"] for step in steps)
    return {"seconds": seconds, "cpu": cpu, "in_steps": in_steps, "tokens": sum(step["tokens"] for step in steps),
            "threads": events[0]["device"]["threads"], "trainable": events[0]["trainable_parameters"]}


def gemm_gflops():
    """OpenBLAS or MKL, whichever torch has, on all cores: the rate to hold the steps against."""
    import torch

    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * 1024**3 / min(times) / 1e9


def gflop_of_training(folder, concord):
    """Products of three epochs: layers forward and backward to their inputs, LoRA three times, the head twice where answers are predicted."""
    h, i, layers = MODEL["hidden_size"], MODEL["intermediate_size"], MODEL["num_hidden_layers"]
    rows = sum(len(c) for c in {tuple(c) for r in json.loads((folder / "rows.json").read_text()) for c in (r["chosen_ids"], r["rejected_ids"])})
    per_token = 4 * layers * (4 * h * h + 3 * h * i) + 6 * concord["trainable"]
    return (per_token * concord["tokens"] + 4 * MODEL["vocab_size"] * h * rows * EPOCHS) / 1e9


def measure(binary, root, groups, answers, rounds):
    folder = root / f"{answers}-answers"
    folder.mkdir()
    pairs = make_data(folder, groups, answers) * EPOCHS
    ours, theirs = [], {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, options in SETTINGS.items():
            ours.append(time_concord(binary, folder, answers))
            theirs[name].append(time_trl(folder, options))
            print(f"{name}: {theirs[name][-1]}, concord-trainer: {ours[-1]}", file=sys.stderr, flush=True)
    speed = gemm_gflops()
    median = lambda runs, key: statistics.median(run[key] for run in runs)
    ours_seconds, ours_cpu = median(ours, "seconds"), median(ours, "cpu")
    print(f"\n{groups} groups of {answers} answers, {pairs // EPOCHS} pairs, {EPOCHS} epochs, medians of {rounds} rounds:\n")
    print("| | seconds | pairs/s | ratio | processor seconds | ratio |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| concord-trainer | {ours_seconds:.1f} | {pairs / ours_seconds:.1f} | | {ours_cpu:.1f} | |")
    for name, runs in theirs.items():
        seconds, cpu = median(runs, "seconds"), median(runs, "cpu")
        print(f"| {name} | {seconds:.1f} | {pairs / seconds:.1f} | {seconds / ours_seconds:.1f} | {cpu:.1f} | {cpu / ours_cpu:.1f} |")
    rate = gflop_of_training(folder, ours[0]) / median(ours, "in_steps")
    print(f"\nconcord-trainer on {ours[0]['threads']} threads: {median(ours, 'in_steps'):.1f} s of {ours_seconds:.1f} s in steps, at {rate:.0f} GFLOP/s;"
          f" one float32 product of 1024 x 1024 x 1024 in torch, best of twelve: {speed:.0f} GFLOP/s", flush=True)


def main():
    if sys.argv[1:2] == ["--trl"]:
        return run_trl(Path(sys.argv[2]), json.loads(sys.argv[3]))
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trainer", default=str(Path(__file__).resolve().parent.parent / "build" / "concord-trainer"))
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side; with 1, no thread waits for another")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--groups", type=int, default=48, help="pairs; a sixth as many rankings of four")
    given = options.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(given.threads), CONCORD_THREADS=str(given.threads))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "config.json").write_text(json.dumps(MODEL))
        subprocess.run([given.trainer, "init", "--config", str(root / "config.json"), "--seed", "1", "--out", str(root / "model")],
                       check=True, stdout=subprocess.DEVNULL)
        measure(given.trainer, root, given.groups, 2, given.rounds)
        measure(given.trainer, root, max(2, given.groups // 6), 4, given.rounds)


if __name__ == "__main__":
    main()
