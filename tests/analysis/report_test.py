"""Reports: one file, nothing loaded from elsewhere, everything escaped."""

import base64
import io
import urllib.parse

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from nngp_tf.analysis import figures, report
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.report import Report, Section, Table
from tests.analysis.page import Page

pytestmark = pytest.mark.fast

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=http://example.com/x.png>"


def _figure(name="score"):
    return figures.combination([(name, Estimate(0.5, 0.4, 0.6))], "Kendall's tau")


def _full(text="words"):
    table = Table([text, "tau"], [[text, Estimate(0.5, 0.4, 0.6)], [text, None]], note=text)
    parts = [Section(f"{text} {i}", f"{text}\n\n{text}", table, [(text, _figure())]) for i in "abc"]
    return Report(text, [text, text], parts)


def test_page_refers_to_nothing_outside_itself():
    text = _full().to_html()
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "base", "form"), tag
        for name, value in attributes.items():
            if name in ("src", "href"):
                assert value.startswith(("data:image/png;base64,", "#section-")), value
            assert not name.startswith("on"), name
            assert urllib.parse.urlsplit(value or "").scheme in ("", "data"), value
    assert "@import" not in text
    assert "url(" not in text
    assert "http" not in text.replace("http-equiv", "")
    (policy,) = (meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_contents_lead_to_the_sections():
    page = Page(_full().to_html())
    assert [link["href"] for link in page.all("a")] == [f"#{s['id']}" for s in page.all("section")]
    assert len(page.all("a")) == 3


def test_every_image_is_the_figure_and_has_words_for_it():
    figure = _figure()
    page = Page(Report("t", [], [Section("s", "", figures=[("caption", figure)])]).to_html())
    (image,) = page.all("img")
    assert image["alt"] == "Kendall's tau: score 0.500 [0.400, 0.600]."
    content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert content == figures.png(figure)
    height, width, _ = imread(io.BytesIO(content)).shape
    np.testing.assert_allclose(
        int(image["width"]) / int(image["height"]), width / height, rtol=0.01
    )


def test_a_figure_of_the_users_own_has_its_caption_for_words():
    page = Page(Report("t", [], [Section("s", "", figures=[("caption", Figure())])]).to_html())
    assert page.all("img")[0]["alt"] == "caption"


def test_everything_given_is_escaped():
    text = _full(HOSTILE).to_html()
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li"),
        *("nav", "a", "section", "div", "table", "thead", "tbody", "tr", "th", "td", "span"),
        *("figure", "img", "figcaption"),
    }
    assert len(page.all("img")) == 3
    assert "<script" not in text
    assert HOSTILE in "".join(page.texts)


def test_hostile_names_in_figures_and_labels_are_escaped():
    section = Section(HOSTILE, "", Table(["a"], [[HOSTILE]]), [("c", _figure(HOSTILE))])
    page = Page(Report("t", [], [section]).to_html())
    assert HOSTILE in page.all("img")[0]["alt"]
    assert [a["aria-label"] for t, a in page.elements if t == "div" and "role" in a] == [HOSTILE]


@pytest.mark.parametrize("summary", [[], ["One sentence."], ["One.", "Two."]])
def test_a_report_without_sections_opens(summary):
    page = Page(Report("title", summary, []).to_html())
    assert {"title", *summary} <= {text.strip() for text in page.texts}


def test_paragraphs_and_code():
    text = Report("t", [], [Section("s", "one `a < b`\nline\n\n\ntwo", None)]).to_html()
    assert "<p>one <code>a &lt; b</code>\nline</p>\n<p>two</p>" in text


def test_same_values_give_the_same_page():
    assert _full().to_html() == _full().to_html()


def test_figures_are_coarser_where_the_page_would_be_large(monkeypatch):
    sections = [Section("s", "", figures=[("c", _figure())])]
    fine = Report("t", [], sections).to_html()
    monkeypatch.setattr(report, "MOST_BYTES", len(fine) - 1)
    assert len(Report("t", [], sections).to_html()) < len(fine)


def test_save_writes_the_page_and_leaves_nothing_aside(tmp_path):
    path = tmp_path / "new" / "report.html"
    made = Report("Ränge · τ", ["summary"], [])
    assert made.save(path) == str(path)
    assert path.read_text(encoding="utf-8") == made.to_html()
    made.save(path)  # Again, over the old one.
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
