#!/usr/bin/env python3
"""Pairs a second of DPO as TRL's DPOTrainer does it, on torch, transformers and PEFT alone: its batches, its passes, its optimizer.

    python trainer/bench/gpu_peer.py --config CONFIG.json --prompt-tokens 512 --completion-tokens 512 [--tuned] [--pairs 8] [--steps 8]

A pair is two rows, prompt and answer each, padded to the longest of the batch. As TRL comes: weights in float32 under bfloat16 autocast,
gradient checkpointing, the reference a pass of its own with the adapter off, logits at every position. --tuned: weights in bfloat16, no
checkpointing, the reference computed before, attention by scaled_dot_product_attention. Random weights and ids. Prints one JSON object.
"""

import argparse
import json
import statistics
import time

import peft
import torch
import transformers


def sequence_logps(model, ids, prompt_tokens):
    """Sum over each row's answer, from logits of all positions, as TRL takes it."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    targets = ids[:, 1:]
    logps = torch.gather(logits, 2, targets.unsqueeze(2)).squeeze(2) - torch.logsumexp(logits, 2)
    return logps[:, prompt_tokens - 1 :].sum(1)


def train(model, optimizer, scheduled, prompt_tokens, tuned, steps, device):
    """Seconds of each step; a step is one batch [chosen; rejected]."""
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=not tuned)
    seconds = []
    for ids, precomputed in scheduled(steps):
        wait(device)
        start = time.perf_counter()
        with autocast:
            if precomputed is None:
                with torch.no_grad(), model.disable_adapter():
                    reference = sequence_logps(model, ids, prompt_tokens)
            else:
                reference = precomputed
            ratio = sequence_logps(model, ids, prompt_tokens) - reference
            chosen, rejected = ratio.chunk(2)
            loss = -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_((p for p in model.parameters() if p.requires_grad), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", required=True)
    options.add_argument("--prompt-tokens", type=int, required=True)
    options.add_argument("--completion-tokens", type=int, required=True)
    options.add_argument("--tuned", action="store_true")
    options.add_argument("--pairs", type=int, default=8, help="a step")
    options.add_argument("--steps", type=int, default=8, help="the first two are not counted")
    options.add_argument("--device", default="cuda")
    given = options.parse_args()
    torch.manual_seed(1)
    with open(given.config) as file:
        members = json.load(file)
    config = transformers.AutoConfig.for_model(members.pop("model_type"), **members)
    dtype = torch.bfloat16 if given.tuned else torch.float32
    with torch.device(given.device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    if not given.tuned:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-6)

    def scheduled(steps):
        for _ in range(steps):
            prompts = torch.randint(config.vocab_size, (given.pairs, given.prompt_tokens), device=given.device)
            answers = torch.randint(config.vocab_size, (2 * given.pairs, given.completion_tokens), device=given.device)
            ids = torch.cat([prompts.repeat(2, 1), answers], 1)
            # What was computed before training costs the step nothing.
            yield ids, torch.zeros(2 * given.pairs, device=given.device) if given.tuned else None

    seconds = train(model, optimizer, scheduled, given.prompt_tokens, given.tuned, given.steps, given.device)
    step = statistics.median(seconds[2:])
    peak = torch.cuda.max_memory_allocated() / 1e9 if given.device == "cuda" else None
    print(json.dumps({"pairs_per_second": given.pairs / step, "seconds_per_step": step, "peak_gb": peak, "tuned": given.tuned, "pairs_per_step": given.pairs,
                      "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}))


if __name__ == "__main__":
    main()
