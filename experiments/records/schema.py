"""The tables' columns: name, type, meaning. This page is the data dictionary.

A null means "does not apply" or "was not measured", and never zero.
"""

import dataclasses
import typing
from typing import Any

import pyarrow as pa

from experiments.spec import Recipe
from model import ModelConfig

VERSION = 6

Column = tuple[str, pa.DataType, str]

_TEXT, _WHOLE, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_REALS = pa.list_(pa.field("element", _REAL))  # as parquet calls it


def _config_columns(prefix: str, kind: type) -> list[Column]:
    """One column per field of a config dataclass, typed as the field is."""
    types = {int: _WHOLE, int | None: _WHOLE, float: _REAL, bool: _BOOL}
    hints = typing.get_type_hints(kind)
    return [
        (
            f"{prefix}.{field.name}",
            types.get(hints[field.name], _TEXT),
            f"the {prefix}'s {field.name}; null where this network does not read it",
        )
        for field in dataclasses.fields(kind)
    ]


def _scores(split: str) -> list[Column]:
    """What a finished run scores on fixed examples of a split."""
    return [
        (f"{split}_loss", _REAL, f"final loss on the {split} split, nats per target"),
        (f"{split}_accuracy", _REAL, "share of targets that were the likeliest answer"),
        (f"{split}_exact_match", _REAL, "share of examples of which every target was"),
    ]


_HEAD: list[Column] = [
    ("run_id", _TEXT, "the run"),
    ("layer", _WHOLE, "from 0, nearest to the input"),
    ("head", _WHOLE, "from 0"),
]
_MADE_BY: list[Column] = [
    ("hardware", _TEXT, "the machine's processor and cores"),
    ("python_version", _TEXT, ""),
    ("torch_version", _TEXT, ""),
    ("numpy_version", _TEXT, ""),
    ("environment", _TEXT, "hash of all packages' versions, which environments/ has in full"),
    ("code", _TEXT, "hash of the networks' and the training's code, comments left out"),
    ("git_revision", _TEXT, "the code's commit; +changes if the tree differed from it"),
    ("started", _TEXT, "when the run began, ISO 8601, UTC"),
]

COLUMNS: dict[str, list[Column]] = {
    "runs": [
        ("run_id", _TEXT, "hash of everything that decides the run's numbers"),
        ("ablation", _TEXT, "the first ablation that asks for the run; membership has all"),
        ("variant", _TEXT, "what that ablation calls it"),
        ("seed", _WHOLE, "decides the initial weights, the batches and their order"),
        ("status", _TEXT, "done, diverged, failed, damaged, in flight or unfinished"),
        ("reason", _TEXT, "why it diverged or failed"),
        ("corpus_hash", _TEXT, "SHA-256 of the vocabulary and all tokens"),
        *_config_columns("model", ModelConfig),
        *_config_columns("recipe", Recipe),
        ("parameters", _WHOLE, "trainable parameters, a tied matrix counted once"),
        ("steps", _WHOLE, "optimiser steps taken"),
        ("tokens", _WHOLE, "tokens trained on"),
        ("flops", _REAL, "floating-point operations of its training, counted from the formulas"),
        ("train_seconds", _REAL, "seconds of training, evaluation left out"),
        ("probe_seconds", _REAL, "seconds that its probes took"),
        ("wall_seconds", _REAL, "seconds from the worker's start to its end"),
        ("tokens_per_second", _REAL, "tokens / train_seconds, other runs at work beside it"),
        *_scores("train"),
        *_scores("val"),
        *_scores("test"),
        ("perplexity", _REAL, "exp(val_loss); of language modelling alone"),
        (
            "bits_per_character",
            _REAL,
            "val_loss / ln 2, per character; of language modelling alone",
        ),
        ("bits_per_byte", _REAL, "the same per byte of UTF-8: compares across tokenizers"),
        ("device", _TEXT, "cpu, cuda or mps"),
        ("device_name", _TEXT, "the processor's or graphics card's name"),
        ("threads", _WHOLE, "processor threads the run used"),
        ("peak_memory", _WHOLE, "most bytes it held, of the card's memory or the machine's"),
        *_MADE_BY,
    ],
    "calls": [
        ("started", _TEXT, "when a call that trained something began, ISO 8601, UTC"),
        ("seconds", _REAL, "from there until its last page was begun"),
        ("workers", _WHOLE, "runs at the same time"),
        ("trained", _WHOLE, "runs that it trained"),
        ("wall_seconds", _REAL, "of these runs together"),
    ],
    "curves": [
        ("run_id", _TEXT, "the run"),
        ("step", _WHOLE, "optimiser steps taken"),
        ("tokens", _WHOLE, "tokens trained on"),
        ("seconds", _REAL, "seconds of training so far, evaluation left out"),
        ("split", _TEXT, "train: mean over the steps since the last point; val: fixed windows"),
        ("loss", _REAL, "nats per token; null where it was not finite"),
        ("learning_rate", _REAL, "at the last step; null for val"),
        ("gradient_norm", _REAL, "before clipping, mean as for the loss; null for val"),
    ],
    "membership": [
        ("ablation", _TEXT, "the ablation's name"),
        ("variant", _TEXT, "the variant's name in it"),
        ("seed", _WHOLE, "the run's seed"),
        ("run_id", _TEXT, "the run, made or not; null while its learning rate is not chosen"),
    ],
    "tuning": [
        ("ablation", _TEXT, "the ablation that asks for the choice"),
        ("variant", _TEXT, "the variant whose learning rates are tried"),
        ("rate", _REAL, "multiple of the base's learning rate"),
        ("learning_rate", _REAL, "the learning rate itself"),
        ("seed", _WHOLE, "the first tries all rates, the second the best two; in no comparison"),
        ("run_id", _TEXT, "the run that tried it"),
        ("chosen", _BOOL, "whether this rate's mean validation loss was the lower of those two"),
    ],
    "positions": [
        ("run_id", _TEXT, "the run"),
        ("position", _WHOLE, "place in the context, from 0"),
        ("loss", _REAL, "mean validation loss of the token after it, nats per token"),
    ],
    "lengths": [
        ("run_id", _TEXT, "the run"),
        ("multiple", _WHOLE, "length as a multiple of the training length"),
        ("length", _WHOLE, "tokens read at once"),
        ("loss", _REAL, "mean validation loss at that length; null where it cannot be read"),
        ("loss_beyond", _REAL, "of the tokens beyond the training length alone"),
    ],
    "layers": [
        ("run_id", _TEXT, "the run"),
        ("step", _WHOLE, "optimiser steps taken"),
        ("layer", _WHOLE, "from 0, nearest to the input"),
        ("part", _TEXT, "attention or feed_forward"),
        ("output_rms", _REAL, "root mean square of what the sublayer writes, on a fixed batch"),
        ("gradient_norm", _REAL, "norm of the loss's gradient by the sublayer's last matrix"),
    ],
    "heads": [
        *_HEAD,
        (
            "score",
            _TEXT,
            "entropy (nats), distance (tokens), logit_variance; else attention weights",
        ),
        ("value", _REAL, "mean over queries of held-out text"),
        ("untrained", _REAL, "the same of the network before training"),
        ("shuffled", _REAL, "the same on shuffled text; for induction, where nothing repeats"),
    ],
    "pruning": [
        *_HEAD,
        ("rise_alone", _REAL, "rise of the validation loss with this head switched off"),
        ("order", _WHOLE, "place in the order of that rise, from 1"),
        ("rise_together", _REAL, "rise with this head and all before it in the order off"),
    ],
    "atlas": [
        *_HEAD,
        ("query", _WHOLE, "place in the passage, from 0, that attends"),
        ("token", _TEXT, "what stands there"),
        ("weights", _REALS, "its attention to each place up to itself"),
    ],
    "costs": [
        ("what", _TEXT, "what was measured, by itself on the machine, after all training"),
        ("direction", _TEXT, "forward, or both: forward and backward; null where there is one"),
        ("length", _WHOLE, "tokens in the context; null where it has none"),
        ("repeat", _WHOLE, "from 0"),
        ("seconds", _REAL, "what it took"),
        ("peak_bytes", _WHOLE, "most that its tensors took at a time; of a generation, its cache"),
        ("flops", _REAL, "floating-point operations"),
        ("device_name", _TEXT, "the processor or graphics card that was measured"),
    ],
    "theory": [
        ("topic", _TEXT, "what is derived"),
        ("setting", _TEXT, "for which width, depth or length"),
        ("quantity", _TEXT, "what is predicted"),
        ("predicted", _REAL, "by the derivation; null where it says nothing"),
        ("measured", _REAL, "on random numbers or on a network, or counted"),
    ],
    "encodings": [
        ("encoding", _TEXT, "sinusoidal, rope or alibi, untrained, in a network of width 64"),
        ("part", _WHOLE, "sinusoidal: the dimension; alibi: the head; rope has one"),
        ("place", _WHOLE, "sinusoidal: the position; else how far back the key stands"),
        (
            "value",
            _REAL,
            "sinusoidal: what is added to an embedding; alibi: to a score; rope: the score of"
            " a query and a key that are alike, over that at distance 0",
        ),
    ],
    "samples": [
        ("run_id", _TEXT, "the run"),
        ("kind", _TEXT, "how it was drawn"),
        ("text", _TEXT, "what the network wrote after a line break"),
    ],
    "measures": [
        ("run_id", _TEXT, "the run"),
        ("measure", _TEXT, "a single number that a probe found; claims can be about it"),
        ("value", _REAL, "its value"),
    ],
    "identities": [
        ("check", _TEXT, "what is checked, without any training"),
        ("holds", _BOOL, "whether it holds"),
        ("why", _TEXT, "the numbers that say so"),
    ],
    "bench": [
        ("what", _TEXT, "what was timed"),
        ("precision", _TEXT, "fp32, or bf16 autocast"),
        ("compiled", _BOOL, "whether by torch.compile"),
        ("varied", _TEXT, "which of the next four is not as usual; empty where none"),
        ("width", _WHOLE, "d_model of the network"),
        ("context", _WHOLE, "tokens of a window"),
        ("batch", _WHOLE, "windows of a step"),
        ("workers", _WHOLE, "runs at the same time"),
        ("repeat", _WHOLE, "which time it was"),
        ("seconds", _REAL, "how long it took"),
        ("tokens_per_second", _REAL, "of all workers together"),
        ("flops_per_second", _REAL, "arithmetic, of all workers together"),
        ("loss", _REAL, "validation loss at the end, nats per token"),
    ],
    "calibration": [
        ("recipe", _TEXT, "whose recipe, and for what machine"),
        ("published", _REAL, "the validation loss published of it, nats per character"),
        ("margin", _REAL, "how far from it our mean may be and still agree"),
        ("seed", _WHOLE, "of our run; null where the recipe was not run"),
        ("run_id", _TEXT, "our run"),
        ("status", _TEXT, "as in runs; or not run"),
        ("reason", _TEXT, "why it diverged, failed or was not run"),
        ("lowest_loss", _REAL, "lowest of its evaluations, each on the whole validation split"),
        ("val_loss", _REAL, "the last of them"),
        ("parameters", _WHOLE, "trainable parameters, a tied matrix counted once"),
        ("steps", _WHOLE, "optimiser steps taken"),
        ("tokens", _WHOLE, "tokens trained on"),
        ("train_seconds", _REAL, "seconds of training, evaluation left out"),
        ("device_name", _TEXT, "the processor's or graphics card's name"),
        *_MADE_BY,
    ],
    "claims": [
        ("claim", _TEXT, "the claim's id"),
        ("ablation", _TEXT, "the ablation that states it"),
        ("sentence", _TEXT, "what is claimed"),
        ("said_by", _TEXT, "who says so"),
        ("published", _TEXT, "numbers from elsewhere"),
        ("rule", _TEXT, "how the verdict is reached, written before the run"),
        ("scale", _TEXT, "difference, ratio (effect and interval are ratios), or exact (no runs)"),
        ("unit", _TEXT, "the effect's unit"),
        ("margin", _REAL, "the smallest effect that counts"),
        ("effect", _REAL, "mean over paired seeds; positive (ratio: above 1) is what is claimed"),
        ("low", _REAL, "lower end of the 95 % interval"),
        ("high", _REAL, "upper end of the 95 % interval"),
        ("n", _WHOLE, "paired seeds that the effect rests on"),
        ("planned", _WHOLE, "seeds that were planned"),
        ("diverged", _WHOLE, "runs among them that diverged; why says what became of them"),
        ("p", _REAL, "two-sided paired t-test; two one-sided ones for 'equal', one for 'no worse'"),
        ("p_holm", _REAL, "p, corrected over all claims (Holm)"),
        ("p_sign_flip", _REAL, "exact sign-flip test; cannot go below 2/2^n; null for 'equal'"),
        ("verdict", _TEXT, "supported, contradicted, undecided or not tested"),
        ("why", _TEXT, "the numbers that decided it, in a sentence"),
        ("seeds_needed", _WHOLE, "where undecided: seeds for 80 % power, if that can be said"),
    ],
}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table, its version in the metadata."""
    fields = [pa.field(name, kind) for name, kind, _ in COLUMNS[table]]
    return pa.schema(fields, metadata={"table": table, "version": str(VERSION)})


def describe(table: str) -> list[dict[str, Any]]:
    """The data dictionary of a table: a row per column."""
    return [
        {"column": name, "type": str(kind), "meaning": meaning}
        for name, kind, meaning in COLUMNS[table]
    ]
