"""Policy, pairs, pool and cache, on a policy trained for a moment."""

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant import ASPECTS, KINDS, Knobs, PolicyConfig, llama_config, prepare
from plaudit.lab.worlds.assistant.lexicon import SPECIALS
from plaudit.lab.worlds.assistant.prepared import cache_folder

TINY = PolicyConfig(demonstrations=400, epochs=1.0)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return prepare(3, TINY, cache=tmp_path_factory.mktemp("cache"))


def test_sizes_are_as_documented():
    for size, millions in (("small", 0.14), ("medium", 0.9), ("large", 3.5)):
        count = AutoModelForCausalLM.from_config(llama_config(size)).num_parameters() / 1e6
        assert count == pytest.approx(millions, rel=0.1)
    with pytest.raises(InputError, match="size 'tiny' is not known"):
        llama_config("tiny")


def test_true_reward_is_calibrated_on_the_policy(ready):
    pool = ready.pool(80, 8, seed=5)
    within = np.sqrt(pool.truth.var(axis=1, ddof=1).mean())
    assert within == pytest.approx(1.0, abs=0.2)
    assert pool.truth.mean() == pytest.approx(0.0, abs=0.5)


def test_the_policy_is_an_ordinary_model_folder(ready):
    model = AutoModelForCausalLM.from_pretrained(ready.policy_folder)
    tokenizer = AutoTokenizer.from_pretrained(ready.policy_folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "what is it ?"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))


def test_what_is_cached_is_not_made_again(ready, monkeypatch):
    def trained(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("plaudit.lab.worlds.assistant.prepared.train_policy", trained)
    again = prepare(3, TINY, cache=ready.folder.parents[1])
    np.testing.assert_array_equal(again.world.spread, ready.world.spread)
    assert (again.world.utility.shift, again.world.utility.scale) == (
        ready.world.utility.shift,
        ready.world.utility.scale,
    )


def test_training_reproduces(ready, tmp_path):
    again = prepare(3, TINY, cache=tmp_path)
    assert again.world.utility.scale == pytest.approx(ready.world.utility.scale, rel=1e-6)


def test_pairs_are_exact_nested_and_sides_disjoint(ready):
    many, few = ready.pairs(40, seed=1), ready.pairs(15, seed=1)
    assert (len(many), len(few)) == (40, 15)
    assert many[:15] == few
    test = ready.pairs(30, seed=1, side="test")
    assert not {r.prompt for r in many} & {r.prompt for r in test}
    assert len({r.prompt for r in test}) == 30
    for row in many:
        assert not any(s in f"{row.chosen} {row.rejected}".split() for s in SPECIALS)
        assert row.chosen != row.rejected


def test_knobs_that_leave_no_rows_are_refused(ready):
    everything = tuple((kind, aspect) for kind in KINDS for aspect in ASPECTS)
    with pytest.raises(InputError, match=r"of 40 were found; loosen `unseen`"):
        ready.pairs(40, Knobs(unseen=everything), seed=1)


def test_noise_changes_labels_and_nothing_else(ready):
    clean, noisy = (ready.pairs(60, Knobs(flips=f), seed=1) for f in (0.0, 0.4))
    assert [{r.chosen, r.rejected} for r in clean] == [{r.chosen, r.rejected} for r in noisy]


def test_pool_is_exact_cached_and_reads_back(ready):
    pool = ready.pool(6, 5, seed=2)
    samples = pool.samples()
    np.testing.assert_allclose(ready.world.true_reward(samples).reshape(6, 5), pool.truth)
    np.testing.assert_allclose(ready.reward(samples).aspects["hedging"].reshape(6, 5), pool.aspects[..., 5])
    again = ready.pool(6, 5, seed=2)
    assert again.samples() == samples
    np.testing.assert_array_equal(again.truth, pool.truth)
    assert len(set(pool.prompts)) == 6


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PLAUDIT_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "plaudit"
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
