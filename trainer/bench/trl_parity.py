#!/usr/bin/env python3
"""The trainer beside TRL and PEFT in float32: the same model, the same adapter, the same examples, every loss that both have.

    pip install "trl==1.13.*" "peft==0.21.*" torch transformers
    python trainer/bench/trl_parity.py [--trainer trainer/build/concord-trainer] [--only NAME]

For each loss both sides take ten full-batch AdamW steps from one random adapter. Prints a table (bench/RESULTS.md has one) and exits 1
unless every first loss agrees to 1e-5 and every curve to 1e-3, relative to the larger of the loss and 1. Needs no network.
"""

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRL_EXPERIMENTAL_SILENCE="1", WANDB_DISABLED="true")
warnings.filterwarnings("ignore")

import numpy as np
import peft
import torch
import transformers
import trl
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

VOCABULARY, PAD, EOS = 96, 0, 1
STEPS, ROWS = 10, 12
FIRST_TOLERANCE, CURVE_TOLERANCE = 1e-5, 1e-3
MODEL = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "initializer_range": 0.1, "pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": None, "dtype": "float32",
}
# The optimizer, named alike on both sides.
OPTIMIZER = {"learning_rate": 2e-3, "lr_scheduler_type": "constant", "weight_decay": 0.01, "max_grad_norm": 1.0,
             "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "max_steps": STEPS}


@dataclass
class Case:
    """One loss: how TRL is asked for it, and how our job is."""

    name: str
    trainer: type
    config: type
    options: dict  # of TRL's config
    job: dict
    data: str = "pairs"  # pairs, short_prompts, votes, examples, documents
    reference_is_adapter: bool = False


def dpo(name, loss_type=None, beta=0.3, job=None, **options):
    loss_type = loss_type or name
    job = {"loss_type": loss_type, "beta": beta, **{k: v for k, v in options.items() if k in ("label_smoothing", "discopop_tau")}, **(job or {})}
    return Case(name, trl.DPOTrainer, trl.DPOConfig, {"loss_type": [loss_type], "beta": beta, **options}, job)


def simpo(name, job=None, **options):
    options = {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "cpo_alpha": 0.0, **options}
    job = {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, **(job or {})}
    return Case(name, CPOTrainer, CPOConfig, options, job)


def cases():
    yield dpo("sigmoid")
    yield Case("sigmoid, reference an adapter", trl.DPOTrainer, trl.DPOConfig, {"loss_type": ["sigmoid"], "beta": 0.3},
               {"loss_type": "sigmoid", "beta": 0.3}, reference_is_adapter=True)
    yield dpo("robust", label_smoothing=0.1)
    yield dpo("hinge")
    yield dpo("ipo")
    yield dpo("sigmoid_norm", beta=2.0)
    yield dpo("exo_pair", label_smoothing=0.05)
    yield dpo("discopop", discopop_tau=0.5)
    yield dpo("apo_zero")
    yield dpo("apo_down")
    yield dpo("sppo_hard")
    yield dpo("nca_pair")
    rpo = dpo("sigmoid + rpo_alpha 0.5", "sigmoid", job={"rpo_alpha": 0.5})
    rpo.options.update(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5])
    yield rpo
    listwise = dpo("plackett_luce of two (TRL: sigmoid)", "sigmoid")
    listwise.job["loss_type"] = "plackett_luce"
    yield listwise
    yield simpo("simpo")
    yield simpo("simpo, smoothing 0.1", label_smoothing=0.1, job={"label_smoothing": 0.1})
    yield simpo("simpo + rpo_alpha 0.5", cpo_alpha=0.5, job={"rpo_alpha": 0.5})
    yield Case("orpo (prompts of one token)", ORPOTrainer, ORPOConfig, {"beta": 0.3}, {"loss_type": "orpo", "beta": 0.3}, "short_prompts")
    yield Case("kto", trl.KTOTrainer, trl.KTOConfig, {"beta": 0.3, "desirable_weight": 1.2, "undesirable_weight": 0.8},
               {"loss_type": "kto", "beta": 0.3, "desirable_weight": 1.2, "undesirable_weight": 0.8}, "votes")
    yield Case("sft", trl.SFTTrainer, trl.SFTConfig, {"completion_only_loss": True}, {"objective": "sft"}, "examples")
    yield Case("sft of documents", trl.SFTTrainer, trl.SFTConfig, {}, {"objective": "sft"}, "documents")


@dataclass
class Examples:
    """Token ids once, as rows of text for TRL and as a groups file for us."""

    rows: list = field(default_factory=list)
    segments: list = field(default_factory=list)  # each group's prompt and completions
    extra: dict = field(default_factory=dict)


def make_examples(kind):
    draw = random.Random(7)
    some = lambda n: [draw.randrange(2, VOCABULARY) for _ in range(n)]
    words = lambda ids: " ".join("<eos>" if i == EOS else f"w{i}" for i in ids)
    made, groups = Examples(), []
    for row in range(ROWS):
        prompt = [] if kind == "documents" else some(1 if kind == "short_prompts" else draw.randrange(4, 12))
        completions = [some(draw.randrange(3, 14)) + [EOS] for _ in range(2 if kind in ("pairs", "short_prompts") else 1)]
        groups.append([prompt, *completions])
        text, answers = words(prompt), [" " + words(c) for c in completions]
        if len(completions) == 2:
            made.rows.append({"prompt": text, "chosen": answers[0], "rejected": answers[1]})
        elif kind == "documents":
            made.rows.append({"text": answers[0].strip()})
        else:
            label = {"label": row % 3 != 0} if kind == "votes" else {}
            made.rows.append({"prompt": text, "completion": answers[0], **label})
    made.segments = groups
    return made


def write_groups(path, made, kind):
    flat = [segment for group in made.segments for segment in group]
    ends = lambda lengths: np.cumsum([0, *lengths]).astype(np.int64)
    tensors = {
        "tokens": np.array([t for segment in flat for t in segment], np.int32),
        "segments": ends(len(segment) for segment in flat),
        "group_segments": ends(len(group) for group in made.segments),
    }
    if kind in ("pairs", "short_prompts"):
        tensors["pairs"] = np.array([[3 * g + 1, 3 * g + 2] for g in range(ROWS)], np.int32)
        tensors["segment_tiers"] = np.array([-1, 0, 1] * ROWS, np.int32)
    if kind == "votes":
        tensors["segment_labels"] = np.array([x for row in made.rows for x in (-1, int(row["label"]))], np.int32)
    save_file(tensors, path, metadata={"format": "groups.v1"})


def make_tokenizer():
    vocabulary = {"<pad>": PAD, "<eos>": EOS, **{f"w{i}": i for i in range(2, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def load_model(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")


def make_adapter(model_dir, adapter_dir):
    """A random adapter whose B is not 0, so that policy and reference differ from the first step on."""
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    peft.get_peft_model(load_model(model_dir), config).save_pretrained(adapter_dir)


def run_trl(case, made, model_dir, adapter_dir, work):
    """Losses of every step, the first step's metrics and the trained adapter."""
    config = case.config(output_dir=str(work / "trl"), per_device_train_batch_size=ROWS, gradient_accumulation_steps=1, bf16=False,
                         gradient_checkpointing=False, use_cpu=True, report_to=[], logging_steps=1, save_strategy="no",
                         optim="adamw_torch", disable_tqdm=True, max_length=128, seed=1, **OPTIMIZER, **case.options)
    arguments = {"args": config, "train_dataset": Dataset.from_list(made.rows), "processing_class": make_tokenizer()}
    if case.reference_is_adapter:
        model = peft.PeftModel.from_pretrained(load_model(model_dir), adapter_dir, is_trainable=True)
        trainer = case.trainer(model=model, **arguments)
    else:
        lora = peft.LoraConfig.from_pretrained(adapter_dir)
        lora.inference_mode = False  # PEFT saves it as true
        trainer = case.trainer(model=load_model(model_dir), peft_config=lora, **arguments)
        peft.set_peft_model_state_dict(trainer.model, peft.utils.load_peft_weights(adapter_dir, device="cpu"))
    for parameter in trainer.model.parameters():
        parameter.data = parameter.data.float()
    trainer.remove_callback(transformers.PrinterCallback)
    losses, compute = [], trainer.compute_loss

    def recorded(*args, **kwargs):
        result = compute(*args, **kwargs)
        losses.append(float((result[0] if isinstance(result, tuple) else result).detach()))
        return result

    trainer.compute_loss = recorded
    trainer.train()
    weights = {name: value.numpy() for name, value in peft.get_peft_model_state_dict(trainer.model).items()}
    return losses, trainer.state.log_history[0], weights


def run_concord(binary, case, made, model_dir, adapter_dir, work):
    groups, job_file = work / "groups.safetensors", work / "job.json"
    write_groups(groups, made, case.data)
    job = {"model_name_or_path": str(model_dir), "train_file": str(groups), "output_dir": str(work / "out"),
           "adapter_name_or_path": str(adapter_dir), "objective": "dpo", "groups_per_step": ROWS, **OPTIMIZER, **case.job}
    if case.reference_is_adapter:
        job["reference_adapter"] = str(adapter_dir)
    job_file.write_text(json.dumps(job))
    ran = subprocess.run([binary, "train", str(job_file)], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{case.name}: {ran.stderr.strip()}")
    steps = [event for event in map(json.loads, ran.stdout.splitlines()) if event["event"] == "step"]
    if case.data == "votes" and not any(step["kl"] > 0 for step in steps):
        sys.exit(f"{case.name}: the reference point is 0 at every step, so this run shows nothing about it")
    return [step["loss"] for step in steps], steps[0], load_file(work / "out/adapter/adapter_model.safetensors")


def off(ours, theirs):
    return abs(ours - theirs) / max(1.0, abs(theirs))


def compare(binary, case, root):
    work = Path(tempfile.mkdtemp(dir=root))
    made = make_examples(case.data)
    theirs, their_metrics, their_weights = run_trl(case, made, root / "model", root / "adapter", work)
    ours, our_metrics, our_weights = run_concord(binary, case, made, root / "model", root / "adapter", work)
    assert len(ours) == len(theirs) == STEPS and ours[0] != ours[-1], f"{case.name}: {ours} {theirs}"
    assert set(our_weights) == set(their_weights), f"{case.name}: the adapters hold different tensors"
    metrics = [key for key in our_metrics if ("/" in key or key in ("kl", "nll_loss")) and key in their_metrics]
    return {
        "name": case.name, "first": ours[0], "last": ours[-1], "first_off": off(ours[0], theirs[0]),
        "curve_off": max(map(off, ours, theirs)),
        "metrics": len(metrics), "metrics_off": max([off(our_metrics[key], float(their_metrics[key])) for key in metrics], default=0.0),
        "weights_off": max(float(np.abs(our_weights[key] - their_weights[key]).max()) for key in our_weights),
    }


def main():
    here = Path(__file__).resolve().parent
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trainer", default=str(here.parent / "build" / "concord-trainer"))
    options.add_argument("--only", default="", help="losses whose name contains this")
    given = options.parse_args()
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "config.json").write_text(json.dumps(MODEL))
        subprocess.run([given.trainer, "init", "--config", str(root / "config.json"), "--seed", "1", "--out", str(root / "model")],
                       check=True, stdout=subprocess.DEVNULL)
        make_adapter(root / "model", root / "adapter")
        results = [compare(given.trainer, case, root) for case in cases() if given.only in case.name]
    print(f"trl {trl.__version__}, peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}\n")
    print("| loss | first | off | tenth | curve off | metrics off | weights off |\n| --- | --- | --- | --- | --- | --- | --- |")
    for r in results:
        metrics = f"{r['metrics_off']:.0e} of {r['metrics']}" if r["metrics"] else "none"
        print(f"| {r['name']} | {r['first']:.6f} | {r['first_off']:.0e} | {r['last']:.6f} | {r['curve_off']:.0e} | {metrics} | {r['weights_off']:.0e} |")
    failed = [r["name"] for r in results if not (r["first_off"] <= FIRST_TOLERANCE and r["curve_off"] <= CURVE_TOLERANCE)]
    if failed or not results:
        sys.exit(f"\nout of tolerance: {', '.join(failed) or 'nothing was compared'}")


if __name__ == "__main__":
    main()
