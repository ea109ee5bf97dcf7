"""Every option has a range that is said, and an effect that is seen."""

from dataclasses import fields, replace

import numpy as np
import pytest
import transformers as tf

from plaudit.errors import InputError
from plaudit.training.backbones import build_backbone, fit_tokenizer
from plaudit.training.callbacks import Recorder
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.entry import train_reward


@pytest.fixture(scope="module")
def base(fit, pairs, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("base"), pairs(margins=True))


def moved(fitted, base):
    """Whether the losses after the first step differ by more than rounding: the fit took another way."""
    return len(fitted.losses) != len(base.losses) or np.abs(np.subtract(fitted.losses, base.losses)).max() > 1e-5


# what a change must bring about, beside a plain run of three steps
def layers(fit):
    return sum("Linear" in str(type(m)) for m in fit.reward.model.score.modules())


EFFECTS = {
    "epochs": (dict(epochs=2.0), lambda f, b: len(f.losses) == 2 * len(b.losses)),
    "learning_rate": (dict(learning_rate=1e-3), moved),
    "warmup": (dict(warmup=0.6), moved),
    "weight_decay": (dict(weight_decay=10.0), moved),
    "max_grad_norm": (dict(max_grad_norm=1e-9), moved),  # below Adam's epsilon
    "batch_size": (dict(batch_size=6), lambda f, b: len(f.losses) == 2),
    "accumulation": (dict(accumulation=3), lambda f, b: len(f.losses) == 1),
    "tokens_per_row": (
        dict(tokens_per_row=16),
        lambda f, b: f.distinct_tokens > b.distinct_tokens and not moved(f, b),
    ),
    "max_length": (dict(max_length=24), lambda f, b: f.truncated > 0 == b.truncated),
    "use_margin": (dict(use_margin=True), moved),
    "label_smoothing": (dict(label_smoothing=0.3), moved),
    "center_coef": (dict(center_coef=1.0), moved),
    "balance": (dict(balance="length"), moved),
    "lora_rank": (dict(lora_rank=2), moved),
    "bf16": (
        dict(bf16=True),
        lambda f, b: f.losses != b.losses and np.allclose(f.losses, b.losses, atol=0.05),
    ),
    "seed": (dict(seed=1), moved),
    "contrastive_coef": (dict(contrastive_coef=1.0), moved),
    "head_depth": (dict(head_depth=3), lambda f, b: layers(f) == 3),
    "head_width": (
        dict(head_depth=2, head_width=7),
        lambda f, b: next(iter(f.reward.model.score.parameters())).shape[0] == 7,
    ),
    "head_activation": (
        dict(head_depth=2, head_activation="tanh"),
        lambda f, b: "Tanh" in str(f.reward.model.score) and "Linear" not in str(type(f.reward.model.score)),
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_option_has_its_effect(name, base, fit, pairs, tmp_path):
    change, seen = EFFECTS[name]
    assert seen(fit(tmp_path, pairs(margins=True), **change), base)


def test_margin_scale_has_an_effect(fit, pairs, tmp_path):
    one = fit(tmp_path / "1", pairs(margins=True), use_margin=True)
    two = fit(tmp_path / "2", pairs(margins=True), use_margin=True, margin_scale=2.0)
    none = fit(tmp_path / "0", pairs(margins=True), use_margin=True, margin_scale=0.0)
    plain = fit(tmp_path / "p", pairs(margins=True))
    assert moved(one, two)
    assert none.losses == plain.losses


def test_save_steps_has_an_effect(fit, tmp_path, monkeypatch):
    sealed, on_save = [], Recorder.on_save

    def on_save_too(self, args, state, control, **rest):
        sealed.append(state.global_step)
        on_save(self, args, state, control, **rest)

    monkeypatch.setattr(Recorder, "on_save", on_save_too)
    fit(tmp_path / "often", save_steps=1)
    assert sealed == [1, 2, 3]
    sealed.clear()
    fit(tmp_path / "seldom", save_steps=1000)
    assert set(sealed) <= {3}


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(chr(c) for c in range(97, 123))]
    tokenizer = tf.BertTokenizer(vocab={w: i for i, w in enumerate([*words, *("##" + w for w in words[5:])])})
    sizes = dict(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        initializer_range=0.3,
    )
    tf.BertModel(tf.BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_options_of_a_frozen_head_have_their_effects(encoder_folder, pairs, tmp_path):
    def weight(name, **options):
        config = FitConfig(freeze=True, **options)
        backbone = Backbone(name=str(encoder_folder))
        return train_reward(pairs(20), backbone=backbone, config=config, out=tmp_path / name).reward

    chosen = weight("a")
    assert type(chosen).__name__ == "PooledReward"  # `freeze` itself
    assert not np.allclose(weight("b", l2=0.5).weight, weight("c", l2=1.0).weight)
    assert not np.allclose(weight("d", l2=0.5, label_smoothing=0.3).weight, weight("b", l2=0.5).weight)
    assert weight("e", max_length=8).features.max_length == 8


def test_no_other_option_is_taken_by_a_frozen_head():
    """Each field has an effect, above, or is refused; the seed makes the folds of the penalty."""
    taken = {"objective", "freeze", "l2", "label_smoothing", "max_length", "seed"}
    texts = {"head_activation": "tanh", "balance": "length", "fair": "error-bound", "group": "a", "row_weight": "a"}
    shares = {"warmup": 0.5, "contrastive_dropout": 0.5}
    for f in fields(FitConfig):
        if f.name not in taken:
            value = (texts | shares).get(f.name) or (True if f.default is False else f.default + 1)
            with pytest.raises(InputError, match=f"^{f.name} has no effect"):
                FitConfig(freeze=True, **{f.name: value})


def test_the_table_is_whole():
    elsewhere = {
        "objective",  # one so far; see the ranges below
        "gradient_checkpointing",  # test_fitting: recomputes, and changes nothing
        "margin_scale", "save_steps", "freeze", "l2",  # above
        "contrastive_dropout",  # test_contrastive_term
        "fair", "group", "row_weight",  # test_fair_fits: need columns of the rows
        "meta_rate",  # test_meta_step: needs samples of a shifted policy
    }  # fmt: skip
    assert {f.name for f in fields(FitConfig)} == set(EFFECTS) | elsewhere


def built(backbone, *, texts=("some words to learn from",), seed=0):
    return build_backbone(backbone, texts, max_length=64, seed=seed)


def test_every_field_of_the_backbone_has_an_effect(tmp_path):
    small = Backbone(width=32, layers=2, heads=2, vocabulary=300)
    model, tokenizer, _ = built(small)
    assert len(tokenizer) <= 300
    seen = {
        "width": (64, lambda m, t: m.config.hidden_size == 64),
        "layers": (3, lambda m, t: len(m.model.layers) == 3),
        "heads": (4, lambda m, t: m.config.num_attention_heads == 4),
        "vocabulary": (262, lambda m, t: len(t) == 262 == m.config.vocab_size),
        "tokenizer": (str(tmp_path / "t"), lambda m, t: "qqqq" in t.get_vocab()),
        "name": (str(tmp_path / "m"), lambda m, t: m.config.model_type == "gpt2"),
    }
    fit_tokenizer(["qqqq qqqq qqqq"] * 9, 400).save_pretrained(tmp_path / "t")
    tokenizer.save_pretrained(tmp_path / "m")
    config = tf.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=64, vocab_size=len(tokenizer))
    tf.GPT2LMHeadModel(config).save_pretrained(tmp_path / "m")
    assert set(seen) == {f.name for f in fields(Backbone)}
    for name, (value, effect) in seen.items():
        assert not effect(model, tokenizer), name
        changed, with_tokenizer, _ = built(replace(small, **{name: value}))
        assert effect(changed, with_tokenizer), name


def test_the_seed_makes_the_weights():
    small = Backbone(width=32, layers=1, heads=2, vocabulary=300)
    first, same, other = (built(small, seed=s)[0].score.weight for s in (0, 0, 1))
    assert (first == same).all()
    assert (first != other).any()


def test_a_fitted_tokenizer_round_trips_any_text():
    tokenizer = fit_tokenizer(["only ascii letters here"], 300)
    for text in ("naïve – 😀 漢字 \x00\t\n", "only ascii", "", " leading and trailing "):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"objective": "davidso"},
            "objective 'davidso' is not known; did you mean 'davidson'?",
        ),
        ({"balance": "words"}, "balance is 'words'; give 'none' or 'length'"),
        ({"label_smoothing": 0.5}, "label_smoothing is 0.5; it must lie in [0, 0.5)"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1; it must lie in [0, 0.5)"),
        ({"warmup": 1.0}, "warmup is 1.0; it is a share of the steps, in [0, 1)"),
        ({"warmup": -0.1}, "warmup is -0.1; it is a share of the steps, in [0, 1)"),
        *(
            ({name: value}, f"{name} is {value}; it must be positive")
            for name in (
                "epochs", "learning_rate", "batch_size", "accumulation", "tokens_per_row", "max_length", "save_steps",
                "head_depth",
            )
            for value in (0, -1)
        ),
        *(
            ({name: -1}, f"{name} is -1; it must be at least 0")
            for name in ("weight_decay", "center_coef", "lora_rank", "l2", "max_grad_norm", "margin_scale", "meta_rate",
                         "contrastive_coef")
        ),
        ({"contrastive_dropout": 1.0, "contrastive_coef": 1.0}, "contrastive_dropout is 1.0; it must lie in [0, 1)"),
        (
            {"contrastive_dropout": 0.2},
            "contrastive_dropout has no effect without contrastive_coef; set that as well",
        ),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be positive"),
        ({"epochs": float("inf")}, "epochs is inf; it must be positive"),
        ({"l2": 0.1}, "l2 is the penalty of a frozen head; set freeze as well, or use weight_decay"),
        *(
            ({"freeze": True, name: value}, f"{name} has no effect on a frozen head; leave it out, or leave out freeze")
            for name, value in (
                ("use_margin", True), ("center_coef", 0.1), ("balance", "length"), ("lora_rank", 4),
                ("gradient_checkpointing", True), ("bf16", True), ("head_depth", 2), ("meta_rate", 0.1),
                ("contrastive_coef", 0.1), ("margin_scale", 2.0), ("epochs", 5.0), ("learning_rate", 1.0),
                ("warmup", 0.5), ("weight_decay", 0.1), ("max_grad_norm", 9.0), ("batch_size", 3), ("accumulation", 4),
                ("tokens_per_row", 16), ("save_steps", 7),
            )
        ),
    ],
)  # fmt: skip
def test_ranges(options, message):
    with pytest.raises(InputError) as error:
        FitConfig(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({name: 0}, f"model: {name} is 0; it must be at least 1")
            for name in ("width", "layers", "heads", "vocabulary")
        ),
        ({"width": 36, "heads": 4}, "model: width 36 must be a multiple of twice the heads (4)"),
    ],
)
def test_ranges_of_the_backbone(options, message):
    with pytest.raises(InputError) as error:
        Backbone(**options)
    assert str(error.value) == message
