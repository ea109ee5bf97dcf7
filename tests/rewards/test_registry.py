import functools
import math

import pytest

import plaudit
from plaudit._queries import options_in
from plaudit.errors import InputError, MissingError
from plaudit.records import Sample
from plaudit.rewards import registry
from plaudit.rewards.base import Outcome
from plaudit.rewards.functions import FunctionReward
from plaudit.rewards.registry import Entry
from plaudit.rewards.rules.length import LengthReward

SAMPLES = [Sample("q", "one two three"), Sample("q", "one")]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("rule/length", LengthReward()),
        ("rule/length?target=200", LengthReward(target=200)),
        ("rule/length?target=4&sign=-1", LengthReward(target=4, sign=-1)),
        ({"rule/length": None}, LengthReward()),
        ({"rule/length": {"target": 7}}, LengthReward(target=7)),
        ({"rule/length": {"target": "7"}}, LengthReward(target=7)),
    ],
)
def test_built_in_names_with_options(reference, expected):
    assert plaudit.load(reference) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rule/length:\n  target: 9\n", LengthReward(target=9)),
        ("rule/length:\n", LengthReward()),
        ("rule/length?target=3", LengthReward(target=3)),
    ],
)
def test_yaml_files(text, expected, tmp_path):
    (tmp_path / "reward.yaml").write_text(text)
    assert plaudit.load(tmp_path / "reward.yaml") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- 1\n", "holds list; give one key, the reward's name, over its options"),
        ("", "holds NoneType; give one key"),
        (
            "rule/length: {}\nmodel: {}\n",
            "a mapping needs one key, the reward's name; got ['model', 'rule/length']",
        ),
        ("rule/lenght: {}\n", "'rule/lenght' is not known; did you mean 'rule/length'"),
        ("rule/length: 5\n", "rule/length: options are 5; give a mapping of option to value"),
        ("rule/length: {target: 2.5}\n", "rule/length: target is 2.5; give a whole number"),
        ("rule/length: {target: true}\n", "rule/length: target is True; give a whole number"),
        ("rule/length: {target: [1]}\n", "rule/length: target is [1]; give a whole number"),
        ("model: {path: 5}\n", "model: path is 5; give text"),
    ],
)
def test_yaml_that_names_nothing_usable(text, message, tmp_path):
    (tmp_path / "reward.yml").write_text(text)
    with pytest.raises(InputError) as error:
        plaudit.load(tmp_path / "reward.yml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reference", "kind", "message"),
    [
        ("rule/lenght", MissingError, "neither a path that exists nor a known reward; did you mean 'rule/length'"),
        ("verify/mathz", MissingError, "neither a path that exists nor a known reward; did you mean 'verify/math'"),
        ("lenght", MissingError, "lenght: neither a path that exists nor a known reward; did you mean 'rule/length'"),
        ("nowhere.yaml", MissingError, "nowhere.yaml: no such file"),
        ("rule/length?taget=3", InputError, "rule/length: unknown option 'taget'; did you mean 'target'?"),
        ("rule/length?scope=group", InputError, "rule/length: unknown option 'scope'; did you mean 'cap'"),
        ("rule/length?target=many", InputError, "rule/length: target is 'many'; give a whole number"),
        ("rule/length?target", InputError, "rule/length: target is ''; give a whole number"),
        ("model", InputError, "model: needs the option 'path'; give it as model?path=... or in a mapping"),
        ({}, InputError, "reward: a mapping needs one key, the reward's name; got []"),
    ],
)  # fmt: skip
def test_references_that_name_nothing(reference, kind, message):
    with pytest.raises(kind) as error:
        plaudit.load(reference)
    assert message in str(error.value)


def test_a_model_is_found_by_path_query_and_mapping(make_reward, tmp_path):
    make_reward().save(tmp_path / "model")
    prints = {
        plaudit.load(ref).fingerprint
        for ref in (
            tmp_path,
            str(tmp_path / "model"),
            f"model?path={tmp_path}",
            {"model": {"path": str(tmp_path)}},
        )
    }
    assert len(prints) == 1


def test_plug_ins_are_catalogued_and_do_not_hide_built_ins(monkeypatch):
    class Point:
        def __init__(self, name, value):
            self.name, self.value = name, value

    points = [
        Point("acme/short", "plaudit.rewards.rules.length:LengthReward"),
        Point("rule/length", "no.such:thing"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "plaudit.rewards" else [])
    registry.catalog.cache_clear()
    try:
        assert plaudit.load("acme/short?target=3") == LengthReward(target=3)
        assert registry.catalog()["acme/short"].summary == "plug-in plaudit.rewards.rules.length:LengthReward"
        assert plaudit.load("rule/length") == LengthReward()
        with pytest.raises(MissingError, match="did you mean 'acme/short'"):
            plaudit.load("acme/shrt")
    finally:
        registry.catalog.cache_clear()


def made_of(*, flag: bool = False, share: float = 0.5, word: str = "x"):
    return FunctionReward(lambda samples: [0.0] * len(samples), name=f"{flag}-{share}-{word}")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "False-0.5-x"),
        ("?flag=yes&share=2&word=7", "True-2.0-7"),
        ("?flag=0&share=1e-3", "False-0.001-x"),
    ],
)
def test_options_are_read_as_their_defaults_are(query, name, monkeypatch):
    monkeypatch.setattr(registry, "catalog", lambda: {"mine": Entry(f"{__name__}:made_of", "")})
    assert plaudit.load("mine" + query).name == name


@pytest.mark.parametrize(
    ("query", "message"),
    [("flag=maybe", "flag is 'maybe'; give true or false"), ("share=half", "share is 'half'; give a number")],
)
def test_options_of_the_wrong_type(query, message, monkeypatch):
    monkeypatch.setattr(registry, "catalog", lambda: {"mine": Entry(f"{__name__}:made_of", "")})
    with pytest.raises(InputError, match=message):
        plaudit.load("mine?" + query)
    with pytest.raises(InputError, match="word is 5; give text"):
        plaudit.load({"mine": {"word": 5}})


CODE = """
import math
from plaudit.rewards import FunctionReward, LengthReward

def words(samples):
    return [len(s.text.split()) for s in samples]

def unsure(samples):
    return [None if len(s.text) < 5 else 1.5 for s in samples]

def nan(samples):
    return [math.nan, 1]

def infinite(samples):
    return [1.0, -math.inf]

def short(samples):
    return [1.0]

def scalar(samples):
    return 1.0

def text(samples):
    return ["good", 1.0]

def groups(samples):
    return [float(i) for i, _ in enumerate(samples)]
groups.scope, groups.bounds = "group", (0.0, 9.0)

def factory():
    return LengthReward(target=3)

def bad_factory():
    return 5

def two(samples, more):
    return []

class Own:
    name, scope, bounds, fingerprint = "own", "sample", (0.0, 1.0), "f00"
    def __call__(self, samples):
        return LengthReward()(samples)

class Needs(Own):
    def __init__(self, path):
        pass

class Better:
    name, fingerprint = "better", "b"
    def __call__(self, first, second):
        return None

ready = LengthReward(sign=-1)
number = 3
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_functions_classes_factories_and_objects_of_a_file(module):
    assert plaudit.load(f"{module}:words")(SAMPLES).reward.tolist() == [3, 1]
    assert plaudit.load(f"{module}:words").name == "words"
    assert plaudit.load(f"{module}:factory") == LengthReward(target=3)
    assert plaudit.load(f"{module}:ready")(SAMPLES).reward.tolist() == [-3, -1]
    assert plaudit.load(f"{module}:Own")(SAMPLES).reward.tolist() == [3, 1]
    made = plaudit.load(f"{module}:groups")
    assert (made.scope, made.bounds) == ("group", (0.0, 9.0))
    assert plaudit.load(f"{module}:words").bounds == (-math.inf, math.inf)


@pytest.mark.parametrize(("name", "reward"), [("unsure", [1.5, None]), ("nan", [None, 1.0])])
def test_none_and_nan_are_abstentions(module, name, reward):
    batch = plaudit.load(f"{module}:{name}")(SAMPLES)
    assert [None if math.isnan(r) else r for r in batch.reward] == reward
    assert batch.outcome.tolist() == [Outcome.ABSTAINED if r is None else Outcome.SCORED for r in reward]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("infinite", "infinite: reward of sample 1 is -inf; return a finite number, or None to abstain"),
        ("short", "short: returned 1 rewards for 2 samples; return one each"),
        ("scalar", "scalar: returned float; return a list of numbers, one a sample"),
        ("text", "text: reward of sample 0 is 'good'; return a finite number, or None to abstain"),
    ],
)
def test_what_a_function_may_not_return(module, name, message):
    with pytest.raises(InputError) as error:
        plaudit.load(f"{module}:{name}")(SAMPLES)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrds", "has no 'wrds'; did you mean 'words'"),
        ("number", "number: is a int; give a reward, or a function of a list of samples"),
        ("bad_factory", "takes no arguments and returned int; a factory returns a reward"),
        ("two", "takes samples, more; a reward function takes one argument, the list of samples"),
        ("Needs", "the class needs arguments (path); name a function that makes the reward"),
        (
            "Better",
            "is a comparison of two samples, and a reward of one is needed; turn it into one with shape/win-rate",
        ),
    ],
)
def test_what_a_file_may_not_name(module, name, message):
    with pytest.raises(InputError) as error:
        plaudit.load(f"{module}:{name}")
    assert message in str(error.value)
    assert str(module) in str(error.value)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(MissingError, match="no such file; a reward of your own"):
        plaudit.load(f"{tmp_path}/gone.py:f")
    for text, message in (
        ("def f(:\n", "SyntaxError"),
        ("import no_such_module_at_all\n", "No module named"),
    ):
        (tmp_path / "broken.py").write_text(text)
        with pytest.raises(InputError) as error:
            plaudit.load(f"{tmp_path}/broken.py:f")
        assert "broken.py: cannot be imported: " in str(error.value)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_the_fingerprint_of_a_function_is_that_of_its_file(tmp_path):
    prints = []
    for folder, body in (("a", "1.0"), ("b", "1.0"), ("c", "2.0")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"def f(samples):\n    return [{body} for _ in samples]\n")
        prints.append(plaudit.load(f"{tmp_path / folder / 'mine.py'}:f").fingerprint)
    assert prints[0] == prints[1] != prints[2]
    # the file is edited while the function lives: what was loaded is what counts
    made = plaudit.load(f"{tmp_path / 'a' / 'mine.py'}:f")
    (tmp_path / "a" / "mine.py").write_text("def f(samples):\n    return [3.0 for _ in samples]\n")
    assert made.fingerprint == prints[0]


def test_the_fingerprint_without_a_file_is_that_of_the_code():
    def compiled(body):
        space = {}
        exec(f"def f(samples): return [{body} for _ in samples]", space)
        return FunctionReward(space["f"]).fingerprint

    assert compiled("1.0") == compiled("1.0") != compiled("2.0")


def scaled(samples, *, by):
    return [by * len(s.text) for s in samples]


def test_the_fingerprint_tells_partials_and_objects_apart():
    class Scaled:
        def __init__(self, by):
            self.by = by

        def __call__(self, samples):
            return scaled(samples, by=self.by)

    partials = [FunctionReward(functools.partial(scaled, by=k), name="p").fingerprint for k in (1, 1, 2)]
    objects = [FunctionReward(Scaled(k), name="p").fingerprint for k in (1, 1, 2)]
    for prints in (partials, objects):
        assert prints[0] == prints[1] != prints[2]
    assert FunctionReward(Scaled(1)).name == "Scaled"


def test_a_reward_that_raises_is_named_in_one_line(tmp_path):
    (tmp_path / "mine.py").write_text("def broken(samples):\n    return [1 / 0 for s in samples]\n")
    reward = plaudit.load(f"{tmp_path}/mine.py:broken")
    with pytest.raises(InputError, match=r"^broken: raised ZeroDivisionError: division by zero \(mine\.py, line 2\)"):
        reward([Sample("p", "c")])


def test_a_plus_sign_is_one():
    assert options_in("path=runs/a+b/model&before=&tags=a b%26") == [
        ("path", "runs/a+b/model"), ("before", ""), ("tags", "a b&"),
    ]  # fmt: skip
