import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import QuotesVerifier, build_index, open_index, quip, quotations
from plaudit.rewards.verifiers.text.corpus_index import corpus_files
from plaudit.rewards.verifiers.text.ngrams import ngram_hashes, plain
from plaudit.rewards.verifiers.twins import derived_twins, escapes, refused_honest

CORPUS = (
    "The harbour froze in the second week of January, and for eleven days no boat could leave the island. "
    "The keeper wrote in his log that the silence was worse than any storm he had known.\n\n"
    "Na\u00efve readers \u2013 and there were many \u2013 believed him."
)


@pytest.fixture
def folder(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "one.txt").write_text(CORPUS, encoding="utf-8")
    (corpus / "two.md").write_text("Entirely other words stand in the second file of this corpus.", encoding="utf-8")
    (corpus / ".hidden").write_text("Nobody should find this sentence in the index of the corpus.", encoding="utf-8")
    return corpus


def test_the_share_of_ngrams_by_hand():
    # 4-grams of "abcdxx": abcd (known), bcdx, cdxx: 1 of 3; "abcdabcd" has abcd twice among its 5: 1 of 5
    known = {int(h) for h in ngram_hashes("abcd", 4)}

    def contains(hashes):
        return np.array([int(h) in known for h in hashes], dtype=bool)

    assert quip(ngram_hashes("abcd", 4), contains) == 1.0
    assert quip(ngram_hashes("abcdxx", 4), contains) == pytest.approx(1 / 3)
    assert quip(ngram_hashes("abcdabcd", 4), contains) == pytest.approx(1 / 5)
    assert quip(ngram_hashes("abc", 4), contains) == 0.0


@given(st.text(max_size=40), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_equal_ngrams_and_only_they_have_equal_hashes(text, n):
    grams = [text[i : i + n] for i in range(max(0, len(text) - n + 1))]
    hashes = ngram_hashes(text, n)
    assert hashes.size == len(grams)
    assert len(set(hashes.tolist())) == len(set(grams))
    for gram, value in zip(grams, hashes, strict=True):
        assert ngram_hashes(gram, n)[0] == value


def test_an_index_denies_nothing_that_it_holds(folder, tmp_path):
    build_index(folder, tmp_path / "c.index", n=20)
    index = open_index(tmp_path / "c.index")
    for name in ("one.txt", "two.md"):
        assert index.contains(ngram_hashes(plain((folder / name).read_text(encoding="utf-8")), 20)).all()
    rng = np.random.default_rng(0)
    absent = index.contains(rng.integers(0, 2**63, 200_000, dtype=np.uint64))
    assert absent.mean() < 1e-4
    assert index.false_positives < 1e-5
    hidden = ngram_hashes("Nobody should find this sentence in the index", 20)
    assert not index.contains(hidden).any()
    assert [path.name for path in corpus_files(folder)] == ["one.txt", "two.md"]


def test_a_sparse_index_states_its_errors(folder, tmp_path):
    build_index(folder, tmp_path / "s.index", n=20, density=4)
    index = open_index(tmp_path / "s.index")
    rate = index.contains(np.random.default_rng(1).integers(0, 2**63, 100_000, dtype=np.uint64)).mean()
    assert rate == pytest.approx(index.false_positives, rel=0.2)


def test_blocks_and_words_longer_than_blocks_are_joined(tmp_path, monkeypatch):
    from plaudit.rewards.verifiers.text import corpus_index

    monkeypatch.setattr(corpus_index, "_BLOCK", 7)
    monkeypatch.setattr(corpus_index, "_LONGEST_WORD", 20)
    text = "short words and " + "x" * 15 + "y" * 60 + "z and\n\n  more \t of them, na\u00efve as ever"
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    build_index(tmp_path / "t.txt", tmp_path / "t.index", n=6)
    assert open_index(tmp_path / "t.index").contains(ngram_hashes(plain(text), 6)).all()


def test_more_corpus_never_lowers_the_share(folder, tmp_path):
    text = "Entirely other words stand in the second week of January, and for eleven days"
    build_index(folder / "one.txt", tmp_path / "1.index")
    build_index([folder / "one.txt", folder / "two.md"], tmp_path / "2.index")
    shares = [QuotesVerifier(index=str(tmp_path / f"{i}.index")).verdict(case("q", text)).reward for i in (1, 2)]
    assert 0.0 < shares[0] < shares[1] < 1.0


def test_files_that_are_no_index(folder, tmp_path):
    with pytest.raises(MissingError, match="is not there; make it with build_index"):
        open_index(tmp_path / "none")
    with pytest.raises(MissingError, match=r"verify/quotes: .* name the corpus to make it from"):
        QuotesVerifier(index=str(tmp_path / "none"))
    (tmp_path / "text").write_text("no index")
    with pytest.raises(IntegrityError, match="is no index of n-grams"):
        open_index(tmp_path / "text")
    build_index(folder, tmp_path / "c.index")
    whole = (tmp_path / "c.index").read_bytes()
    (tmp_path / "torn").write_bytes(whole[:-10])
    with pytest.raises(IntegrityError, match="bytes in place of"):
        open_index(tmp_path / "torn")
    (tmp_path / "edited").write_bytes(whole[:-10] + bytes(b ^ 1 for b in whole[-10:]))
    with pytest.raises(IntegrityError, match="does not hold what its checksum says"):
        open_index(tmp_path / "edited")


def test_corpora_that_cannot_be_indexed(tmp_path):
    (tmp_path / "latin.txt").write_bytes("na\u00efve and more of it than n characters".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        build_index(tmp_path / "latin.txt", tmp_path / "x.index")
    (tmp_path / "short.txt").write_text("short")
    with pytest.raises(InputError, match="holds no text of 25 characters"):
        build_index(tmp_path / "short.txt", tmp_path / "x.index")
    with pytest.raises(MissingError, match="is not there"):
        build_index(tmp_path / "nowhere", tmp_path / "x.index")
    assert not (tmp_path / "x.index").exists()


def test_quotations_are_found_between_marks():
    text = 'He said "one two" and \u201cthree \u201cfour\u201d; \u00abcinq\u00bb.\n> block of\n> lines\n'
    text += 'an "open one\nend" here'
    assert quotations(text) == ["one two", 'three "four', "cinq", "block of lines"]


def test_verdicts_against_a_reference():
    verifier = QuotesVerifier()
    sentence = "The keeper wrote in his log that the silence was worse"
    assert verifier.verdict(case("q", sentence, CORPUS)).reward == 1.0
    assert verifier.verdict(case("q", sentence.upper(), CORPUS)).reward == 0.0
    assert verifier.verdict(case("q", "Na\u00efve readers - and  there were\nmany", [CORPUS, "x"])).reward == 1.0
    assert verifier.verdict(case("q", "too short", CORPUS)).outcome is Outcome.POLICY_FAULT
    half = f"\u201c{sentence}\u201d and \u201cnobody ever wrote these other words down\u201d"
    verdict = QuotesVerifier(score="spans").verdict(case("q", half, CORPUS))
    assert verdict.reward == 0.5
    assert [s["found"] for s in verdict.detail["spans"]] == [True, False]
    assert QuotesVerifier(score="spans").verdict(case("q", sentence, CORPUS)).outcome is Outcome.POLICY_FAULT
    for reference in (None, "short", [], [1]):
        with pytest.raises(InputError, match="give a text of at least 25 characters"):
            verifier.verdict(case("q", sentence, reference))


@pytest.mark.parametrize("score", ["quip", "spans"])
def test_an_indexed_verifier_keeps_its_promises(folder, tmp_path, score):
    verifier = QuotesVerifier(index=str(tmp_path / "c.index"), corpus=str(folder), score=score)
    assert refused_honest(verifier, verifier.honest()) == []
    assert escapes(verifier, [*verifier.twins(), *derived_twins(verifier.honest())]) == []
    moved = tmp_path / "elsewhere.index"
    moved.write_bytes((tmp_path / "c.index").read_bytes())
    assert QuotesVerifier(index=str(moved), score=score).fingerprint == verifier.fingerprint
    build_index(folder / "one.txt", moved)
    assert QuotesVerifier(index=str(moved), score=score).fingerprint != verifier.fingerprint


def test_options_that_cannot_be_used():
    for options, message in (
        ({"score": "all"}, "score is 'all'; give quip or spans"),
        ({"n": 1}, "n is 1; give 2 to 1000"),
        ({"corpus": "x"}, "name the file to keep the index in"),
    ):
        with pytest.raises(InputError, match=f"verify/quotes: .*{message}"):
            QuotesVerifier(**options)
