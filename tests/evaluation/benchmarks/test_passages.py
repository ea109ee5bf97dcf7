"""RAG-RewardBench's four scenarios from a small knowledge base, in which the passages alone say what is right [95]."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from small_benchmarks import Scores, on, values, write

CITIES = ("Bonn", "Kiel", "Mainz", "Trier", "Ulm", "Worms")
SILENT = "The passages do not say it"
LIVES, WORKS, LIES = "{} lives in {}.", "{} works at {}.", "{} lies in {}."


@dataclass(frozen=True)
class Case:
    """A question about a person with passages, and two answers of which the passages say which is right."""

    scenario: str
    person: str
    passages: tuple[str, ...]
    answers: tuple[str, str]

    def row(self):
        """As the benchmark's file has it; the right answer is the one that the passages bear out."""
        right = [a for a in self.answers if borne_out(self.person, self.passages, a)]
        (wrong,) = (a for a in self.answers if a not in right)
        return {"question": f"Where is {self.person}?", "passages": list(self.passages), "chosen": right[0],
                "rejected": wrong}  # fmt: skip


def city_of(person, passages):
    """Where most passages say that somebody lives, or where the place of work lies; None where none does."""
    found = Counter(re.findall(rf"{person} lives in (\w+)\.", " ".join(passages)))
    for place in re.findall(rf"{person} works at (\w+)\.", " ".join(passages)):
        found.update(re.findall(rf"{place} lies in (\w+)\.", " ".join(passages)))
    return found.most_common(1)[0][0] if found else None


def borne_out(person, passages, answer):
    """Whether an answer says what the passages say, and cites only passages that say it."""
    city = city_of(person, passages)
    if answer.startswith(SILENT):
        return city is None
    said, cited = re.search(r"It is (\w+)", answer)[1], [int(n) for n in re.findall(r"\[(\d+)\]", answer)]
    return said == city and all(f"{person} lives in {city}." in passages[n - 1] for n in cited)


def cases(scenario, n, seed=0):
    """Cases of one scenario: alternately either answer is the longer one, by one stop, and abstaining is right."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        person, (city, other) = f"P{scenario[0]}{i}", rng.choice(CITIES, 2, replace=False)
        distractor = LIVES.format(f"Q{i}", other)
        if scenario == "abstain":
            passages = [LIVES.format(person, city)] * (i % 2) + [distractor, WORKS.format(f"R{i}", "Acme")]
            answers = [f"It is {city}", SILENT]
        elif scenario == "conflict":
            passages = [LIVES.format(person, c) for c in (city, city, other)]
            answers = [f"It is {city}", f"It is {other}"]
        elif scenario == "citation":
            passages = [LIVES.format(person, city), distractor]
            answers = None  # once the passages have their order
        else:
            passages = [WORKS.format(person, f"W{i}"), LIES.format(f"W{i}", city), LIES.format(f"V{i}", other)]
            answers = [f"It is {city}", f"It is {other}"]
        passages = tuple(passages[j] for j in rng.permutation(len(passages)))
        if answers is None:
            at = passages.index(LIVES.format(person, city)) + 1
            answers = [f"It is {city} [{at}]", f"It is {city} [{3 - at}]"]
        size, longer = max(map(len, answers)), (i // 2) % 2  # of every four, two by two
        padded = tuple(a.ljust(size + (k == longer), ".") for k, a in enumerate(answers))
        made.append(Case(scenario, person, passages, padded))
    return made


SCENARIOS = ("reason", "citation", "abstain", "conflict")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_exactly_one_answer_is_borne_out(scenario):
    for case in cases(scenario, 40):
        assert sum(borne_out(case.person, case.passages, a) for a in case.answers) == 1


def test_the_chosen_answer_abstains_where_no_passage_has_the_answer_and_nowhere_else():
    made = cases("abstain", 40)
    silent = [case.row()["chosen"].startswith(SILENT) for case in made]
    assert silent == [not any(p.startswith(f"{case.person} lives in") for p in case.passages) for case in made]
    assert sum(silent) == 20


def test_removing_the_passages_flips_the_label():
    for case in (c for c in cases("abstain", 40) if not c.row()["chosen"].startswith(SILENT)):
        bare = Case(case.scenario, case.person, tuple(p for p in case.passages if case.person not in p), case.answers)
        assert (bare.row()["chosen"], bare.row()["rejected"]) == (case.row()["rejected"], case.row()["chosen"])


def test_chosen_citations_are_passages_that_bear_the_answer_out():
    for case in cases("citation", 40):
        cited = {int(n) for n in re.findall(r"\[(\d+)\]", case.row()["chosen"])}
        assert cited
        assert cited <= {n for n, p in enumerate(case.passages, start=1) if p.startswith(f"{case.person} lives in")}


def test_an_oracle_is_always_right_and_what_sees_no_passage_is_at_chance(tmp_path):
    for scenario in SCENARIOS:
        write(tmp_path / "Dataset" / f"{scenario}.jsonl", [c.row() for c in cases(scenario, 80)])

    def oracle(sample):  # reads what the loader has put into the prompt, and nothing else
        prompt = sample.prompt[-1].text
        passages = re.findall(r"^\[\d+\] (.+)$", prompt, re.M)
        return float(borne_out(re.search(r"Where is (\w+)\?", prompt)[1], passages, sample.text))

    result = on("rag-rewardbench", tmp_path / "Dataset", Scores(oracle))
    found = values(result)
    assert found["present_accuracy"] == 1.0
    assert all(found[f"subset/{scenario}"] == 1.0 for scenario in SCENARIOS)
    # lengths are matched: the right answer is the longer one in half of the cases, and so are rules blind to the text
    assert found["baseline/longer/present_accuracy"] == found["baseline/shorter/present_accuracy"] == 0.5
    # that to abstain is safe, or never right, is a coin without the passages
    shy = values(on("rag-rewardbench", tmp_path / "Dataset", Scores(lambda s: float(s.text.startswith(SILENT)))))
    assert shy["subset/abstain"] == 0.5
    # a reward of the answer's own words has only the names of cities and numbers of passages to go by: 80 cases a
    # scenario, of which chance gets 40 with deviation sqrt(80)/2 = 4.5; four of these are 18
    words = Scores(lambda s: float(sum(map(ord, s.text.rstrip(".")))))
    blind = values(on("rag-rewardbench", tmp_path / "Dataset", words))
    assert all(abs(blind[f"subset/{scenario}"] - 0.5) < 18 / 80 for scenario in SCENARIOS)
