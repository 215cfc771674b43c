"""The model card: what people read, whatever columns and classes are called."""

from ensemble.card import model_card
from spaces.schema import Column, Schema
from spaces.task import Task


def test_names_are_neither_html_nor_links_nor_cells() -> None:
    schema = Schema((Column("<script>alert(1)</script>", "number", False), Column("a|b\nc", "number", True)))
    task = Task("binary", ("[click](http://x)",), ("no", "&yes"))
    card = model_card(schema, task, [], {"<b>": "1 < 2"})
    assert "<script" not in card and "<b>" not in card
    assert "| &lt;script&gt;alert(1)&lt;/script&gt; | number | no |" in card
    assert "| a\\|b c | number | yes |" in card
    assert "\\[click](http://x)" in card and "&amp;yes" in card
