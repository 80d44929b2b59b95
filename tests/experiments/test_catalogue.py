"""The catalogue of textbook claims: every row is answered by a claim, and loading is cheap."""

import subprocess
import sys

from helping import ROOT

from experiments.catalogue import load_ablations

CATALOGUE = {
    "a transformer against an LSTM": ["lstm-loss", "lstm-context"],
    "who trains faster": [
        "lstm-speed",
        "lstm-speed-seconds",
        "lstm-speed-tokens",
        "lstm-speed-flops",
    ],
    "no positions": [
        "nopos-decoder",
        "nopos-decoder-rope",
        "nopos-decoder-alibi",
        "nopos-encoder",
        "nopos-encoder-rope",
        "permutation",
    ],
    "kinds of positions": [
        "rope-sinusoidal",
        "extrapolation-rope",
        "extrapolation-alibi",
        "extrapolation-rope-alibi",
    ],
    "deep stacks": ["no-residual", "no-norm", "residual", "norm"],
    "norm placement": ["pre-post", "pre-post-deep", "pre-post-deep-own-rate"],
    "learning rates that train": [
        "norm-rates",
        "pre-post-rates",
        "warmup-rates",
    ],
    "gradients": ["gradient-scale", "gradient-depth-pre", "gradient-depth-post"],
    "number of heads": ["heads", "heads-too-many", "head-cost", "head-cost-time"],
    "what heads do": [
        "head-roles-previous",
        "head-roles-first",
        "head-roles-induction",
        "head-roles-broad",
        "head-pruning",
        "induction-layers",
        "induction-lstm",
    ],
    "scaled scores": ["scale-variance", "scale", "scale-saturation"],
    "mask placement": ["mask-place", "mask-place-loss"],
    "quadratic cost": [
        "quadratic",
        "quadratic-fused",
        "quadratic-memory",
        "quadratic-memory-fused",
        "quadratic-model",
    ],
    "in addition": ["initialisation", "precision", "precision-speed"],
    "size": ["depth", "width", "depth-compute", "width-compute", "base-size", "base-size-untied"],
    "activations": ["gelu", "swiglu"],
    "RMSNorm": ["rmsnorm", "rmsnorm-speed", "rmsnorm-layer"],
    "grouped queries": ["gqa", "mqa", "gqa-cache", "gqa-generation"],
    "the modern set": ["modern", "modern-rope"],
    "schedules": ["warmup", "warmup-pre", "schedule"],
    "label smoothing": ["smoothing"],
    "tied embeddings": ["tying", "tying-matched"],
    "the ladder": ["ladder-mlp", "ladder"],
    "families": [
        "families-understanding",
        "families-reverse",
        "families-sort",
        "families-generation",
    ],
}


def test_every_textbook_topic_has_its_claims_and_no_claim_is_in_two_topics():
    """An ablation that a user adds may have further claims."""
    stated = [claim.id for ablation in load_ablations().values() for claim in ablation.claims]
    listed = [claim for claims in CATALOGUE.values() for claim in claims]
    assert set(listed) <= set(stated)
    assert len(set(listed)) == len(listed)


def test_loading_the_ablations_is_quick_and_does_not_load_torch():
    """Commands that only list or report must start at once."""
    code = (
        "import sys, time; from experiments.catalogue import load_ablations;"
        "print(len(load_ablations()), 'torch' in sys.modules, time.process_time())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ablations, has_torch, seconds = done.stdout.split()
    assert int(ablations) >= 29
    assert has_torch == "False"
    assert float(seconds) < 2  # of processor time, so that other work on the machine does not count
