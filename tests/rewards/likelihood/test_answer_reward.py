"""The probability of the reference answer: its numbers by hand, and the reward against plain forward calls."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records import Message, Part, Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.likelihood import AnswerOptions, AnswerReward, answer_probability, debiased, with_format
from plaudit.testing import RewardContract, example_samples, hostile_samples

SAMPLES = [
    Sample("3*4", "<think>three fours</think><answer>11</answer>", "12"),
    Sample("3*4", "<answer>12</answer>", "12"),
    Sample("3*4", "twelve", "12"),
    Sample("3*4", "<answer>1</answer> or <answer>2</answer>", "12"),
]


def test_the_catalogue_s_numbers():
    """Probabilities .9 and .1: mean .5, product .09, geometric .3; base .2 leaves .3; .9 * .3 + .1 = .37."""
    logp = np.log([[0.9, 0.1]])
    means = {a: float(answer_probability(logp, aggregate=a)[0]) for a in ("mean", "product", "geometric")}
    assert means == pytest.approx({"mean": 0.5, "product": 0.09, "geometric": 0.3})
    gain = debiased(np.array([0.5]), np.array([0.2]))
    assert gain[0] == pytest.approx(0.3)
    assert with_format(gain, np.array([True]))[0] == pytest.approx(0.37)
    assert debiased(np.array([0.1]), np.array([0.2]))[0] == 0.0
    assert debiased(np.array([0.1]), np.array([0.2]), shape="leaky", slope=0.5)[0] == pytest.approx(-0.05)
    assert debiased(np.array([0.2]), np.array([0.2]), shape="sigmoid")[0] == 0.5
    assert debiased(np.array([0.2]), np.array([0.1]), shape="none")[0] == 0.2


def test_masked_tokens_do_not_count():
    logp, mask = np.log([[0.9, 0.1, 0.5], [0.4, 0.4, 0.4]]), np.array([[True, True, False], [False] * 3])
    assert answer_probability(logp, mask=mask)[0] == pytest.approx(0.5)
    assert answer_probability(logp, mask=mask, aggregate="product")[0] == pytest.approx(0.09)
    assert np.isnan(answer_probability(logp, mask=mask)[1])


@pytest.fixture
def mean_probability(strong, slow_logps):
    """Of the tokens of the last `<answer>12` of a conversation, by one plain forward call."""

    def probability(completion, strong=strong):
        text = strong.encoder.text(Sample("3*4", completion).messages)
        read = strong.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        start = text.rindex("<answer>") + len("<answer>")
        inside = [i for i, (a, b) in enumerate(read["offset_mapping"]) if b > start and a < start + 2]
        return np.exp(slow_logps(strong, read["input_ids"])[np.array(inside) - 1]).mean()

    return probability


def test_the_answer_is_read_where_the_template_has_put_it(resetting, mean_probability):
    completion = "<think>three fours</think> <answer>11</answer>"
    assert completion not in resetting.encoder.text(Sample("3*4", completion).messages)
    batch = AnswerReward(resetting, AnswerOptions(debias="none", format_coef=0.0))([Sample("3*4", completion, "12")])
    after = mean_probability(completion.replace("11", "12"), resetting)
    assert batch.reward[0] == pytest.approx(after, abs=1e-6)


def test_it_equals_plain_forward_calls(strong, mean_probability):
    batch = AnswerReward(strong, AnswerOptions(debias="none", format_coef=0.0))(SAMPLES[:1])
    after = mean_probability("<think>three fours</think><answer>12</answer>")
    bare = mean_probability("<answer>12</answer>")
    assert batch.reward[0] == pytest.approx(after, abs=1e-6)
    assert batch.aspects["probability"][0] == pytest.approx(after, abs=1e-6)
    assert batch.aspects["base"][0] == pytest.approx(bare, abs=1e-6)


def test_a_message_is_scored_as_its_text(strong, mean_probability):
    after = mean_probability("<think>three fours</think><answer>12</answer>")
    expected = 0.9 * max(after - mean_probability("<answer>12</answer>"), 0.0) + 0.1
    said = SAMPLES[0].completion
    forms = ((Message("assistant", said),), (Message("assistant", (Part("text", {"text": said}),)),))
    batch = AnswerReward(strong)([Sample("3*4", form, "12") for form in forms])
    assert batch.outcome.tolist() == [Outcome.SCORED] * 2
    assert batch.reward.tolist() == pytest.approx([expected] * 2, abs=1e-6)
    # what is no answer as a text is none as a message
    wrong = AnswerReward(strong)([Sample("3*4", (Message("assistant", s.completion),), "12") for s in SAMPLES[2:]])
    assert wrong.outcome.tolist() == [Outcome.POLICY_FAULT] * 2


def test_of_several_turns_the_last_one_of_the_assistant_s_holds_the_answer(strong, mean_probability):
    earlier = (Message("assistant", "<answer>7</answer>, or I look it up"), Message("tool", "four, eight, <answer>"))
    last, replaced = (f"<think>three fours</think><answer>{n}</answer>" for n in (11, 12))
    turns = (*earlier, Message("assistant", last))
    batch = AnswerReward(strong)([Sample("3*4", turns, "12"), Sample("3*4", (*turns, Message("user", "Yes")), "12")])
    after, bare = mean_probability((*earlier, Message("assistant", replaced))), mean_probability("<answer>12</answer>")
    assert batch.outcome.tolist() == [Outcome.SCORED] * 2
    for name, value in (("probability", after), ("base", bare), ("format", 1.0)):
        assert batch.aspects[name].tolist() == pytest.approx([value] * 2, abs=1e-6)
    # the earlier turns' own answers are none
    without = AnswerReward(strong)([Sample("3*4", (*earlier, Message("assistant", "twelve")), "12")])
    assert without.outcome.tolist() == [Outcome.POLICY_FAULT]


def test_a_completion_has_a_turn_of_the_assistant_s(strong):
    with pytest.raises(InputError, match=r"sample 1: the completion's turns are tool, user; give one of the assistant"):
        AnswerReward(strong)([SAMPLES[0], Sample("3*4", (Message("tool", "12"), Message("user", "?")), "12")])


def test_an_overlong_reference_is_no_fault_of_the_policy_s(language):
    batch = AnswerReward(language(max_length=120))([
        Sample("3*4", "<answer>12</answer>", "long " * 200), Sample("3*4", "rain " * 200 + "<answer>1</answer>", "12"),
    ])  # fmt: skip
    assert batch.outcome.tolist() == [Outcome.ABSTAINED, Outcome.POLICY_FAULT]
    assert batch.detail[0]["reason"] == "the reference answer alone is longer than max_length"
    assert batch.detail[1]["reason"] == "the completion alone is longer than max_length"


def test_reasoning_must_beat_none_and_format_is_paid(strong):
    batch = AnswerReward(strong)(SAMPLES)
    # without any reasoning the two probabilities are the same text's: nothing is gained
    assert batch.aspects["probability"][1] == pytest.approx(batch.aspects["base"][1], abs=1e-7)
    assert batch.reward[1] == pytest.approx(0.0, abs=1e-6)
    gain = max(batch.aspects["probability"][0] - batch.aspects["base"][0], 0.0)
    assert batch.reward[0] == pytest.approx(0.9 * gain + 0.1, abs=1e-7)
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.POLICY_FAULT]
    assert batch.reward[2:].tolist() == [0.0, 0.0]
    assert "no answer, or several" in batch.detail[3]["reason"]


def test_marks_are_an_option(strong):
    options = AnswerOptions(before="#### ", after="", tags="", format_coef=0.0)
    assert options.span("3*4=12\n#### 12") == (12, 14)
    assert options.span("no mark") is None
    assert options.formed("anything")
    assert AnswerReward(strong, options).fingerprint != AnswerReward(strong).fingerprint
    assert AnswerReward(strong, AnswerOptions(debias="leaky")).bounds == (pytest.approx(-0.009), 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": ""}, "before is empty; give the mark before the answer"),
        ({"aggregate": "sum"}, "aggregate is 'sum'; give 'mean', 'product' or 'geometric'"),
        ({"debias": "relu"}, "shape is 'relu'; give 'threshold_0', 'sigmoid', 'leaky' or 'none'"),
        ({"format_coef": 2.0}, "format_coef is 2.0; it must lie in [0, 1]"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(InputError) as error:
        AnswerOptions(**options)
    assert message in str(error.value)


def test_a_reference_is_needed(strong):
    with pytest.raises(InputError, match="sample 0: reference is None; give the answer whose probability counts"):
        AnswerReward(strong)([Sample("q", "<answer>1</answer>")])


class TestAnswerContract(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, strong):
        self.reward = AnswerReward(strong)

    def make_reward(self):
        return self.reward

    def make_samples(self):
        return [
            Sample(s.prompt, f"<think>so</think><answer>{s.text}</answer>", "42", s.group) for s in example_samples()
        ]

    def make_hostile_samples(self):
        hostile = [
            Sample("q", f"<answer>{s.text}</answer>", "42") for s in hostile_samples() if isinstance(s.completion, str)
        ]
        return (
            *hostile_samples(),
            *hostile,
            Sample("q", "<answer>" * 20_000, "42"),
            Sample("q", "</think>" * 20_000, "42"),
        )
