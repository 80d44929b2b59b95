"""The command `network`: parameters, FLOPs and shapes of a network on the terminal."""

import subprocess
import sys

import pytest

from model.presets import PRESETS


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments", "network", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_network_command_prints_presets_parameters_and_shapes():
    listing = command()
    assert listing.returncode == 0
    assert all(name in listing.stdout for name in PRESETS)
    base = command("vaswani-base")
    assert base.returncode == 0
    assert "63,082,496" in base.stdout
    assert "65M (Vaswani 2017" in base.stdout
    assert "1 × 8 × 1 × 64" in base.stdout
    untied = command("vaswani-base", "tie_embeddings=false", "vocab_size=32000")
    assert "93,290,496" in untied.stdout
    assert "published" not in untied.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("vaswani",), "vaswani-base"),
        (("gpt2", "n_head=3"), "n_heads"),
        (("gpt2", "n_heads=5"), "n_heads=5 cannot work"),
        (("gpt2", "position=rotary"), "position='rotary' cannot work"),
        (("gpt2", "--time", "0"), '"0" for --time'),
        (("gpt2", "--time", "1025"), "context_length=1024"),
    ],
)
def test_a_mistake_in_the_network_command_gives_one_line_and_exit_status_2(
    arguments: tuple[str, ...], word: str
):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
