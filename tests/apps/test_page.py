"""What all pages share: one style, and a policy that lets in nothing but the page's own style and script."""

import base64
import hashlib
import re
from importlib.resources import files

import pytest

from mien.apps.page import safe, template

PAGES = {"report.html": "data", "leaderboard.html": "body", "explain.html": "body", "scale_report.html": "body"}


@pytest.mark.parametrize(("name", "place"), PAGES.items())
def test_the_policy_knows_the_style_and_the_script_that_the_page_has(name, place):
    page = "".join(template(name, place, {"title": "A title"}))
    assert "default-src 'none'" in page
    for tag in ("style", "script"):
        found = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = re.findall(f"{tag}-src 'sha256-([^']+)'", page)
        assert hashes == [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in found]


@pytest.mark.parametrize(("name", "place"), PAGES.items())
def test_every_page_has_the_shared_style_and_nothing_left_to_fill(name, place):
    before, after = template(name, place, {"title": "T", "switch-rules": "", "width": "9", "aspect": "1"})
    assert (files("mien.apps") / "page.css").read_text(encoding="utf-8") in before
    assert "{{" not in before + after


def test_a_title_may_look_like_a_place():
    before, _ = template("explain.html", "body", {"title": "{{body}} {{width}}", "width": "9"})
    assert "<title>{{body}} {{width}}</title>" in before


def test_text_is_safe_in_an_element_and_in_a_quoted_attribute():
    assert safe("<b a=\"1\" c='2'>&") == "&lt;b a=&quot;1&quot; c=&#x27;2&#x27;&gt;&amp;"


@pytest.mark.parametrize("name", PAGES)
def test_every_rule_of_the_style_is_closed(name):
    (style,) = re.findall("<style>(.*?)</style>", "".join(template(name, PAGES[name])), re.DOTALL)
    assert style.count("{") == style.count("}") > 20
