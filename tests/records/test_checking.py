import time

from plaudit.records import Message, Pair, Records, Sample, Unpaired, check, data_hash


def records(*rows, kind="pairs", source="s"):
    return Records(tuple(rows), kind, source, 0, data_hash(rows, kind))


def pair(prompt, chosen, rejected):
    return Pair((Message("user", prompt),), chosen, rejected)


def test_every_finding_by_row():
    report = check(
        records(
            pair("p", "a b", "c"),  # 1
            pair("p", "c", "a b"),  # 2 contradicts 1
            pair("p", "a b", "c"),  # 3 repeats 1
            pair("q", " ", "d"),  # 4 empty
            pair("r", "same", "same"),  # 5 identical
            pair("q", "e f", "g h"),  # 6
        )
    )
    assert report.duplicates == ((3, 1),)
    assert report.contradictions == ((2, 1),)
    assert report.empty == (4,)
    assert report.identical == (5,)
    assert (report.n, report.n_prompts) == (6, 3)
    # in characters: longer chosen in rows 1 and 3; shorter in 2; equal in 4 (a blank and a letter), 5 and 6
    assert (report.longer_chosen, report.shorter_chosen, report.same_length) == (2, 1, 3)
    assert report.lengths["chosen/words"].mean == (2 + 1 + 2 + 0 + 1 + 2) / 6
    assert report.lengths["rejected/characters"].max == 4
    assert "chosen/tokens" not in report.lengths


def test_text_and_the_same_text_as_a_message_are_duplicates():
    as_message = pair("p", (Message("assistant", "a"),), (Message("assistant", "b"),))
    assert check(records(pair("p", "a", "b"), as_message)).duplicates == ((2, 1),)


def test_labels_that_contradict_each_other():
    rows = [Unpaired((Message("user", "q"),), "a", label) for label in (True, False, True)]
    report = check(records(*rows, kind="unpaired"))
    assert report.contradictions == ((2, 1),)
    assert report.duplicates == ((3, 1),)


def test_prompts_on_both_sides():
    report = check(records(pair("p", "a", "b"), pair("q", "a", "b")), [records(pair("q", "x", "y"), source="test")])
    assert report.shared_prompts == {"test": (2,)}
    assert not report.clean


def test_tokens_with_a_tokenizer():
    report = check(
        records(Sample("one two", "a b c"), kind="samples"), count_tokens=lambda text: 10 * len(text.split())
    )
    assert report.lengths["completion/tokens"].mean == 30
    assert report.lengths["prompt/tokens"].max == 20


def test_twenty_thousand_pairs_take_under_two_seconds():
    rows = [pair(f"q {i}", "a good answer " * 10, f"bad {i} " * 10) for i in range(20_000)]
    everything = records(*rows)
    clock = time.monotonic()
    assert check(everything).n_prompts == 20_000
    assert time.monotonic() - clock < 2.0  # measured at about 0.4 s
