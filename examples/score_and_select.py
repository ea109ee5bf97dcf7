"""Score candidates and keep the best of each prompt, so that a kill costs nothing.

Any reward will do: a model folder, a hub id, `module.py:function`, or a rule by name, as here.

    python examples/score_and_select.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from plaudit import Sample, load
from plaudit.rewards import score_samples
from plaudit.rewards.files import write_scored
from plaudit.search import kl_best_of_n_bound, select_best

CANDIDATES = {
    "Explain rain to a child.": (
        "Clouds are full of tiny drops. When the drops grow heavy, they fall.",
        "Water.",
        "Rain is precipitation in the form of liquid water, from the condensation of atmospheric vapour.",
    ),
    "Name a prime.": ("7", "Seven is a prime: only one and seven divide it.", "9"),
}


def main(folder: Path) -> None:
    """Scores twice (the second time for nothing), selects, writes the winners."""
    samples = [Sample(prompt, text) for prompt, texts in CANDIDATES.items() for text in texts]
    reward = load("rule/length?target=12")  # the nearer to twelve words the better
    log = folder / "scores.log"
    batch = score_samples(reward, samples, log=log)
    # run again after a kill, this reads the log and scores nothing twice; another reward's log is refused
    assert (score_samples(reward, samples, log=log).reward == batch.reward).all()

    best = select_best(samples, batch)
    for group, index in zip(best.groups, best.indices, strict=True):
        print(f"{batch.reward[index]:+.2f}  {samples[index].text}  (group {group[:8]})")
    print(f"unanswered groups: {len(best.unanswered)}, tied: {len(best.tied)}")
    print(f"best of 3 moves the policy by at most {kl_best_of_n_bound(3):.2f} nats")
    write_scored(folder / "best.jsonl", [samples[i] for i in best.indices], batch.take(best.indices))
    print((folder / "best.jsonl").read_text(encoding="utf-8").splitlines()[0])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
