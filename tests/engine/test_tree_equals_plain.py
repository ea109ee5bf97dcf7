"""The engine's promise: whatever the tree, the numbers are those of each sequence run alone on the stock model."""

import copy

import pytest
import torch

from plaudit.engine.engine import Engine, install_head
from plaudit.engine.gate import trunk

FAMILIES = ["llama", "qwen3", "gemma3", "mistral", "gpt_oss", "gemma2", "gpt2"]
MIXTURES = ["no sharing", "several depths", "prefixes and duplicates", "groups"]
CLOSE = dict(atol=1e-5, rtol=1e-5)


def projections(states, seed=0):
    """A scalar in which every element of every state counts differently."""
    generator = torch.Generator().manual_seed(seed)
    return sum((s * torch.randn(s.shape, generator=generator)).sum() for s in states) / sum(s.numel() for s in states)


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_and_gradients(family, mixture, build, mixtures, alone, same_gradients):
    model, stock = build(family), build(family)
    texts = [s for group in mixtures[mixture] for s in group]
    engine = Engine(model, mode="tree")
    ours, theirs = engine.hidden(texts), [alone(trunk(stock), t) for t in texts]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    (100 * projections(ours)).backward()
    (100 * projections(theirs)).backward()
    same_gradients(model, stock)


@pytest.mark.parametrize("budget", [1, 25, 10_000])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores(family, budget, build, mixtures):
    model, stock = install_head(build(family)), build(family)
    groups = [g for name in MIXTURES for g in mixtures[name]]
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    engine = Engine(model, mode="tree", budget=budget)
    calls.clear()
    with torch.no_grad():
        ours = engine.scores(groups)
        theirs = torch.cat([stock(torch.tensor([s])).logits for g in groups for s in g])
    torch.testing.assert_close(ours, theirs, **CLOSE)
    # one forward call a row: all groups in one, or (they all exceed one token) one each
    assert budget == 25 or len(calls) == (1 if budget > 25 else len(groups))


@pytest.mark.parametrize("family", FAMILIES)
def test_token_logps(family, build, mixtures, same_gradients):
    model, stock = build(family, "causal"), build(family, "causal")
    texts = [s for name in MIXTURES for g in mixtures[name] for s in g]
    ours, theirs = Engine(model, mode="tree", budget=60).token_logps(texts), []
    for text in texts:
        ids = torch.tensor([text])
        logits = stock(ids, attention_mask=torch.ones_like(ids)).logits[0, :-1]
        theirs.append(logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    (100 * projections(ours)).backward()
    (100 * projections(theirs)).backward()
    same_gradients(model, stock)


def test_token_logps_of_single_tokens_are_empty(build):
    for mode in ("tree", "padded"):
        first, second = Engine(build("llama", "causal"), mode=mode).token_logps([[5], [7]])
        assert first.shape == second.shape == (0,)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_oss", "gpt2"])
def test_gradient_checkpointing(family, reentrant, build, mixtures, same_gradients):
    model, stock = install_head(build(family)), build(family)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": reentrant})
    groups = [g for name in MIXTURES for g in mixtures[name]]
    # several rows before one backward pass: the plan of a row must be the one that its layers run again with
    engine = Engine(model, mode="tree", budget=40)
    model.train()
    ours = engine.scores(groups)
    theirs = torch.cat([stock(torch.tensor([s])).logits for g in groups for s in g])
    torch.testing.assert_close(ours, theirs, **CLOSE)
    projections([ours]).backward()
    projections([theirs]).backward()
    same_gradients(model, stock)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_lora(checkpointing, build, mixtures, same_gradients):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        install_head(build("qwen3")),
        LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"),
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # adapters start as the identity, which would hide a path that leaves them out
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    stock = copy.deepcopy(model)
    groups = [g for name in MIXTURES for g in mixtures[name]]
    if checkpointing:
        model.enable_input_require_grads()
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    engine = Engine(model, mode="tree", budget=40)
    model.train()
    ours = engine.scores(groups)
    theirs = torch.cat([stock(torch.tensor([s])).logits for g in groups for s in g])
    torch.testing.assert_close(ours, theirs, **CLOSE)
    projections([ours]).backward()
    projections([theirs]).backward()
    same_gradients(model, stock)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_padded_plain_calls_afterwards(family, side, build, mixtures, alone):
    model, stock = build(family), build(family)
    texts = [s for g in mixtures["groups"] for s in g]
    Engine(model, mode="tree").hidden(texts)  # the tree attention stays installed
    assert model.config._attn_implementation != stock.config._attn_implementation
    width = max(len(t) for t in texts)
    ids, mask = (
        torch.zeros(len(texts), width, dtype=torch.long),
        torch.zeros(len(texts), width, dtype=torch.long),
    )
    for i, t in enumerate(texts):
        at = slice(width - len(t), width) if side == "left" else slice(0, len(t))
        ids[i, at], mask[i, at] = torch.tensor(t), 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        states = trunk(model)(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        for i, t in enumerate(texts):
            torch.testing.assert_close(states.last_hidden_state[i][mask[i] == 1], alone(trunk(stock), t), **CLOSE)
            single = trunk(model)(input_ids=torch.tensor([t]), use_cache=False).last_hidden_state[0]
            torch.testing.assert_close(single, alone(trunk(stock), t), **CLOSE)  # no mask at all


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_with_a_cache_afterwards(family, build):
    model, stock = build(family, "causal"), build(family, "causal")
    Engine(model, mode="tree")
    ids = torch.tensor([[5, 9, 13, 4, 8, 30, 22, 17], [0, 0, 0, 7, 3, 11, 19, 23]])
    options = dict(attention_mask=(ids > 0).long(), max_new_tokens=12, do_sample=False, pad_token_id=0)
    assert model.generate(ids, **options).tolist() == stock.generate(ids, **options).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_padded_path_gives_the_same(family, build, mixtures):
    groups = [g for name in MIXTURES for g in mixtures[name]]
    texts = [s for g in groups for s in g]
    tree, padded = (Engine(install_head(build(family)), mode=m, budget=64) for m in ("tree", "padded"))
    assert padded.gate.reason == "padded on request"
    with torch.no_grad():
        torch.testing.assert_close(padded.scores(groups), tree.scores(groups), **CLOSE)
        for a, b in zip(padded.hidden(texts), tree.hidden(texts), strict=True):
            torch.testing.assert_close(a, b, **CLOSE)
        models = (build(family, "causal"), build(family, "causal"))
        tree, padded = (Engine(m, mode=k, budget=64) for m, k in zip(models, ("tree", "padded"), strict=True))
        for a, b in zip(padded.token_logps(texts), tree.token_logps(texts), strict=True):
            torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_the_dense_reference_on_whole_models(family, build, mixtures, same_gradients):
    fast, dense = build(family), build(family)
    texts = [s for name in MIXTURES for g in mixtures[name] for s in g]
    ours, reference = (
        Engine(fast, mode="tree").hidden(texts),
        Engine(dense, mode="tree", dense=True).hidden(texts),
    )
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    (100 * projections(ours)).backward()
    (100 * projections(reference)).backward()
    same_gradients(fast, dense)


def test_work_is_the_distinct_tokens(build, mixtures):
    model = build("llama")
    engine, widths = Engine(model, mode="tree"), []
    model.model.register_forward_pre_hook(lambda _m, _a, k: widths.append(k["input_ids"].shape), with_kwargs=True)
    texts = mixtures["prefixes and duplicates"][0]
    engine.hidden(texts)
    assert widths == [(1, 15)]  # the chain of 14 and one token that leaves it; 43 raw tokens


def test_the_budget_also_divides_hidden_and_logps(build, mixtures):
    model = build("llama", "causal")
    engine, widths = Engine(model, mode="tree", budget=24), []
    model.model.register_forward_pre_hook(lambda _m, _a, k: widths.append(k["input_ids"].shape[1]), with_kwargs=True)
    texts = [s for g in mixtures["groups"] for s in g]
    engine.hidden(texts)
    assert max(widths) <= 24
    widths.clear()
    engine.token_logps(texts)
    assert max(widths) <= 24
