"""What ``ganbench show`` says of the bundled metrics: how to read each of them."""

from click.testing import CliRunner

from ganbench.cli.main import main


def shown(name):
    result = CliRunner().invoke(main, ["show", name], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.stdout.split())


def test_show_says_how_to_read_a_metric():
    text = shown("fd")
    assert "formula |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)" in text
    assert "direction lower is better" in text
    assert "scale log: two values are compared by their ratio" in text
    assert "needs moments floor above what a perfect generator deserves" in text
    assert "error_needs features, for its standard error" in text
    precision = shown("precision")
    assert "direction higher is better" in precision
    assert "floor none that follows from its definition" in precision
