"""Text can be read in both themes: contrast of at least 4.5 (WCAG 2.2, success criterion 1.4.3, level AA)."""

import pytest

from reports.page.style import CSS, DARK, LIGHT

TEXTS = ("ink", "muted", "accent", "good", "bad", "printed")
LINES = ("ensemble", "single", "printed", "baseline", "bad")


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_texts_stand_out(theme: dict[str, str], ground: str) -> None:
    assert min(contrast(theme[name], theme[ground]) for name in TEXTS) >= 4.5
    assert min(contrast(theme[name], theme[ground]) for name in LINES) >= 3.0  # graphics, criterion 1.4.11


def test_both_themes_have_the_same_names() -> None:
    assert LIGHT.keys() == DARK.keys() and all(f"--{name}:" in CSS for name in LIGHT)
    assert "url(" not in CSS and "@import" not in CSS
