"""Plain numbers and units: exact values, and what is left undecided."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.rewards.verifiers.math.cleaning import clean
from plaudit.rewards.verifiers.math.plain import read_plain, same_quantity

READ = [
    ("18", 18),
    ("-18", -18),
    ("+7", 7),
    ("1,234", 1234),
    ("1{,}234", 1234),
    ("1 234", 1234),
    ("1\\,234", 1234),
    ("3 000 000", 3_000_000),
    (".5", Fraction(1, 2)),
    ("5.", 5),
    ("1,430.50", Fraction(2861, 2)),
    ("-3/4", Fraction(-3, 4)),
    ("\\frac12", Fraction(1, 2)),
    ("\\frac1{2}", Fraction(1, 2)),
    ("\\dfrac{-3}{4}", Fraction(-3, 4)),
    ("-\\frac{3}{4}", Fraction(-3, 4)),
    ("2\\frac{1}{2}", Fraction(5, 2)),
    ("-2\\frac12", Fraction(-5, 2)),
    ("2 1/2", Fraction(5, 2)),
    ("\u00bd", Fraction(1, 2)),
    ("3.2\\times 10^5", 320_000),
    ("3.2 x 10^{5}", 320_000),
    ("1e5", 100_000),
    ("1e-3", Fraction(1, 1000)),
    ("2^{10}", 1024),
    ("10^6", 10**6),
    ("10^{-2}", Fraction(1, 100)),
    ("\uff11\uff18", 18),
    ("\u0661\u0668", 18),
    ("$18$", 18),
    ("**18**", 18),
    ("\\text{18}", 18),
    ("{18}", 18),
    ("$1.5 million", 1_500_000),
    ("18 thousand", 18_000),
    ("10{,}\\!000", 10_000),
    ("018", 18),
    ("\\frac{0.5}{2}", Fraction(1, 4)),
]


@pytest.mark.parametrize(("text", "value"), READ)
def test_value(text, value):
    assert read_plain(clean(text)).value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5x",
        "5m",
        "2k",
        "3\\pi",
        "18 or 19",
        "17, 18",
        "1,23",
        "12,34",
        "52_8",
        "5!",
        "12:00",
        "1/0",
        "\\frac{1}{0}",
        "--7",
        "1.2.3",
        "x=5",
        "18 is not 19",
        "not 18",
        "18 times",
        "18 squared",
        "18 and more",
        "\u00b9\u2078",
        "2\\frac{3}{2}",
        "18 17",
        "0^{0}",
        "0^{-1}",
        "18 \u0430pples",
        "5 apples 3 pears",
        "\\sqrt{4}",
        "9^9^9",
        "18\\\\19",
        "$",
        "%",
        "18%%",
    ],
)
def test_what_is_not_one_plain_number_is_left_undecided(text):
    assert read_plain(clean(text)) is None


@pytest.mark.parametrize("text", ["9**9**9", "9^{99999}", "1e9999", "1e999999", "1" * 2500, "2^{-99999}", "10^{99999}"])
def test_what_would_be_too_large_is_not_computed(text):
    assert read_plain(clean(text)) is None


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [
        # stated units must agree and convert: 1 in = 2.54 cm, 1 h = 3600 s, 1 mi = 1609.344 m, 1 lb = 0.45359237 kg
        ("1 \\text{ inch}", "2.54 cm", True),
        ("1 mile", "1609.344 m", True),
        ("1 lb", "0.45359237 kg", True),
        ("1 square foot", "144 square inches", True),
        ("1 m^2", "10000 cm^2", True),
        ("36 km/h", "10 m/s", True),
        ("60 mph", "60 miles per hour", True),
        ("60 mph", "60 mpg", False),
        ("1 year", "12 months", True),
        ("1 month", "30 days", False),
        ("\\$5", "500 cents", True),
        ("\\$5", "5 euros", False),
        ("18 eggs", "18 duck eggs", True),
        ("18 eggs", "18 dollars", False),
        ("5 cm", "5", True),
        ("5", "5 cm", True),
        ("7", "7 dozen", True),
        ("84", "7 dozen", True),
        ("\\$18", "\\$18 per day", True),
        ("5\\text{ cm}^2", "5 cm\u00b2", True),
        ("20^\\circ C", "20 degrees Celsius", True),
        ("20^\\circ C", "20^\\circ F", False),
        ("50%", "50", True),
        ("50", "50%", True),
        ("0.5", "50%", True),
        ("50", "0.5", False),
        ("50%", "0.05", False),
        ("50% ", "50\\%", True),
        ("50%", "5%", False),
    ],
)
def test_units_and_percent(reference, answer, same):
    assert same_quantity(read_plain(clean(reference)), read_plain(clean(answer))) is same


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [
        ("0.33", "\\frac{1}{3}", True),
        ("0.33", "0.34", False),
        ("0.33", "0.335", True),
        ("0.33", "0.3351", False),
        ("\\frac{1}{3}", "0.33", False),
        ("3", "3.2", False),
    ],
)
def test_rounding_goes_by_the_places_of_the_reference(reference, answer, same):
    # 0.33 stands for 0.325 to 0.335: |1/3 - 0.33| = 0.00333..; a fraction or whole number is not rounded
    assert same_quantity(read_plain(clean(reference)), read_plain(clean(answer)), rounded=True) is same


@given(st.fractions(max_denominator=10**6))
@settings(max_examples=60)
def test_any_fraction_is_read_back(value):
    for text in (f"{value.numerator}/{value.denominator}", f"\\frac{{{value.numerator}}}{{{value.denominator}}}"):
        assert read_plain(clean(text)).value == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
@settings(max_examples=60)
def test_any_decimal_is_read_back_with_and_without_separators(value):
    assert read_plain(clean(f"{value:f}")).value == Fraction(Decimal(value))
    assert read_plain(clean(f"{value:,f}")).value == Fraction(Decimal(value))


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
@settings(max_examples=60)
def test_two_whole_numbers_are_equal_exactly_if_they_are(one, other):
    a, b = read_plain(clean(str(one))), read_plain(clean(f"{other:,}.0"))
    assert same_quantity(a, b) is (one == other)
    assert same_quantity(b, a) is (one == other)
