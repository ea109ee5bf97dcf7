"""WildBench's published layout: no prompts, names with and without an organisation, several models and baselines."""

import json
import math

import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.evaluation.benchmarks import benchmark, evaluate_benchmark, read_items
from small_benchmarks import Prefers, Scores, on, values

LLAMA, GPT, HAIKU = "meta-llama/Llama-2-70b-chat-hf", "gpt-4-turbo-2024-04-09", "claude-3-haiku-20240307"


def write(path, rows):
    """As published: one JSON list a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def score(session, answer, said, model="google/gemma-2b-it"):
    return {
        "session_id": session, "parsed_result": {"strengths": "s", "weaknesses": "w", "score": said},
        "meta_data": {"batch_req_id": "x", "usage": {"total_tokens": 3}, "error": None}, "model_test": model,
        "score": said, "model_output": answer,
    }  # fmt: skip


def pair(session, winner, extent, *, model="google/gemma-2b-it", baseline=LLAMA, answers=("mine", "theirs")):
    who = {"model": model, "baseline": baseline, "tie": "tie"}[winner]
    outputs = dict(zip((model, baseline), answers, strict=True))
    return {
        "session_id": session, "parsed_result": {"choice": "A+"}, "meta_data": {}, "model_A": model,
        "model_B": baseline, "winner": who, "extent": extent, "model_outputs": outputs,
    }  # fmt: skip


def data_set(tmp_path, sessions, tags=("Math",)):
    return write(tmp_path / "v2.json", [
        {"id": s, "session_id": s, "conversation_input": [{"role": "user", "content": f"question {s}"}],
         "checklist": [f"does it answer {s}"], "primary_tag": tags[n % len(tags)], "secondary_tags": []}
        for n, s in enumerate(sessions)
    ])  # fmt: skip


def stored(name, source):
    chosen = benchmark(name)
    items = read_items(chosen, source if isinstance(source, list) else [source])
    return evaluate_benchmark(chosen, items.items, None, resamples=50)


def eval_results(tmp_path):
    folder = tmp_path / "eval_results"
    scores = folder / "v2.0625" / "score.v2" / "eval=gpt-4o-2024-05-13"
    write(scores / "gemma-2b-it.json", [score("a", "", "1"), score("b", "abc", "7")])
    (scores / "gemma-2b-it.batch_results.jsonl").write_text('{"custom_id": "a"}\n')
    pairs = folder / "v2.0625" / "pairwise.v2" / "eval=gpt-4-turbo-2024-04-09" / "ref=Llama-2-70b-chat-hf"
    write(pairs / "gemma-2b-it.json", [pair("a", "model", 1), pair("b", "model", 2), pair("c", "baseline", 1)])
    itself = {"session_id": "a", "winner": "tie", "extent": 0, "model_outputs": {LLAMA: "theirs"}}
    write(pairs / "Llama-2-70b-chat-hf.json", [itself])
    return folder


def test_published_scores_are_read_without_prompt_and_without_reward(tmp_path, capsys):
    folder = eval_results(tmp_path)
    out = tmp_path / "out.json"
    command = ["evaluate", "--benchmark", "wildbench-score", "--data", str(folder), "--json", str(out)]
    assert main([*command, "--out", str(tmp_path / "page")]) == 0
    shown = capsys.readouterr().out
    assert "stored scores on wildbench-score: 2 items, 2 prompts" in shown
    found = json.loads(out.read_text())
    # scores 1 and 7 have mean 4: (4 - 5) * 20
    assert found["stored/wb_score"]["value"] == pytest.approx(-20)
    assert found["baseline/always 5/stored/wb_score"]["value"] == 0.0
    assert "stored/wb_score" in (tmp_path / "page" / "benchmark.html").read_text()
    assert "pairwise.v2" in shown  # what was left out is told
    assert main([*command, "--log", str(tmp_path / "log")]) == 2
    assert "--log: is of a reward" in capsys.readouterr().err


def test_published_pairs_are_matched_with_the_folders_name(tmp_path):
    folder = eval_results(tmp_path)
    inner = next(folder.rglob("ref=*"))
    # +.5, +1, -.5 of three; the same where the folder itself, or its file, is named
    for source in (folder, inner, inner / "gemma-2b-it.json"):
        result = stored("wildbench", source)
        assert values(result)["stored/wb_reward"] == pytest.approx(1 / 3)
        assert result.n_clusters == 3
        assert not any("agreement" in name for name in result.metrics)  # with themselves they agree
    notes = read_items(benchmark("wildbench"), [inner]).notes
    assert notes == ("1 rows are left out: a model's answers beside its own, which is no comparison "
                     "(the baseline's own file)",)  # fmt: skip


def test_no_judge_is_asked_without_prompts(tmp_path):
    folder = eval_results(tmp_path)
    judge = Scores(lambda s: 6.0, bounds=(1.0, 10.0))
    with pytest.raises(
        InputError, match="wildbench-score: 2 answers have no prompt, so no judge can be asked"
    ) as error:
        on("wildbench-score", folder, judge)
    assert "give the data set's rows, which have them, as another --data" in str(error.value)


def test_prompts_checklists_and_tasks_come_from_the_data_set_by_session(tmp_path):
    folder, seen = eval_results(tmp_path), []

    def judge(sample):
        seen.append((sample.prompt[0].text, sample.reference, sample.text))
        return 6.0

    data = data_set(tmp_path, "abc", ["Math", "Reasoning"])
    found = on("wildbench-score", [folder, data], Scores(judge, bounds=(1.0, 10.0)))
    assert seen == [("question a", ["does it answer a"], ""), ("question b", ["does it answer b"], "abc")]
    assert values(found)["wb_score"] == pytest.approx(20)
    assert values(found)["stored/wb_score"] == pytest.approx(-20)
    asked = []
    prefers = Prefers(lambda a, b: asked.append(a.prompt[0].text) or (1.0 if a.text == "mine" else 0.0))
    pairs = on("wildbench", [folder, data], prefers)
    assert set(asked) == {"question a", "question b", "question c"}
    assert values(pairs)["wb_reward"] == 1.0
    assert values(pairs)["stored/wb_reward"] == pytest.approx(1 / 3)
    assert values(pairs)["agreement_with_stored"] == pytest.approx(2 / 3)


def test_a_baseline_that_fits_both_models_is_refused(tmp_path):
    rows = [pair("a", "model", 1, model="me/Llama-2-70b-chat-hf-tuned")]
    # the whole name without its organisation is one of them, though both contain it
    found = stored("wildbench", write(tmp_path / "ref=Llama-2-70b-chat-hf" / "x.json", rows))
    assert values(found)["stored/wb_reward"] == 0.5
    with pytest.raises(InputError, match="alike; name the baseline in full"):
        stored("wildbench", write(tmp_path / "ref=Llama-2" / "x.json", rows))
    with pytest.raises(InputError, match="give which of"):
        stored("wildbench", write(tmp_path / "ref=gpt" / "x.json", rows))


def test_models_and_baselines_are_not_pooled_and_three_baselines_have_a_mix(tmp_path):
    won = {GPT: [("baseline", 2)] * 2, HAIKU: [("tie", 0), ("model", 1)], LLAMA: [("model", 2)] * 2}
    for baseline, said in won.items():
        rows = [pair(s, *w, model="x/strong", baseline=baseline) for s, w in zip("ab", said, strict=True)]
        write(tmp_path / f"ref={baseline.rpartition('/')[2]}" / "strong.json", rows)
    result = stored("wildbench", tmp_path)
    found = values(result)
    assert math.isnan(found["stored/wb_reward"])
    assert result.metrics["stored/wb_reward"].method.startswith("3 of models, baselines and judges")
    assert found[f"stored/wb_reward/x/strong against {GPT}"] == -1.0
    assert found[f"stored/wb_reward/x/strong against {HAIKU}"] == 0.25
    assert found[f"stored/wb_reward/x/strong against {LLAMA}"] == 1.0
    assert found["stored/wb_reward/mix"] == pytest.approx((-1 + 0.25 + 1) / 3)
    assert found[f"baseline/always a tie/stored/wb_reward/x/strong against {GPT}"] == 0.0
    assert found[f"advantage/always a tie/stored/wb_reward/x/strong against {GPT}"] == -1.0
    assert result.metrics[f"stored/wb_reward/x/strong against {HAIKU}"].n == 2
    assert (result.n_items, result.n_clusters) == (6, 2)  # six comparisons of two conversations
    # a second model that met two of the three has a number over these, under another name
    for baseline, winner in ((GPT, "baseline"), (LLAMA, "model")):
        rows = [pair(s, winner, 1, model="y/weak", baseline=baseline) for s in "ab"]
        write(tmp_path / f"ref={baseline.rpartition('/')[2]}" / "weak.json", rows)
    both = stored("wildbench", tmp_path)
    assert values(both)["stored/wb_reward/mix/x/strong"] == pytest.approx(0.25 / 3)
    assert both.metrics["stored/wb_reward/mix/y/weak"].method == f"missing baselines: {HAIKU}"
    assert values(both)["stored/wb_reward/present_mix/y/weak"] == 0.0


def test_scores_of_several_models_and_judges_are_not_pooled(tmp_path):
    for judge, said in (("gpt-4o", "9"), ("sonnet", "6")):
        for model in ("x/one", "y/two"):
            rows = [score("a", "abc", said, model), score("b", "abc", "5", model)]
            write(tmp_path / f"eval={judge}" / f"{model[0]}.json", rows)
    found = values(stored("wildbench-score", tmp_path))
    assert found["stored/wb_score/x/one by gpt-4o"] == pytest.approx(40)  # mean 7
    assert found["stored/wb_score/y/two by sonnet"] == pytest.approx(10)  # mean 5.5
    assert math.isnan(found["stored/wb_score"])


def test_truncated_and_empty_rows_stay_in_the_published_denominator(tmp_path):
    rows = [pair("a", "model", 2), pair("b", "model", 2, answers=("cut... (truncated)", "theirs")),
            pair("c", "baseline", 1, answers=("mine", "[This model response is empty.]")),
            pair("d", "model", 1, answers=("", "theirs"))]  # fmt: skip
    found = stored("wildbench", write(tmp_path / "ref=Llama-2-70b-chat-hf" / "x.json", rows)).metrics
    # ours: only the first row has two answers
    assert (found["stored/wb_reward"].value, found["stored/wb_reward"].n) == (1.0, 1)
    # its code: rows 2 and 3 in no sum but in the total; an answer of no character counts: (1 + 1/2) / 4
    assert (found["stored/published/wb_reward"].value, found["stored/published/wb_reward"].n) == (0.375, 4)
