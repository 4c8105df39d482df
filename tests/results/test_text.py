"""Digits that the interval allows, and foreign text that stays text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.results import text


@pytest.mark.parametrize(
    ("mean", "half_width", "shown"),
    [
        (3.2, 0.24841, "3.20 ± 0.25"),
        (12.3456, 1.96, "12.3 ± 2.0"),
        (12.3456, 0.0996, "12.35 ± 0.10"),
        (8.2333, 12.7, "8 ± 13"),
        (12345.6, 1234.0, "12300 ± 1200"),
        (0.5, 0.5, "0.50 ± 0.50"),
        (-0.001, 0.02, "-0.001 ± 0.020"),
        (-0.0001, 0.02, "0.000 ± 0.020"),
        (0.000123, 0.0000341, "0.000123 ± 0.000034"),
        (1.234e-9, 3.41e-10, "1.23e-09 ± 3.4e-10"),
        (1e-12, 3.4e-9, "0 ± 3.4e-09"),
        (8.0, 0.0, "8.000 ± 0"),
    ],
)
def test_the_half_width_decides_the_digits(mean, half_width, shown):
    assert text.with_interval(mean, half_width) == shown


@given(st.floats(-1e12, 1e12), st.floats(1e-12, 1e12))
def test_what_is_shown_is_near_what_is_meant(mean, half_width):
    shown_mean, shown_half = map(float, text.with_interval(mean, half_width).split(" ± "))
    assert shown_half == pytest.approx(half_width, rel=0.051)
    assert abs(shown_mean - mean) <= 0.051 * half_width + 1e-9 * abs(mean)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.3, "0.3000"), (105.234, "105.2"), (123456.0, "123500"), (0.0, "0"), (1.5e-9, "1.500e-09")]
)
def test_four_digits_without_an_interval(value, shown):
    assert text.significant(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1001.4, "1,001"), (782.0, "782"), (3.14159, "3.14"), (2.0, "2")])
def test_counts_and_rates(value, shown):
    assert text.count(value) == shown


def test_control_characters_go_and_lines_become_one():
    assert text.plain("a\x1b[31mb\nc\td\x00\u202ee\x85f") == "a[31mb c de f"


def test_markdown_shows_text_as_it_is():
    assert text.markdown("a|b <script> *x* [y](z) `c` \\") == r"a\|b \<script\> \*x\* \[y\](z) \`c\` \\"
    assert text.markdown("wgan_gp __init__ _x") == r"wgan_gp \_\_init\_\_ \_x"


def test_latex_shows_text_as_it_is():
    assert text.latex("50 % of a_b & {c} #1 $x^2 ~ \\input <|>") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x\textasciicircum{}2 \textasciitilde{} \textbackslash{}input "
        r"\textless{}\textbar{}\textgreater{}"
    )
    assert text.latex("3 ± 1 ↓") == r"3 $\pm$ 1 $\downarrow$"


@pytest.mark.parametrize("formula", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\x00=1"])
def test_a_spreadsheet_computes_nothing(formula):
    assert text.spreadsheet(formula).startswith("'")


@pytest.mark.parametrize("number", ["-1.5", "+2", "1e-3", "mlp"])
def test_numbers_and_words_are_left_alone(number):
    assert text.spreadsheet(number) == number


@given(st.text())
def test_no_foreign_text_breaks_a_cell(foreign):
    shown = text.markdown(foreign)
    assert "\n" not in shown
    assert re.search(r"(?<!\\)(\\\\)*\|", shown) is None
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", shown)


def test_width_counts_columns():
    assert text.width("abc") == 3
    assert text.width("画像") == 4
    assert text.width("e\u0301") == 1


def test_alternatives_read_as_a_sentence():
    assert [text.either(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a or b", "a, b or c"]
