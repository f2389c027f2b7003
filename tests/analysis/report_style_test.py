"""The style sheet: colours of both schemes, and rules for what pages hold."""

import re

import pytest

from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.report import Report, Section, Table
from nngp_tf.analysis.report_style import STYLE_SHEET

pytestmark = pytest.mark.fast


def test_colours_are_those_of_both_schemes():
    light, dark, *_ = (re.findall(r"--[a-z]+(?=:)", part) for part in STYLE_SHEET.split("@media"))
    assert len(set(light)) == len(light)
    assert dark == light
    assert set(re.findall(r"var\((--[a-z]+)\)", STYLE_SHEET)) <= set(light)


def test_braces_are_balanced():
    depths = [0]
    for brace in re.findall("[{}]", STYLE_SHEET):
        depths.append(depths[-1] + (1 if brace == "{" else -1))
    assert depths[-1] == 0
    assert (min(depths), max(depths)) == (0, 2)


def test_every_class_of_a_page_has_a_rule():
    table = Table(["a", "b"], [["x", Estimate(0.5, 0.4, 0.6)]], note="note")
    page = Report("title", ["summary"], [Section("section", "text", table)]).to_html()
    classes = {name for names in re.findall(r'class="([^"]+)"', page) for name in names.split()}
    assert classes >= {"table", "left", "right", "interval", "note"}
    assert classes <= set(re.findall(r"\.([a-z]+)", STYLE_SHEET))
