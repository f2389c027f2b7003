"""Tables of reports: numbers as they are read, columns aligned, and what does not fit refused."""

import math
import re

import numpy as np
import pytest

from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.report_table import Table, cell_html, number_text
from tests.analysis.page import Page

pytestmark = pytest.mark.fast


def test_table_aligns_columns_of_numbers_and_names_rows():
    table = Table(
        ["score", "tau", "seconds", "note"],
        [
            ["NNGP", Estimate(0.5, 0.4, 0.6), 17.25, "a"],
            ["parameters", Estimate(math.nan), None, None],
        ],
    )
    page = Page(table.to_html("name"))
    assert [a["class"] for a in page.all("th")] == ["left", "right", "right", "left", *["left"] * 2]
    assert [a["scope"] for a in page.all("th")] == ["col"] * 4 + ["row"] * 2
    text = re.sub(r"<[^>]+>", "|", table.to_html("name"))
    for cell in ("0.500 |[0.400, 0.600]|", "|17.2|", "|undefined|", "|\u2013|"):
        assert cell in text


def test_table_takes_an_alignment():
    page = Page(Table(["a", "b"], [["x", 1.0]], align=["right", "left"]).to_html("name"))
    assert [attributes["class"] for attributes in page.all("td")] == ["left"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (np.int64(1234), "1,234"),
        (0.0, "0"),
        (0.34812, "0.348"),
        (-9.5, "-9.500"),
        (np.float32(0.5), "0.500"),
        (17.25, "17.2"),
        (1261.8, "1,262"),
        (1261835264.0, "1.26e+09"),
        (1e-5, "1e-05"),
        (math.nan, "undefined"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_the_digits_that_are_read(number, text):
    assert number_text(number) == text
    assert cell_html(number) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], [["x", 1], ["y"]]), "row 2 of the table must have a cell for each of 2"),
        ((["a"], [["x"]], "", ["left", "right"]), "align must name a side for each of 1 columns"),
        ((["a"], [["x"]], "", ["middle"]), "align must be left or right, got 'middle'"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Table(*arguments)
