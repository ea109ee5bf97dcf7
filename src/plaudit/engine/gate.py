"""May this model run on trees? Reasons are named before any number is trusted.

Static facts come first (layer types, rotary scaling, bidirectional or recurrent parts), then one tiny call that
counts whether every layer calls the registered attention function: some families ignore
`set_attn_implementation` silently. The probe compares numbers afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plaudit.engine import attention
from plaudit.engine.plan import TreePlan
from plaudit.engine.tree import PrefixTree

LAYER_TYPES = {"full_attention", "sliding_attention", "attention"}
ROPE_TYPES = {"default", "linear", "llama3", "yarn", "proportional"}


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a model may take the tree path, and why not.

    Attributes:
        open: True if it may.
        reason: one line; empty where the gate is open.
    """

    open: bool
    reason: str = ""


def trunk(model: nn.Module) -> nn.Module:
    """The decoder inside a classification, causal-LM or peft model: what returns `last_hidden_state`."""
    unwrap: Any = getattr(model, "get_base_model", None)
    inner: nn.Module = unwrap() if unwrap else model
    base = getattr(inner, getattr(inner, "base_model_prefix", "") or "", None)
    return base if isinstance(base, nn.Module) else inner


def static_gate(model: Any) -> Gate:
    """What configuration and signature alone decide."""
    config = model.config.get_text_config()
    name = config.model_type
    body = trunk(model)
    if not getattr(type(body), "_can_set_attn_implementation", lambda: True)():
        return Gate(False, f"{name}: ignores set_attn_implementation; its attention is not the AttentionInterface's")
    for problem in (_architecture, _layers, _rope):
        reason = problem(config)
        if reason:
            return Gate(False, f"{name}: {reason}")
    if "position_ids" not in inspect.signature(body.forward).parameters:
        return Gate(False, f"{name}: its forward takes no position_ids, and a tree's positions are not 0..t-1")
    for module in body.modules():
        if getattr(module, "is_causal", True) is False and hasattr(module, "layer_idx"):
            return Gate(False, f"{name}: has attention layers that are not causal")
    return Gate(True)


def _architecture(config: Any) -> str:
    if getattr(config, "is_encoder_decoder", False):
        return "encoder-decoder; a tree needs one causal stack"
    if getattr(config, "use_bidirectional_attention", False) or getattr(config, "is_causal", True) is False:
        return "bidirectional attention; later tokens would change the shared prefix"
    if config.model_type in _ENCODERS and not getattr(config, "is_decoder", False):
        return "an encoder; later tokens would change the shared prefix"
    return ""


# Families whose configuration does not say that they look both ways.
_ENCODERS = {
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert", "modernbert",
    "mpnet", "nomic_bert", "roberta", "xlm-roberta",
}  # fmt: skip


def _layers(config: Any) -> str:
    kinds = set(getattr(config, "layer_types", None) or [])
    odd = sorted(kinds - LAYER_TYPES)
    if odd:
        return f"layers of type {', '.join(odd)}; only full and sliding attention run on trees"
    if getattr(config, "attention_chunk_size", None):
        return "chunked attention, which does not reach the attention function"
    for mark in ("ssm_cfg", "mamba_d_state", "state_size", "rwkv", "linear_attn_config"):
        if getattr(config, mark, None):
            return f"recurrent or linear layers ({mark}); their state would leak between branches"
    return ""


def _rope(config: Any) -> str:
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [v for v in rope.values() if isinstance(v, dict)] or [rope]
    for entry in nested:
        kind = entry.get("rope_type", entry.get("type", "default"))
        if kind not in ROPE_TYPES:
            return f"rotary scaling of type {kind!r}, which depends on the longest text in the batch"
    return ""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Runs in evaluation mode and puts every module's own mode back; they need not all be alike."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def attention_of(model: Any, name: str) -> Iterator[None]:
    """Runs with another attention function and puts the model's own back."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def call_gate(model: Any) -> Gate:
    """Whether each layer calls the registered function once and hands it the plan, counted on a three-token row."""
    tree = PrefixTree.build([[1, 2], [1, 3]])
    plan = _Counting.of(tree, device=next(model.parameters()).device)
    layers = int(getattr(model.config.get_text_config(), "num_hidden_layers", 0))
    try:
        with evaluating(model), torch.no_grad():
            trunk(model)(**row_inputs(tree, plan))
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        return Gate(False, f"{model.config.model_type}: does not run on a packed row: {first_line(error):.120}")
    if plan.calls != layers:
        return Gate(
            False,
            f"{model.config.model_type}: {plan.calls} of its {layers} layers call the registered attention function; "
            "the family ignores set_attn_implementation",
        )
    return Gate(True)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class _Counting(TreePlan):
    """A plan that counts how often attention asks for its spans: once a layer."""

    calls: int = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "mode":
            object.__setattr__(self, "calls", object.__getattribute__(self, "calls") + 1)
        return super().__getattribute__(name)


def row_inputs(tree: PrefixTree, plan: TreePlan) -> dict[str, Any]:
    """Keyword arguments that run a model's trunk over a packed row.

    The attention mask is an empty four-dimensional placeholder, which transformers passes through as it is; without
    one it would build a dense t x t mask that nobody reads.
    """
    device = plan.position_ids.device
    ids = torch.from_numpy(tree.input_ids).to(device=device, dtype=torch.long)[None]
    placeholder: Tensor = torch.empty(1, 1, ids.shape[1], 0, device=device)
    return {
        "input_ids": ids,
        "position_ids": plan.position_ids[None],
        "attention_mask": placeholder,
        "tree_plan": plan,
        "use_cache": False,
    }


attention.register()
