"""Scores by inspect_ai's vocabulary, and an evaluation by inspect_ai itself where it is installed."""

import asyncio
import gc
import math
import pickle
import sys

import pytest

from host_rewards import Every, Rank, eight_threads
from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.integrations.inspect import as_scorer


def test_it_says_how_to_install_its_host(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    with pytest.raises(MissingError, match=r"inspect: cannot be imported .*pip install inspect-ai"):
        as_scorer(Every())


@pytest.fixture
def host():
    return pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")


def state(text, metadata=None):
    from inspect_ai.model import ChatMessageUser, ModelOutput
    from inspect_ai.solver import TaskState

    return TaskState(
        model="mockllm/model", sample_id="s1", epoch=1, input=[ChatMessageUser(content="2 + 2")], messages=[],
        output=ModelOutput.from_content("mockllm/model", text), metadata=metadata or {},
    )  # fmt: skip


def mock(*texts):
    """inspect_ai's own mock model; with usage given, as it would fetch a tokenizer to count tokens itself."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    outputs = [ModelOutput.from_content("mockllm/model", text) for text in texts]
    for one in outputs:
        one.usage = ModelUsage()
    return get_model("mockllm/model", custom_outputs=outputs)


def evaluated(host, task, model, folder):
    (log,) = host.eval(task, model=model, log_dir=str(folder), display="none", max_samples=1)
    gc.collect()  # streams that the host leaves open say so here, where warnings are its own matter
    return log


def scored(scorer, text, gold="4", metadata=None):
    from inspect_ai.scorer import Target

    return asyncio.run(scorer(state(text, metadata), Target(gold)))


@pytest.mark.peer
@pytest.mark.parametrize(
    ("text", "value", "reason", "explanation"),
    [
        ("4", 1.0, None, None),
        ("5", 0.0, None, None),
        ("", 0.0, "no_response", "no answer"),
        ("x" * 50, 0.0, "invalid_response_format", "too long"),
        ("unsure", None, "grader_failed", "cannot say"),
        ("slow", None, "scoring_failed", "the machine was too slow"),
        ("broken", None, "scoring_failed", "the judge is down"),
    ],
)
def test_outcomes_in_the_hosts_words(host, text, value, reason, explanation):
    score = scored(as_scorer(Every()), text)
    assert math.isnan(score.value) if value is None else score.value == value
    assert (score.reason, score.explanation) == (reason, explanation)
    assert set(score.metadata) == {"outcome"}
    assert score.answer == ("4" if text == "4" else "5" if text == "5" else None)


@pytest.mark.peer
def test_references_from_the_metadata(host):
    scorer = as_scorer(Every(), reference="gold")
    assert scored(scorer, "4", gold="other", metadata={"gold": "4"}).value == 1.0
    with pytest.raises(InputError, match=r"sample s1's metadata has no 'gold' .* did you mean 'golds'"):
        scored(scorer, "4", metadata={"golds": "4"})
    with pytest.raises(UnsupportedError, match="inspect_ai asks for one completion"):
        as_scorer(Rank())


@pytest.mark.peer
def test_it_pickles_and_runs_in_threads(host):
    scorer = pickle.loads(pickle.dumps(as_scorer(Every(), name="sums")))
    found = eight_threads(lambda text: scored(scorer, text).value, [("4",), ("5",)] * 16)
    assert found == [1.0, 0.0] * 16


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_an_evaluation_by_the_host_itself(host, tmp_path):
    from inspect_ai.dataset import Sample

    model = mock("4", "unsure", "5", "")
    rows = [Sample(input=f"question {i}", target="4") for i in range(4)]
    task = host.Task(dataset=rows, scorer=as_scorer(Every()))
    log = evaluated(host, task, model, tmp_path)
    assert log.status == "success"
    assert [row.scores["plaudit_every"].reason for row in log.samples] == [None, "grader_failed", None, "no_response"]
    (result,) = log.results.scores
    # right, left out, wrong, no answer: the mean of 1, 0, 0 is a third; its standard error sqrt((2/3) / 2 / 3) = 1/3
    assert result.metrics["mean"].value == pytest.approx(1 / 3)
    assert result.metrics["stderr"].value == pytest.approx(1 / 3)
    assert (result.scored_samples, result.unscored_samples) == (3, 1)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_a_real_verifier_in_a_real_evaluation(host, tmp_path):
    from inspect_ai.dataset import Sample

    rows = [Sample(input="half of one?", target="0.5"), Sample(input="one and one?", target="2")]
    task = host.Task(dataset=rows, scorer=as_scorer("verify/math"))
    model = mock(r"so \boxed{\frac{1}{2}}", r"\boxed{3}")
    log = evaluated(host, task, model, tmp_path)
    assert log.status == "success", log.error
    assert [row.scores["plaudit_math"].value for row in log.samples] == [1.0, 0.0]
