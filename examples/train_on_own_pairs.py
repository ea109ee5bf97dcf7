"""Train a reward model on pairs of your own, and open the result in plain transformers.

The pairs here prefer the answer that says where it knows something from. In earnest, give a pretrained
backbone (`Backbone(name="Qwen/Qwen3-0.6B-Base")`) and `FitConfig(learning_rate=1e-5)`.

    python examples/train_on_own_pairs.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from plaudit import Message, Sample, load
from plaudit.records import read, write
from plaudit.training import Backbone, FitConfig, train_reward

CITIES = ("Lima", "Oslo", "Quito", "Hanoi", "Accra", "Riga", "Sofia", "Tunis", "Doha", "Bern", "Cork", "Graz")
SOURCES = ("the census", "the city's own pages", "an atlas of 2024", "the statistics office")
VAGUE = ("Trust me.", "Everybody knows that.", "I think so.", "No idea where I read it.")


def rows() -> list[dict[str, str]]:
    """Pairs as a file holds them: `prompt`, `chosen`, `rejected`."""
    return [
        {
            "prompt": f"How many people live in {city}?",
            "chosen": f"About {n} hundred thousand, says {SOURCES[(n + i) % 4]}.",
            "rejected": f"About {n} hundred thousand. {VAGUE[(n + 3 * i) % 4]}",
        }
        for i, city in enumerate(CITIES)
        for n in range(2, 10)
    ]


def main(folder: Path) -> None:
    """Trains, scores, and scores again without Plaudit."""
    write(folder / "pairs.jsonl", rows())
    pairs = read(folder / "pairs.jsonl").rows
    trained = train_reward(
        pairs,
        backbone=Backbone(width=64, layers=2, heads=2, vocabulary=400),
        config=FitConfig(epochs=3, learning_rate=3e-3, batch_size=16, max_length=128),
        out=folder / "run",
    )
    print("\n".join(trained.lines()))

    # The saved folder as a Plaudit reward: one call, whatever the number of samples.
    reward = load(folder / "run")
    prompt = (Message("user", "How many people live in Turku?"),)
    answers = ["About 2 hundred thousand, says the census.", "About 2 hundred thousand. Trust me."]
    batch = reward([Sample(prompt, answer) for answer in answers])
    for answer, value in zip(answers, batch.reward, strict=True):
        print(f"{value:+.2f}  {answer}")

    # The same folder in plain transformers: the chat template ends texts with EOS, where scores are read.
    model = AutoModelForSequenceClassification.from_pretrained(folder / "run" / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "model")
    for answer, detail in zip(answers, batch.detail, strict=True):
        messages = [{"role": "user", "content": prompt[0].text}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        with torch.no_grad():
            score = float(model(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits[0, 0])
        assert abs(score - detail["score"]) < 1e-4, (score, detail["score"])
    print("plain transformers gives the same scores")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
