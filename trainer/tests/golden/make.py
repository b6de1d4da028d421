"""Makes the golden cases of every model family: what transformers and PEFT compute in float64 from tiny random checkpoints.

    python make.py            writes every case beside this file, and versions.json

Needs torch, transformers and peft; the same versions write the same bytes. Each case is a folder: model/ (config.json as
checkpoints of that family carry it, weights in the dtype it names), adapter/ (written by PEFT) and expected.safetensors:
logps.base and logps.adapter (every completion token of groups.safetensors, each sequence alone), grad.sft.<module>.lora_A
and lora_B (mean negative log-likelihood over all predicted completion tokens) and greedy.adapter (ids after the first prompt).
"""

import json
import platform
import shutil
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
GREEDY = 12
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# Prompts and completions by length: windows and the original length of longrope lie inside, at and beyond them. One group has
# completions on both sides of longrope's; one is text without a prompt.
GROUPS = [(9, [4, 12, 7]), (4, [3, 9]), (20, [6, 10]), (0, [14]), (1, [1, 7])]

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def four(rope_type, **values):
    return {"rope_scaling": {"rope_type": rope_type, **values}}


def five(rope_type, **values):
    return {"rope_parameters": {"rope_type": rope_type, **values}}


LONG = {"short_factor": [1.0, 1.25, 1.5], "long_factor": [2.0, 4.0, 6.0]}
CASES = {
    "llama-llama3": {
        "model_type": "llama", "dtype": "bfloat16",
        **five("llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
    },
    "llama-linear": {"model_type": "llama", "torch_dtype": "float16", "rope_theta": 100.0, **four("linear", factor=4.0)},
    "llama-yarn": {
        "model_type": "llama", "dtype": "float32", "head_dim": 8, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
        **five("yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4.0),
    },
    "mistral-window": {"model_type": "mistral", "torch_dtype": "bfloat16", "sliding_window": 5, "rope_theta": 100.0, "head_dim": 8},
    "qwen2": {"model_type": "qwen2", "torch_dtype": "bfloat16", "rope_theta": 1000.0, "use_sliding_window": False, "sliding_window": 4,
              "tie_word_embeddings": True},
    "qwen2-window": {"model_type": "qwen2", "torch_dtype": "bfloat16", "use_sliding_window": True, "sliding_window": 5,
                     "max_window_layers": 1},
    "qwen3": {"model_type": "qwen3", "torch_dtype": "bfloat16", "head_dim": 8, "rope_theta": 100.0, "attention_bias": False},
    "qwen3-window": {
        "model_type": "qwen3", "dtype": "bfloat16", "head_dim": 8, "use_sliding_window": True, "sliding_window": 3,
        "layer_types": ["sliding_attention", "full_attention"],
        **five("yarn", rope_theta=100.0, factor=2.0, original_max_position_embeddings=8, truncate=False, mscale=1.0, mscale_all_dim=0.5),
    },
    "gemma2": {"model_type": "gemma2", "torch_dtype": "bfloat16", "head_dim": 8, "query_pre_attn_scalar": 6, "sliding_window": 5,
               "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "hidden_activation": "gelu_pytorch_tanh"},
    "gemma3": {
        "model_type": "gemma3_text", "torch_dtype": "bfloat16", "head_dim": 8, "query_pre_attn_scalar": 6,
        "sliding_window": 4, "sliding_window_pattern": 2, "rope_theta": 5000.0, "rope_local_base_freq": 100.0,
        **four("linear", factor=8.0),
    },
    "gemma3-five": {
        "model_type": "gemma3_text", "dtype": "bfloat16", "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4,
        "final_logit_softcapping": 5.0, "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 9000.0, "factor": 4.0},
        },
    },
    "phi3": {"model_type": "phi3", "torch_dtype": "bfloat16", "sliding_window": 6, "rope_theta": 100.0,
             "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}},
    "phi3-longrope": {
        "model_type": "phi3", "torch_dtype": "bfloat16", "hidden_size": 32, "partial_rotary_factor": 0.75, "rope_theta": 100.0,
        "original_max_position_embeddings": 8, "tie_word_embeddings": True, "rope_scaling": {"type": "longrope", **LONG},
    },
    "smollm3": {"model_type": "smollm3", "torch_dtype": "bfloat16", "rope_theta": 100.0, "no_rope_layers": [0, 1],
                "use_sliding_window": True, "sliding_window": 5},
}
SHARDED = {"qwen3"}


def groups():
    """The token ids of GROUPS, drawn once for all cases."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda n: torch.randint(3, SHAPE["vocab_size"], (n,), generator=generator).tolist()
    return [(draw(prompt), [draw(n) for n in completions]) for prompt, completions in GROUPS]


def write_groups(all_groups):
    tokens, segments, group_segments = [], [0], [0]
    for prompt, completions in all_groups:
        for ids in [prompt, *completions]:
            tokens += ids
            segments.append(len(tokens))
        group_segments.append(len(segments) - 1)
    tensors = {
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "segments": torch.tensor(segments),
        "group_segments": torch.tensor(group_segments),
    }
    save_file(tensors, HERE / "groups.safetensors", {"format": "groups.v1"})


def draw_weights(config, seed):
    """Every weight far from its usual start, so that nothing a family adds is a no-op: norms, biases and caps all matter."""
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        values = torch.randn(parameter.shape, generator=generator)
        is_norm = name.endswith("norm.weight")
        center = 0.0 if not is_norm or config.model_type.startswith("gemma") else 1.0
        weights[name] = center + (0.2 if parameter.dim() == 1 else 0.4) * values
    return weights


def write_model(directory, values, seed):
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**SHAPE, **values}, indent=2) + "\n")
    config = transformers.AutoConfig.from_pretrained(directory)
    dtype = DTYPES[values.get("dtype", values.get("torch_dtype"))]
    weights = {name: w.to(dtype) for name, w in draw_weights(config, seed).items()}
    if directory.parent.name not in SHARDED:
        save_file(weights, directory / "model.safetensors", {"format": "pt"})
        return
    names = list(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, directory / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def load(directory):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager").eval()


def with_adapter(model, directory, seed):
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            values = 0.2 * torch.randn(parameter.shape, generator=generator)
            parameter.data = values.float().double()
    model.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    config = json.loads((directory / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../model"
    config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set, in an order of its own
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return model.eval()


def completion_logps(model, prompt, completion):
    """log p of every completion token, the whole sequence alone; the first of a text without a prompt is context and 0."""
    logits = model(torch.tensor([prompt + completion])).logits[0]
    table = torch.log_softmax(logits, dim=-1)
    first = max(len(prompt), 1)
    sequence = prompt + completion
    values = [table[i - 1, sequence[i]] for i in range(first, len(sequence))]
    return ([torch.zeros((), dtype=torch.float64)] if not prompt else []) + values


def all_logps(model, all_groups):
    return [logp for prompt, completions in all_groups for c in completions for logp in completion_logps(model, prompt, c)]


def sft_gradients(model, all_groups):
    predicted = sum(len(c) - (0 if prompt else 1) for prompt, completions in all_groups for c in completions)
    model.zero_grad()
    (-torch.stack(all_logps(model, all_groups)).sum() / predicted).backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            module, kind = name.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".", 1)
            gradients[f"grad.sft.{module}.{kind}"] = parameter.grad
    return gradients


@torch.no_grad()
def greedy(model, prompt):
    """Argmax step by step without a cache, so that a cache in error cannot agree with itself."""
    ids = list(prompt)
    for _ in range(GREEDY):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt):]


def make(name, values, all_groups, seed):
    directory = HERE / name
    shutil.rmtree(directory, ignore_errors=True)
    write_model(directory / "model", values, seed)
    model = load(directory / "model")
    expected = {}
    with torch.no_grad():
        expected["logps.base"] = torch.stack(all_logps(model, all_groups))
    model = with_adapter(model, directory / "adapter", seed + 1000)
    expected["logps.adapter"] = torch.stack(all_logps(model, all_groups)).detach()
    expected |= sft_gradients(model, all_groups)
    expected = {key: value.to(torch.float32).contiguous() for key, value in expected.items()}
    expected["greedy.adapter"] = torch.tensor(greedy(model, all_groups[0][0]), dtype=torch.int32)
    save_file(expected, directory / "expected.safetensors")


def main():
    torch.set_num_threads(1)
    all_groups = groups()
    write_groups(all_groups)
    for seed, (name, values) in enumerate(CASES.items()):
        make(name, values, all_groups, seed)
        print(name)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
