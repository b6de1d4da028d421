#!/usr/bin/env python3
"""The trainer's adapters beside PEFT's in float32: files both ways, training, merging.

    pip install "peft==0.21.*" torch transformers
    python trainer/bench/peft_parity.py [--trainer trainer/build/concord-trainer]

For each variant a tiny random Qwen2 and a random adapter written by PEFT: the trainer scores it, trains it for four full-batch SFT steps
while PEFT and torch's AdamW do the same, and merges it; PEFT loads what was trained. Prints a table (bench/RESULTS.md has one)
and exits 1 unless log-probabilities agree to 1e-4, trained tensors to 1e-3 of their largest value and merged weights to 1e-5.
Needs no network.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

STEPS, RATE = 4, 5e-3
LIMITS = {"logps": 1e-4, "trained": 1e-3, "back": 1e-4, "merged": 1e-5}

VARIANTS = {
    "LoRA, all-linear": {"target_modules": "all-linear"},
    "rsLoRA": {"target_modules": ["q_proj", "v_proj"], "use_rslora": True},
    "rank_pattern, alpha_pattern": {
        "target_modules": ["q_proj", "layers.1.self_attn.o_proj", "down_proj"],
        "rank_pattern": {"down_proj": 2, "layers.0.self_attn.q_proj": 6},
        "alpha_pattern": {"q_proj": 5},
    },
    "DoRA, all-linear": {"target_modules": "all-linear", "use_dora": True},
    "DoRA with rsLoRA, some modules": {"target_modules": ["q_proj", "up_proj", "down_proj"], "use_dora": True, "use_rslora": True},
}


def base_model(folder):
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=64,
        max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, dtype="float32", initializer_range=0.2,
    )
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)


def random_adapter(base, options, folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **options))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if "lora_magnitude_vector" in name:
            parameter.data *= torch.empty_like(parameter).uniform_(0.8, 1.2)
    model.save_pretrained(folder)


def load(base, adapter, trainable=False):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return peft.PeftModel.from_pretrained(model, adapter, is_trainable=trainable).eval()


def examples():
    generator = torch.Generator().manual_seed(2)
    draw = lambda n: torch.randint(3, 64, (n,), generator=generator)
    return [(draw(p), draw(c)) for p, c in [(5, 9), (11, 4), (3, 14), (8, 8)]]


def write_groups(path, groups):
    parts = [part for group in groups for part in group]
    ends = torch.tensor([0] + [len(part) for part in parts]).cumsum(0)
    tensors = {"tokens": torch.cat(parts).int(), "segments": ends.long(), "group_segments": torch.arange(0, len(parts) + 1, 2)}
    save_file(tensors, path, metadata={"format": "groups.v1"})


def token_logps(model, groups):
    out = []
    for prompt, completion in groups:
        ids = torch.cat([prompt, completion])
        logps = model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
        out.append(logps.gather(1, ids[1:, None])[len(prompt) - 1 :, 0])
    return torch.cat(out)


def train_with_peft(base, adapter, groups):
    model = load(base, adapter, trainable=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (-token_logps(model, groups).mean()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return {name: value.detach() for name, value in peft.get_peft_model_state_dict(model).items()}


def worst_difference(got, want):
    if got.keys() != want.keys():
        sys.exit(f"tensors differ: {sorted(got.keys() ^ want.keys())}")
    return max(((got[k] - want[k]).abs().max() / want[k].abs().max().clamp(min=1e-12)).item() for k in want)


def compare(trainer, base, groups_file, groups, options, folder):
    def run(*arguments):
        subprocess.run([trainer, *map(str, arguments)], check=True, capture_output=True, text=True)

    def score(adapter):
        run("score", "--model", base, "--adapter", adapter, "--groups", groups_file, "--out", folder / "scores.safetensors")
        return load_file(folder / "scores.safetensors")["token_logps"]

    adapter = folder / "adapter"
    random_adapter(base, options, adapter)
    with torch.no_grad():
        logps = (score(adapter) - token_logps(load(base, adapter), groups)).abs().max().item()
    job = {
        "model_name_or_path": str(base), "adapter_name_or_path": str(adapter), "train_file": str(groups_file),
        "output_dir": str(folder / "out"), "objective": "sft", "learning_rate": RATE, "lr_scheduler_type": "constant",
        "groups_per_step": len(groups), "max_steps": STEPS,
    }
    (folder / "job.json").write_text(json.dumps(job))
    run("train", folder / "job.json")
    trained = folder / "out" / "adapter"
    values = worst_difference(load_file(trained / "adapter_model.safetensors"), train_with_peft(base, adapter, groups))
    with torch.no_grad():
        back = (score(trained) - token_logps(load(base, trained), groups)).abs().max().item()
    run("merge", "--model", base, "--adapter", adapter, "--out", folder / "merged")
    merged = load(base, adapter).merge_and_unload().state_dict()
    ours, before = (load_file(where / "model.safetensors") for where in (folder / "merged", base))
    if not worst_difference(ours, before) > 0.01:
        sys.exit("merging changed nothing")
    return {"logps": logps, "trained": values, "back": back, "merged": worst_difference(ours, {k: merged[k] for k in ours})}


def main():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", default=here.parent / "build" / "concord-trainer", type=Path)
    trainer = parser.parse_args().trainer.resolve()
    print(f"PEFT {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}\n")
    print("| variant | its log-probabilities | trained values | read back | merged |\n| --- | --- | --- | --- | --- |")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        base_model(root / "base")
        groups = examples()
        write_groups(root / "groups.safetensors", groups)
        for i, (variant, options) in enumerate(VARIANTS.items()):
            folder = root / str(i)
            folder.mkdir()
            differences = compare(trainer, root / "base", root / "groups.safetensors", groups, options, folder)
            print(f"| {variant} | " + " | ".join(f"{differences[k]:.1e}" for k in LIMITS) + " |", flush=True)
            failed |= any(not differences[k] <= limit for k, limit in LIMITS.items())
    sys.exit(failed)


if __name__ == "__main__":
    main()
