"""Opening a model says in one line what the libraries below say in many."""

import logging

import pytest
from transformers import AutoModelForSequenceClassification

from plaudit.errors import MissingError
from plaudit.rewards.folders import open_classifier, open_pretrained
from plaudit.rewards.likelihood.saved import write_causal
from small_policies import policy


class Heard(logging.Handler):
    """What a logger says."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture
def heard():
    """`heard(name)`: what the logger of that name says from now on, however quiet other tests have made it."""
    made = []

    def listening(name):
        logger, handler = logging.getLogger(name), Heard()
        made.append((logger, handler, logger.level))
        logger.setLevel(logging.WARNING)
        logger.addHandler(handler)
        return handler.said

    yield listening
    for logger, handler, level in made:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_a_fresh_head_is_no_report(tmp_path, heard):
    write_causal(policy(), tmp_path / "causal")
    said = heard("transformers.modeling_utils")
    open_classifier(str(tmp_path / "causal"), fresh_head=True, num_labels=1)
    assert said == []
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "causal", num_labels=1)  # it would have been one
    assert len(said) == 1
    assert "score.weight" in said[0]


def test_a_hub_that_does_not_answer_is_one_line(heard):
    said, lines = heard("huggingface_hub.utils._http"), logging.getLogger("huggingface_hub.utils._http")

    class Kind:
        @staticmethod
        def from_pretrained(reference):
            for i in range(6):
                lines.warning("'%s' thrown while requesting HEAD %s", "no name", reference)
                lines.warning(f"Retrying in {i}s [Retry {i}/5].")
            lines.warning("a token is needed")
            raise OSError("no connection")

    with pytest.raises(MissingError, match="no connection"):
        open_pretrained(Kind, "no-one/no-such-model")
    assert said == ["no-one/no-such-model: the hub does not answer; it is asked again", "a token is needed"]
    lines.warning("Retrying in 1s")  # nothing stays behind
    assert len(said) == 3
