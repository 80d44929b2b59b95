"""Every row of the catalogue of textbook claims is answered by a claim of some ablation."""

from experiments.catalogue import load_ablations

CATALOGUE = {
    "a transformer against an LSTM": ["lstm-loss", "lstm-context"],
    "who trains faster": [
        "lstm-speed",
        "lstm-speed-seconds",
        "lstm-speed-tokens",
        "lstm-speed-flops",
    ],
    "no positions": ["nopos-decoder", "nopos-encoder", "permutation"],
    "kinds of positions": [
        "rope-sinusoidal",
        "extrapolation-rope",
        "extrapolation-alibi",
        "extrapolation-rope-alibi",
    ],
    "deep stacks": ["no-residual", "no-norm", "residual", "norm"],
    "norm placement": ["pre-post", "pre-post-own-rate", "pre-post-deep", "pre-post-deep-own-rate"],
    "gradients": ["gradient-scale", "gradient-depth-pre", "gradient-depth-post"],
    "number of heads": ["heads", "heads-too-many", "head-cost", "head-cost-time"],
    "what heads do": [
        "head-roles-previous",
        "head-roles-first",
        "head-roles-induction",
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
    "beside the catalogue": ["initialisation", "precision", "precision-speed"],
    "size": ["depth", "width", "depth-compute", "width-compute", "base-size", "base-size-untied"],
    "activations": ["gelu", "swiglu"],
    "RMSNorm": ["rmsnorm", "rmsnorm-speed", "rmsnorm-layer"],
    "grouped queries": ["gqa", "mqa", "gqa-cache", "gqa-generation"],
    "the modern set": ["modern", "modern-rope"],
    "schedules": ["warmup", "schedule"],
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


def test_every_row_has_its_claims_and_no_claim_two_rows():
    """There may be others: of an ablation that somebody adds."""
    stated = [claim.id for ablation in load_ablations().values() for claim in ablation.claims]
    asked = [claim for claims in CATALOGUE.values() for claim in claims]
    assert set(asked) <= set(stated)
    assert len(set(asked)) == len(asked)
