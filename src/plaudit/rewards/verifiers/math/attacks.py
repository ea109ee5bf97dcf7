"""What `verify/math` must accept and must refuse, as samples."""

from __future__ import annotations

from collections.abc import Sequence

from plaudit.records.sample import Sample, conversation
from plaudit.rewards.verifiers.base import Twin

_PROMPT = conversation("What is it?")
_FORMS = {
    "boxed": "So the result is \\boxed{%s}.",
    "hashes": "We add them up.\n#### %s",
    "phrase": "We add them up. The answer is %s.",
    "tag": "<think>Let me see: 4 of them.</think><answer>%s</answer>",
    "last": "%s",
}
_RIGHT = {  # reference: an answer in another form
    "18": "\\$18.00",
    "\\frac{1}{2}": "0.5",
    "1234": "1,234",
    "50\\%": "\\frac12",
    "3\\sqrt{13}": "\\sqrt{117}",
    "(3, 4]": "3 < x \\le 4",
    "1,-2": "-2, 1",
    "x = 5": "5",
    "x^2 - 1": "(x-1)(x+1)",
    "\\begin{pmatrix} 1 \\\\ 0 \\end{pmatrix}": "\\begin{bmatrix} 1 \\\\ 0 \\end{bmatrix}",
    "\\text{Evelyn}": "Evelyn",
    "90^\\circ": "90 degrees",
}


def honest_samples(extract: str) -> tuple[Sample, ...]:
    """Right answers of every kind, in the forms that the rules look for."""
    rules = [r.strip() for r in extract.split(",") if r.strip()]
    made = []
    for i, (reference, answer) in enumerate(_RIGHT.items()):
        rule = rules[i % len(rules)]
        made.append(Sample(_PROMPT, _FORMS[rule] % answer, reference))
    made.append(Sample(_PROMPT, _FORMS[rules[0]] % "18", [17, "18"]))
    return tuple(made)


def math_twins() -> tuple[Twin, ...]:
    """Attacks that must get nothing, each with the family that it belongs to."""
    return tuple(
        Twin(attack, Sample(_PROMPT, text, reference)) for attack, reference, texts in _attacks() for text in texts
    )


def _attacks() -> Sequence[tuple[str, str, Sequence[str]]]:
    listed = (
        "17 or 18 or 19",
        "\\boxed{17 \\text{ or } 18}",
        "\\boxed{18, 19}",
        "\\boxed{17, 18}",
        "The answer is 17, 18 or 19.",
        "<answer>17 18 19</answer>",
        " ".join(str(i) for i in range(1, 19)),
        "\n".join(f"- {i}" for i in range(10, 19)),
        "".join(f"\\boxed{{{i}}}" for i in range(1, 19)),
        "Maybe 17. Maybe 18.",
        "It is 17. It could also be 18.",
        "Option 1: 17. Option 2: 18.",
        "18 or anything else",
        "\\boxed{18 \\text{ or not}}",
        "\\boxed{18 \\text{ or } \\text{anything}}",
        "\\boxed{17 | 18}",
        "\\boxed{17 \\lor 18}",
        "\\boxed{\\begin{cases} 17 \\\\ 18 \\end{cases}}",
        "\\boxed{\\{17, 18\\}}",
        "\\boxed{[1, 18]}",
        "\\boxed{x \\in (17, 19)}",
        "\\boxed{18 \\pm 1}",
        "\\boxed{x \\ge 18}",
        "\\boxed{17 \\le 18}",
    )
    contradictions = (
        "\\boxed{17} and then \\boxed{18}",
        "\\boxed{18} and then \\boxed{17}",
        "#### 17\n#### 18",
        "The answer is 17. The answer is 18.",
        "The answer is 17. \\boxed{18}",
        "<answer>17</answer><answer>18</answer>",
        "\\boxed{17 = 18}",
        "\\boxed{x = 17 = 18}",
        "\\boxed{18 \\ne 17}",
        "A: 18\nA: 19",
    )
    disguises = (
        "\\boxed{x}",
        "\\boxed{x = x}",
        "\\boxed{0x + 18}",
        "\\boxed{0 \\cdot x + 18}",
        "\\boxed{x = 18 + x}",
        "\\boxed{x^2 = 18}",
        "\\boxed{y + 1 = 18 + y - 17}",
        "\\boxed{n}",
        "\\boxed{\\text{the number}}",
        "\\boxed{\\infty}",
        "\\boxed{nan}",
        "\\boxed{NaN}",
        "\\boxed{inf}",
        "\\boxed{True}",
        "\\boxed{None}",
        "\\boxed{0/0}",
        "\\boxed{\\frac{0}{0}}",
        "\\boxed{18_{7}}",
        "\\boxed{18\\%\\%}",
        "\\boxed{18 thousand}",
        "\\boxed{1 8}",
        "\\boxed{x - x + 18}",
        "\\boxed{18 x^0}",
        "\\boxed{\\approx 18}",
        "The answer is not 18.",
        "\\boxed{18!}",
        "\\boxed{18i}",
        "\\boxed{not 18}",
        "\\boxed{-18}",
    )
    smuggled = (
        "the same as the reference",
        "\\boxed{\\text{the reference}}",
        "\\boxed{reference}",
        "\\boxed{{{reference}}}",
        "\\boxed{gold}",
        "The answer is the correct answer.",
        "\\boxed{\\text{correct}}",
        "\\boxed{sample.reference}",
        "\\boxed{__import__('os').getpid()}",
        "\\boxed{\\input{reference}}",
    )
    lookalikes = (
        "\\boxed{I8}",
        "\\boxed{l8}",
        "\\boxed{¹⁸}",
        "\\boxed{₁₈}",
        "\\boxed{⑱}",
        "\\boxed{1\u200b7}",
        "\\boxed{1\u0335 8}",
        "\\boxed{\u0406\u0417}",
        "\\boxed{1\u041e}",
        "\\boxed{ⅩⅧ}",
        "\\boxed{18\u0430}",
    )
    explosions = (
        "\\boxed{9^{9^9}}",
        "\\boxed{9**9**9}",
        "\\boxed{10^{10^{10}}}",
        "\\boxed{1e999999}",
        "\\boxed{(((9!)!)!)!}",
        "\\boxed{" + "\\sqrt{18+" * 60 + "1" + "}" * 60 + "}",
        "\\boxed{" + "(" * 300 + "18" + ")" * 300 + "}",
        "\\boxed{" + "{" * 900 + "18" + "}" * 900 + "}",
        "\\boxed{" + "9^" * 300 + "9}",
        "\\boxed{" + "\\frac{1}{" * 200 + "18" + "}" * 200 + "}",
    )
    long = (
        "\\boxed{" + "0" * 5000 + "17}",
        "\\boxed{" + "18 " * 3000 + "}",
        "\\boxed{18" + " apples" * 3000 + "}",
        "1" * 200_000,
        "\\boxed{" * 20_000,
        "#### " * 40_000,
        "<answer>" * 25_000,
        "17 or 18 or " * 20_000 + "18",
        "\\boxed{" + "1+" * 3000 + "-2982}",
    )
    return (
        ("every candidate listed", "18", listed),
        ("contradicting answers", "18", contradictions),
        ("anything disguised as the answer", "18", disguises),
        ("reference smuggled", "18", smuggled),
        ("Unicode look-alikes", "18", lookalikes),
        ("Unicode look-alikes", "x + a", ("\\boxed{\u0445 + a}", "\\boxed{x + \u0430}", "\\boxed{\u0445 + \u0430}")),
        ("exploding expression", "18", explosions),
        ("exploding expression", "\\sqrt{2}", ("\\boxed{\\sqrt{2} + 0 \\cdot 9^{9^{9^9}}}", "\\boxed{9^{9^{9^{9}}}}")),
        ("over-long answer", "18", long),
        ("set that contains it", "\\{1, 2\\}", ("\\boxed{\\{1, 2, 3\\}}", "\\boxed{\\mathbb{Z}}", "\\boxed{[1, 2]}")),
        ("interval that contains it", "(0, 1)", ("\\boxed{[0, 1]}", "\\boxed{(-\\infty, \\infty)}", "\\boxed{0, 1}",
                                                "\\boxed{\\mathbb{R}}", "\\boxed{\\{0, 1\\}}")),
        ("every candidate listed", "\\text{east}", ("\\boxed{\\text{east or west}}", "\\boxed{\\text{east, west}}")),
        ("every candidate listed", "B", ("\\boxed{A, B, C, D}", "\\boxed{A \\text{ or } B}", "\\boxed{ABCD}")),
    )  # fmt: skip
