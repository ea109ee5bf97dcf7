import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic import (
    Habits,
    PolicyConfig,
    Problem,
    build_tokenizer,
    check_steps,
    demonstrations,
    draw_problems,
    final_answer,
    improve,
    start,
    true_reward,
)
from plaudit.lab.worlds.arithmetic.habits import BUDGET
from plaudit.lab.worlds.arithmetic.learning import LearningConfig
from plaudit.lab.worlds.arithmetic.policy import prompt_ids, sample
from plaudit.lab.worlds.arithmetic.problems import side_of
from plaudit.lab.worlds.arithmetic.symbols import EOS, ids, text_of
from plaudit.rewards.base import RewardBatch

HAND = Problem(3, (("*", 4), ("+", 9), ("-", 5)))


def test_a_problem_by_hand():
    assert HAND.text == "3*4+9-5"
    assert HAND.values == (12, 21, 16)
    assert HAND.answer == 16
    assert HAND.carries == 2  # 12+9 carries, 21-5 borrows


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_drawn_problems_mean_what_they_say(seed):
    for problem in draw_problems(5, seed=seed, depth=(2, 6)):
        assert eval(problem.text) == problem.answer  # Python reads the same expression by precedence
        assert all(0 <= v <= 99 for v in problem.values)
        assert side_of(problem.text) == "train"


def test_sides_do_not_share_and_knobs_do_what_they_say():
    train, test = (draw_problems(200, seed=1, side=side) for side in ("train", "test"))
    assert not {p.text for p in train} & {p.text for p in test}
    assert draw_problems(50, seed=4) == draw_problems(50, seed=4)
    share = {}
    for carries in (0.0, 1.0):
        drawn = draw_problems(100, seed=2, depth=(3, 3), carries=carries)
        share[carries] = np.mean([p.carries for p in drawn])
    assert share[0.0] < 0.2
    assert share[1.0] > 2.0  # of three operations, a product cannot carry
    with pytest.raises(InputError, match="depth is"):
        draw_problems(1, seed=0, depth=(2, 7))


RIGHT = "3*4=12\n12+9=21\n21-5=16\n#### 16"


@pytest.mark.parametrize(
    ("text", "steps", "reward"),
    [
        (RIGHT, [True, True, True], 1.0),
        ("3*4=12\n12+9=22\n22-5=17\n#### 17", [True, False, True], 0.0),
        ("3*4=12\n12+9=20\n20-5=16\n#### 16", [True, False, False], 1.0),  # two slips, and right by luck
        ("hmm 3*4=12\nhmm ", [True, False], 0.0),
        ("#### 16", [], 1.0),
        ("3*4=12\n12-5=7\n7+9=16\n#### 16", [True, False, False], 1.0),  # another order than asked
        (RIGHT + "#### 17", [True, True, True], 0.0),
        (RIGHT + "\n", [True, True, True], 0.0),
    ],
)
def test_steps_and_answers(text, steps, reward):
    assert check_steps(HAND, text) == steps
    assert true_reward(HAND, text) == reward


def test_final_answers():
    assert final_answer("#### 7") == 7
    assert final_answer("") is None
    assert final_answer("#### 7\n#### 7") is None


def test_demonstrations_err_as_the_habits_say():
    problems = draw_problems(400, seed=3)
    clean = demonstrations(problems, Habits(slips=0.0, loops=0.0), seed=1)
    assert all(true_reward(p, t) == 1.0 and all(check_steps(p, t)) for p, t in zip(problems, clean, strict=True))
    slipped = demonstrations(problems, Habits(slips=0.3, loops=0.0), seed=1)
    steps = [ok for p, t in zip(problems, slipped, strict=True) for ok in check_steps(p, t)]
    assert np.mean(steps) == pytest.approx(0.7, abs=0.05)
    looping = demonstrations(problems, Habits(slips=0.0, loops=0.5), seed=1)
    assert np.mean([t.endswith("hmm ") for t in looping]) == pytest.approx(0.5, abs=0.08)
    lucky = demonstrations(problems, Habits(slips=0.5, lucky=1.0, loops=0.0), seed=1)
    wrong = demonstrations(problems, Habits(slips=0.5, lucky=0.0, loops=0.0), seed=1)
    right = [np.mean([true_reward(p, t) for p, t in zip(problems, texts, strict=True)]) for texts in (lucky, wrong)]
    assert right[0] > right[1] + 0.1
    with pytest.raises(InputError, match="slips is 2"):
        Habits(slips=2)


def test_ids_text_and_tokenizer_agree():
    tokenizer = build_tokenizer()
    text = RIGHT.replace("\n", "\nhmm ")
    assert text_of(ids(text)) == text
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids(text)
    assert tokenizer.decode(ids(text)) == text
    messages = [{"role": "user", "content": HAND.text}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert list(rendered) == prompt_ids(HAND)
    done = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": text}], return_dict=False)
    assert list(done) == [*prompt_ids(HAND), *ids(text), EOS]
    with pytest.raises(InputError, match="'x' is no token"):
        ids("3x4")


TINY = PolicyConfig(width=32, demonstrations=200, epochs=1.0)


def test_a_start_is_cached_and_samples_within_the_budget(tmp_path):
    first = start(1, TINY, cache=tmp_path)
    (folder,) = (tmp_path / "arithmetic").iterdir()
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    again = start(1, TINY, cache=tmp_path)
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    problems = draw_problems(6, seed=5)
    a, b = (sample(m, problems, each=3, seed=2) for m in (first, again))
    assert a == b
    flat = [d for row in a for d in row]
    assert all(len(d.completion_ids) <= BUDGET for d in flat)
    assert all(d.finished == (d.completion_ids[-1] == EOS) for d in flat)


def test_improving_raises_what_is_rewarded_and_ignores_what_is_not_counted(tmp_path):
    problems = draw_problems(40, seed=5)
    config = LearningConfig(updates=12, prompts=8, samples=8, learning_rate=3e-3)

    def hesitant(_, drawn, update):
        return RewardBatch(np.array([float("hmm" in d.text or not d.finished) for d in drawn]))

    model = start(1, TINY, cache=tmp_path)
    told = improve(model, problems, hesitant, config, seed=1)
    assert np.mean([t["reward"] for t in told[-3:]]) > np.mean([t["reward"] for t in told[:3]]) + 0.2

    def nothing(_, drawn, update):
        return RewardBatch(np.full(len(drawn), np.nan), np.full(len(drawn), 3, dtype=np.int8))

    model = start(1, TINY, cache=tmp_path)
    before = [p.detach().clone() for p in model.parameters()]
    told = improve(model, problems, nothing, LearningConfig(updates=2, prompts=4, samples=4), seed=1)
    assert all(t["counted"] == 0.0 for t in told)
    assert all((a == b).all() for a, b in zip(before, model.parameters(), strict=True))
