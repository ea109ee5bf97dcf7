import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from plaudit.engine.generation import generate
from plaudit.errors import InputError

EOS, PAD = 1, 0
PROMPTS = [[5, 6, 7], [9], [4, 8, 15, 16, 23], [5, 6]]


def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=29,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=29, n_embd=32, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


def draw(model, prompts=PROMPTS, *, seed=0, **options):
    defaults = dict(samples_per_prompt=3, max_new_tokens=12, eos_id=EOS, pad_id=PAD, batch_size=64)
    return generate(model, prompts, generator=torch.Generator().manual_seed(seed), **(defaults | options))


@pytest.mark.parametrize("build", [llama, gpt2])
def test_greedy_equals_transformers(build):
    model = build()
    ours = draw(model, samples_per_prompt=1, temperature=0.0)
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
        assert list(completion.completion_ids) == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize(("build", "temperature"), [(llama, 1.0), (gpt2, 1.0), (llama, 0.7)])
def test_logp_equals_a_plain_forward(build, temperature):
    model = build()
    for prompt, completions in zip(PROMPTS, draw(model, temperature=temperature), strict=True):
        for c in completions:
            ids = torch.tensor([[*prompt, *c.completion_ids]])
            with torch.no_grad():
                logits = model(ids).logits[0, len(prompt) - 1 : -1] / temperature
            plain = logits.log_softmax(-1).gather(1, torch.tensor(c.completion_ids)[:, None]).squeeze(1)
            torch.testing.assert_close(torch.tensor(c.logp), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batching_and_padding_do_not_matter(batch_size):
    model = llama()
    whole, parts = draw(model), draw(model, batch_size=batch_size)
    ids = [[c.completion_ids for c in row] for row in whole]
    assert [[c.completion_ids for c in row] for row in parts] == ids


def test_seeds_reproduce_and_differ():
    model = llama()
    assert draw(model, seed=3) == draw(model, seed=3)
    assert draw(model, seed=3) != draw(model, seed=4)


def test_frequencies_are_the_models():
    model = llama()
    rows = draw(model, [[5, 6, 7]], samples_per_prompt=4000, max_new_tokens=1, batch_size=4000)
    counts = torch.bincount(torch.tensor([c.completion_ids[0] for c in rows[0]]), minlength=29)
    with torch.no_grad():
        p = model(torch.tensor([[5, 6, 7]])).logits[0, -1].softmax(-1)
    # six binomial standard deviations
    assert ((counts / 4000 - p).abs() <= 6 * (p * (1 - p) / 4000).sqrt() + 1e-3).all()


def test_top_p_keeps_the_smallest_sufficient_set():
    model = llama()
    with torch.no_grad():
        p = model(torch.tensor([[9]])).logits[0, -1].softmax(-1)
    ranked, index = p.sort(descending=True)
    allowed = set(index[: int((ranked.cumsum(0) < 0.6).sum()) + 1].tolist())
    rows = draw(model, [[9]], samples_per_prompt=500, max_new_tokens=1, top_p=0.6, batch_size=500)
    assert {c.completion_ids[0] for c in rows[0]} == allowed


def test_suppressed_tokens_are_never_drawn():
    model = llama()
    free = draw(model, [[9]], samples_per_prompt=300, max_new_tokens=1, batch_size=300)
    common = max(range(29), key=[c.completion_ids[0] for c in free[0]].count)
    rest = draw(model, [[9]], samples_per_prompt=300, max_new_tokens=1, batch_size=300, suppress=[common])
    assert common not in {c.completion_ids[0] for c in rest[0]}
    with torch.no_grad():
        p = model(torch.tensor([[9]])).logits[0, -1].softmax(-1)
    one = rest[0][0]
    expected = (p[one.completion_ids[0]] / (1 - p[common])).log()  # the rest, renormalised
    assert one.logp[0] == pytest.approx(float(expected), abs=1e-5)


def test_finish_and_lengths():
    model = llama()
    rows = [c for row in draw(model, samples_per_prompt=50, max_new_tokens=6) for c in row]
    assert {c.finish for c in rows} == {"eos", "length"}
    for c in rows:
        assert (c.completion_ids[-1] == EOS) == (c.finish == "eos")
        assert EOS not in c.completion_ids[:-1]
        assert len(c.logp) == len(c.completion_ids) <= 6
        assert c.finish == "eos" or len(c.completion_ids) == 6


def test_finished_rows_leave_the_batch():
    model, rows = llama(), []
    hook = model.model.register_forward_pre_hook(lambda m, a, k: rows.append(k["input_ids"].shape), with_kwargs=True)
    drawn = [c for row in draw(model, samples_per_prompt=20, batch_size=80) for c in row]
    hook.remove()
    assert rows[0] == (4, 5)  # the prompts are prefilled once, not once a sample
    for step, shape in enumerate(rows[1:]):
        alive = sum(c.completion_ids[step] != EOS for c in drawn if len(c.completion_ids) > step)
        assert shape == (alive, 1)


def test_the_mode_of_the_model_is_kept_and_progress_told():
    model, told = llama().train(), []
    draw(model, batch_size=6, progress=told.append)
    assert model.training
    assert told == [6, 12]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": [[1], []]}, "prompt 1 has no tokens"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"samples_per_prompt": 0}, "samples_per_prompt is 0"),
    ],
)
def test_errors(change, message):
    with pytest.raises(InputError, match=message):
        draw(llama(), **({"prompts": PROMPTS} | change))


def test_a_generator_for_each_prompt_makes_them_independent_of_each_other():
    model = llama()
    seeds = [torch.Generator().manual_seed(i) for i in range(len(PROMPTS))]
    options = dict(samples_per_prompt=2, max_new_tokens=9, eos_id=EOS, pad_id=PAD)
    together = generate(model, PROMPTS, generator=seeds, **options)
    for i, prompt in enumerate(PROMPTS):
        (alone,) = generate(model, [prompt], generator=[torch.Generator().manual_seed(i)], **options)
        assert [c.completion_ids for c in alone] == [c.completion_ids for c in together[i]]
    with pytest.raises(InputError, match="1 generators for 4 prompts; give one, or one each"):
        generate(model, PROMPTS, generator=seeds[:1], **options)
