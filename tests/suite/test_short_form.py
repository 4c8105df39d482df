"""The short form of components: what it says, and what it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.errors import SuiteError
from ganbench.suite.schema import Entry
from ganbench.suite.terms import Term, parse_term, parse_terms, parse_value, split_terms

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,11}", fullmatch=True)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,7}", fullmatch=True).filter(lambda key: key != "name")
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")))
PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
PARAMETERS = st.dictionaries(KEYS, VALUES, max_size=3)
SINGLE = st.builds(Term, NAMES, PARAMETERS)
TERMS = st.builds(Term, NAMES, PARAMETERS, st.lists(SINGLE, max_size=2).map(tuple))


def value_text(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {value_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def text_of(term: Term) -> str:
    inside = ", ".join(f"{key}={value_text(value)}" for key, value in term.parameters.items())
    return "+".join([f"{term.name}({inside})" if inside else term.name, *map(text_of, term.extras)])


@given(TERMS)
def test_what_is_written_is_read(term):
    assert parse_term(text_of(term)) == term


@given(st.lists(TERMS, min_size=1, max_size=3))
def test_a_list_is_read_term_by_term(terms):
    assert parse_terms(", ".join(map(text_of, terms))) == tuple(terms)


@given(st.builds(Term, NAMES, st.dictionaries(KEYS.map("x_{}".format), VALUES, max_size=3), st.just((Term("r1"),))))
def test_the_table_says_the_same_as_the_text(term):
    from_text, from_table = Entry.model_validate(text_of(term)), Entry.model_validate(term.as_table())
    assert from_text == from_table
    assert (from_table.name, from_table.parameters) == (term.name, term.parameters)
    assert [extra.name for extra in from_table.extras] == ["r1"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("hinge", Term("hinge")),
        ("  hinge  ", Term("hinge")),
        ("r1()", Term("r1")),
        ("r1( gamma = 5 , every=2 )", Term("r1", {"gamma": 5, "every": 2})),
        ("r1(gamma=1e+4)", Term("r1", {"gamma": 1e4})),
        ("r1(gamma=1e-4)+box(c=2.5e+1)", Term("r1", {"gamma": 1e-4}, (Term("box", {"c": 25.0}),))),
        ("sn2e+r1", Term("sn2e", {}, (Term("r1"),))),
        ("dcgan(d_norm=none)", Term("dcgan", {"d_norm": "none"})),
        ("a(x='1,2+3)')", Term("a", {"x": "1,2+3)"})),
        (r'a(x="b\",c",y=1)', Term("a", {"x": 'b",c', "y": 1})),
        (r"a(x='b\',y=1)", Term("a", {"x": "b\\", "y": 1})),
        ("a(x=[[1], [2, 3]])", Term("a", {"x": [[1], [2, 3]]})),
        ("a(y={b=[1,2],c={d='+'}})", Term("a", {"y": {"b": [1, 2], "c": {"d": "+"}}})),
        ("a+b+c(x=1)", Term("a", {}, (Term("b"), Term("c", {"x": 1})))),
    ],
)  # fmt: skip
def test_examples(text, term):
    assert parse_term(text) == term


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1e6),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000", 1000),
        (" true ", True),
        ("True", "True"),
        ("'5'", "5"),
        ("wide", "wide"),
        ("[1, 'a']", [1, "a"]),
        ("", ""),
        ("2020-01-01", "2020-01-01"),
        ("nan", "nan"),
        ("-inf", "-inf"),
        ("infinity", "infinity"),
        ("[nan]", "[nan]"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_values_are_tomls_or_words(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot read ''; write a name, or name(parameter=value, ...)"),
        ("hinge,", "cannot read ''; write a name, or name(parameter=value, ...)"),
        ("hinge+", "cannot read ''; write a name, or name(parameter=value, ...)"),
        ("hin ge", "cannot read 'hin ge'; write a name, or name(parameter=value, ...)"),
        ("Hinge", "cannot read 'Hinge'; write a name, or name(parameter=value, ...)"),
        ("a(x=1)b", "cannot read 'a(x=1)b'; write a name, or name(parameter=value, ...)"),
        ("a(x)", "cannot read 'x' in 'a(x)'; write parameter=value"),
        ("a(x=1,)", "cannot read '' in 'a(x=1,)'; write parameter=value"),
        ("a(x y=1)", "cannot read 'x y=1' in 'a(x y=1)'; write parameter=value"),
        ("a(x=1,x=2)", "x is given twice in 'a(x=1,x=2)'"),
        ("a(name=b)", "name is given twice in 'a(name=b)'"),
        ("a(x=1", "a bracket or quote is left open in 'a(x=1'"),
        ("a(x='1)", 'a bracket or quote is left open in "a(x=\'1)"'),
        ("a)", "the brackets in 'a)' do not match"),
        ("a(x=[1)]", "the brackets in 'a(x=[1)]' do not match"),
        ("a(x=)(y=1)", "the brackets in 'x=)(y=1' do not match"),
    ],
)
def test_what_cannot_be_read_is_said(text, sentence):
    with pytest.raises(SuiteError) as error:
        parse_terms(text)
    assert str(error.value) == sentence


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_in_a_sentence(text):
    try:
        terms = parse_terms(text)
    except SuiteError:
        return
    assert all(term.name for term in terms)


def test_a_list_is_split_outside_brackets_and_quotes():
    assert split_terms("fd, kd(a=1,b=2),'x,y'") == ["fd", " kd(a=1,b=2)", "'x,y'"]
