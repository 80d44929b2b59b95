"""The data dictionary: every table's columns, with type and meaning.

A null means "does not apply" or "was not measured", and never zero.
"""

import dataclasses
import typing
from typing import Any

import pyarrow as pa

from experiments.spec import SPLITS, Recipe, Task
from model import ModelConfig

VERSION = 7

Column = tuple[str, pa.DataType, str]

# Tasks whose targets are tokens of the corpus. Only their losses have a value per character.
TEXT_TASKS: tuple[Task, ...] = ("language", "masked", "continuation")


def per_character(name: str) -> str:
    """The name of the column or measure with the same loss in nats per character."""
    return f"{name}_per_character"


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
            f"`{field.name}` of the run's {kind.__name__}; null where the network does not read it",
        )
        for field in dataclasses.fields(kind)
    ]


def _loss(name: str, meaning: str) -> list[Column]:
    """A loss in both units. `meaning` is completed with the unit."""
    return [
        (name, _REAL, f"{meaning}, in nats per target"),
        (
            per_character(name),
            _REAL,
            f"{meaning}, in nats per character of text; null where targets are not tokens of text",
        ),
    ]


def _scores(split: str) -> list[Column]:
    """Scores of a finished run on fixed examples of a split."""
    return [
        *_loss(f"{split}_loss", f"Loss on the {split} split at the end of the run"),
        (
            f"{split}_accuracy",
            _REAL,
            f"Share, from 0 to 1, of the {split} split's targets that were the likeliest answer",
        ),
        (
            f"{split}_exact_match",
            _REAL,
            f"Share, from 0 to 1, of the {split} split's examples whose targets were all the"
            " likeliest answer",
        ),
    ]


_RUN_ID: Column = ("run_id", _TEXT, "Id of the run, as in the table `runs`")
_HEAD: list[Column] = [
    _RUN_ID,
    ("layer", _WHOLE, "Index of the layer, from 0 at the input"),
    ("head", _WHOLE, "Index of the attention head in its layer, from 0"),
]
_MADE_BY: list[Column] = [
    ("hardware", _TEXT, "Processor of the machine and number of usable cores"),
    ("python_version", _TEXT, "Version of Python"),
    ("torch_version", _TEXT, "Version of PyTorch"),
    ("numpy_version", _TEXT, "Version of NumPy"),
    (
        "environment",
        _TEXT,
        "Hash of the versions of all installed packages, which environments/<hash>.json lists",
    ),
    ("code", _TEXT, "Hash of the code of networks and training, without comments"),
    (
        "git_revision",
        _TEXT,
        "Git commit of the code; +changes where tracked files differed from it",
    ),
    ("started", _TEXT, "Time at which the run began, ISO 8601, UTC"),
]

COLUMNS: dict[str, list[Column]] = {
    "runs": [
        ("run_id", _TEXT, "Hash of everything that decides the run's numbers"),
        (
            "ablation",
            _TEXT,
            "First ablation that asks for the run; the table `membership` names all of them",
        ),
        ("variant", _TEXT, "Name of the variant in that ablation"),
        ("seed", _WHOLE, "Seed of the initial weights and of the batches and their order"),
        ("tuning", _BOOL, "Whether the run only tries a learning rate and is in no comparison"),
        ("status", _TEXT, "done, diverged, failed, damaged, in flight or unfinished"),
        ("reason", _TEXT, "Why the run diverged, failed or is damaged"),
        ("corpus_hash", _TEXT, "SHA-256 of the corpus: vocabulary and all tokens"),
        *_config_columns("model", ModelConfig),
        *_config_columns("recipe", Recipe),
        ("parameters", _WHOLE, "Number of trainable parameters, a tied matrix counted once"),
        ("steps", _WHOLE, "Number of optimiser steps taken"),
        ("tokens", _WHOLE, "Number of tokens trained on"),
        ("flops", _REAL, "Floating-point operations of the training, counted from formulas"),
        ("train_seconds", _REAL, "Seconds of training, without evaluation"),
        ("probe_seconds", _REAL, "Seconds that the probes took"),
        ("wall_seconds", _REAL, "Seconds from the start of the worker to its end"),
        (
            "tokens_per_second",
            _REAL,
            "Tokens trained on per second of training, while other runs train on the machine too",
        ),
        *[column for split in SPLITS for column in _scores(split)],
        ("perplexity", _REAL, "exp(val_loss); null unless the task is language modelling"),
        (
            "bits_per_character",
            _REAL,
            "val_loss_per_character / ln 2; null unless the task is language modelling",
        ),
        (
            "bits_per_byte",
            _REAL,
            "Validation loss in bits per byte of the text in UTF-8, which compares across"
            " tokenizers; null unless the task is language modelling",
        ),
        ("device", _TEXT, "Kind of device that trained: cpu, cuda or mps"),
        ("device_name", _TEXT, "Name of the processor or graphics card that trained"),
        ("threads", _WHOLE, "Number of processor threads of the run"),
        (
            "peak_memory",
            _WHOLE,
            "Highest number of bytes held at a time: on the graphics card, or else in main memory",
        ),
        *_MADE_BY,
    ],
    "calls": [
        ("started", _TEXT, "Time at which a command that trained runs began, ISO 8601, UTC"),
        ("seconds", _REAL, "Seconds from the command's start to the start of its last page"),
        ("workers", _WHOLE, "Number of runs that trained at the same time"),
        ("trained", _WHOLE, "Number of runs that the command trained"),
        ("wall_seconds", _REAL, "Sum of the seconds that each of those runs took"),
    ],
    "curves": [
        _RUN_ID,
        ("step", _WHOLE, "Number of optimiser steps taken before this point"),
        ("tokens", _WHOLE, "Number of tokens trained on before this point"),
        ("seconds", _REAL, "Seconds of training before this point, without evaluation"),
        (
            "split",
            _TEXT,
            "train (mean over the steps since the last point) or val (mean over fixed windows)",
        ),
        *_loss("loss", "Loss on the split; null where the loss was not finite"),
        ("learning_rate", _REAL, "Learning rate of the last step; null for val"),
        (
            "gradient_norm",
            _REAL,
            "Norm of the gradient before clipping, mean over the same steps; null for val",
        ),
    ],
    "membership": [
        ("ablation", _TEXT, "Name of the ablation"),
        ("variant", _TEXT, "Name of the variant in the ablation"),
        ("seed", _WHOLE, "Seed of the run"),
        (
            "run_id",
            _TEXT,
            "Id of the planned run, whether it was made or not; null while the run's learning rate"
            " is not chosen yet",
        ),
    ],
    "tuning": [
        ("ablation", _TEXT, "Ablation that asks for the choice of a learning rate"),
        ("variant", _TEXT, "Variant whose learning rates are tried"),
        ("rate", _REAL, "Learning rate as a multiple of the base's"),
        ("learning_rate", _REAL, "Learning rate that was tried"),
        (
            "seed",
            _WHOLE,
            "Seed of the run, which no comparison uses: the first such seed tries all learning"
            " rates, the second the best two",
        ),
        ("run_id", _TEXT, "Id of the run that tried the learning rate"),
        (
            "chosen",
            _BOOL,
            "Whether this learning rate was chosen: the lower mean validation loss of the best two",
        ),
    ],
    "positions": [
        _RUN_ID,
        ("position", _WHOLE, "Position of a token in the context, from 0"),
        *_loss("loss", "Mean validation loss of the next token's prediction at the position"),
    ],
    "lengths": [
        _RUN_ID,
        ("multiple", _WHOLE, "Length of the text as a multiple of the training length"),
        ("length", _WHOLE, "Number of tokens that are read at once"),
        *_loss(
            "loss",
            "Mean validation loss at the length; null where the network cannot read so much text",
        ),
        *_loss("loss_beyond", "Mean validation loss of the tokens beyond the training length only"),
    ],
    "layers": [
        _RUN_ID,
        ("step", _WHOLE, "Number of optimiser steps taken before the measurement"),
        ("layer", _WHOLE, "Index of the layer, from 0 at the input"),
        ("part", _TEXT, "Sublayer: attention or feed_forward"),
        ("output_rms", _REAL, "Root mean square of the sublayer's output on a fixed batch"),
        ("gradient_norm", _REAL, "Norm of the loss's gradient by the sublayer's last matrix"),
    ],
    "heads": [
        *_HEAD,
        (
            "score",
            _TEXT,
            "Quantity: entropy (nats), distance (tokens), logit_variance, or the name of a role"
            " (share of attention, from 0 to 1)",
        ),
        ("value", _REAL, "Mean of the quantity over the queries of held-out text"),
        ("untrained", _REAL, "Mean of the quantity for the same network before training"),
        (
            "shuffled",
            _REAL,
            "Mean of the quantity on shuffled text; for induction, on text without repetitions",
        ),
    ],
    "pruning": [
        *_HEAD,
        *_loss("rise_alone", "Rise of the validation loss with only this head switched off"),
        ("order", _WHOLE, "Rank of the head by rise_alone, from 1 for the smallest rise"),
        *_loss(
            "rise_together",
            "Rise of the validation loss with this head and all heads of lower rank switched off",
        ),
    ],
    "atlas": [
        *_HEAD,
        ("query", _WHOLE, "Position of the attending token in the passage, from 0"),
        ("token", _TEXT, "Text of the attending token"),
        ("weights", _REALS, "Attention weights for the positions from 0 to the query's own"),
    ],
    "costs": [
        ("what", _TEXT, "Operation that was measured, with nothing else running"),
        (
            "direction",
            _TEXT,
            "forward, or both for forward and backward; null where there is no backward pass",
        ),
        ("length", _WHOLE, "Number of tokens in the context; null where there is no context"),
        ("repeat", _WHOLE, "Index of the repetition, from 0"),
        ("seconds", _REAL, "Seconds that the operation took"),
        (
            "peak_bytes",
            _WHOLE,
            "Highest number of bytes held in tensors at a time; for generation, size of the cache",
        ),
        ("flops", _REAL, "Floating-point operations of the operation"),
        ("device_name", _TEXT, "Name of the processor or graphics card that was measured"),
    ],
    "theory": [
        ("topic", _TEXT, "Name of the derivation"),
        ("setting", _TEXT, "Width, depth or length of the case"),
        ("quantity", _TEXT, "Name of the predicted quantity"),
        ("predicted", _REAL, "Value by the derivation; null where the derivation gives none"),
        ("measured", _REAL, "Value that was counted, or measured on random numbers or a network"),
    ],
    "encodings": [
        ("encoding", _TEXT, "Encoding of an untrained network: sinusoidal, rope or alibi"),
        ("part", _WHOLE, "Index of the dimension (sinusoidal) or head (alibi); 0 for rope"),
        (
            "place",
            _WHOLE,
            "Position (sinusoidal), or distance from the query back to the key (rope, alibi)",
        ),
        (
            "value",
            _REAL,
            "Sinusoidal: number added to an embedding. Alibi: number added to an attention logit."
            " Rope: logit of equal query and key, as a share of the logit at distance 0",
        ),
    ],
    "samples": [
        _RUN_ID,
        ("kind", _TEXT, "Way of sampling: greedy, or a temperature"),
        ("text", _TEXT, "Text that the network generated after a line break"),
    ],
    "measures": [
        _RUN_ID,
        ("measure", _TEXT, "Name of a single number from a probe; claims can be about it"),
        ("value", _REAL, "Value of the measure, in the unit of experiments/metrics.py"),
    ],
    "identities": [
        ("check", _TEXT, "Name of an identity that is checked without training"),
        ("holds", _BOOL, "Whether the identity holds"),
        ("why", _TEXT, "Numbers that show whether the identity holds"),
    ],
    "bench": [
        ("what", _TEXT, "Program or operation that was timed"),
        ("precision", _TEXT, "fp32, or bf16 for bfloat16 autocast"),
        ("compiled", _BOOL, "Whether torch.compile was used"),
        (
            "varied",
            _TEXT,
            "Which of width, context, batch and workers differs from the usual; empty where none",
        ),
        ("width", _WHOLE, "d_model of the network"),
        ("context", _WHOLE, "Number of tokens in a window"),
        ("batch", _WHOLE, "Number of windows in a step"),
        ("workers", _WHOLE, "Number of runs at the same time"),
        ("repeat", _WHOLE, "Index of the repetition, from 0"),
        ("seconds", _REAL, "Seconds that the program or operation took"),
        ("tokens_per_second", _REAL, "Tokens per second of all workers together"),
        ("flops_per_second", _REAL, "Floating-point operations per second of all workers together"),
        ("loss", _REAL, "Validation loss at the end, in nats per target"),
    ],
    "calibration": [
        ("recipe", _TEXT, "Name of the published recipe, and of the machine that it is made for"),
        ("published", _REAL, "Published validation loss, in nats per character"),
        ("margin", _REAL, "Largest difference from it, in nats per character, that still agrees"),
        ("seed", _WHOLE, "Seed of the run; null where the recipe was not run"),
        ("run_id", _TEXT, "Id of the run"),
        ("status", _TEXT, "Status of the run, as in the table `runs`; or not run"),
        ("reason", _TEXT, "Why the run diverged, failed or was not made"),
        (
            "lowest_loss",
            _REAL,
            "Lowest loss over all evaluations of the run, each on the whole validation split, in"
            " nats per target, which is a character",
        ),
        (
            "val_loss",
            _REAL,
            "Loss of the last evaluation of the run, in nats per target, which is a character",
        ),
        ("parameters", _WHOLE, "Number of trainable parameters, a tied matrix counted once"),
        ("steps", _WHOLE, "Number of optimiser steps taken"),
        ("tokens", _WHOLE, "Number of tokens trained on"),
        ("train_seconds", _REAL, "Seconds of training, without evaluation"),
        ("device_name", _TEXT, "Name of the processor or graphics card that trained"),
        *_MADE_BY,
    ],
    "claims": [
        ("claim", _TEXT, "Id of the claim"),
        ("ablation", _TEXT, "Ablation that states the claim"),
        ("sentence", _TEXT, "What is claimed"),
        ("said_by", _TEXT, "Who makes the claim"),
        ("published", _TEXT, "Numbers published elsewhere"),
        ("rule", _TEXT, "Rule that gives the verdict, written before the runs"),
        (
            "scale",
            _TEXT,
            "difference, ratio (effect and interval are ratios) or exact (checked without runs)",
        ),
        ("unit", _TEXT, "Unit of effect, low and high"),
        ("margin", _REAL, "Smallest effect that counts"),
        (
            "effect",
            _REAL,
            "Mean effect over paired seeds; as claimed if positive (for a ratio: if above 1)",
        ),
        ("low", _REAL, "Lower end of the effect's 95 % interval"),
        ("high", _REAL, "Upper end of the effect's 95 % interval"),
        ("n", _WHOLE, "Number of paired seeds that the effect rests on"),
        ("planned", _WHOLE, "Number of paired seeds that were planned"),
        ("diverged", _WHOLE, "Number of diverged runs; `why` says how they were counted"),
        (
            "p",
            _REAL,
            "p of a two-sided paired t-test; of two one-sided t-tests for a claim of no difference;"
            " of one for a claim of no worse",
        ),
        ("p_holm", _REAL, "p with Holm's correction over all claims"),
        (
            "p_sign_flip",
            _REAL,
            "p of an exact sign-flip test, at least 2/2^n; null for claims of no difference and of"
            " no worse",
        ),
        ("verdict", _TEXT, "supported, contradicted, undecided or not tested"),
        ("why", _TEXT, "Numbers that decided the verdict, in a sentence"),
        (
            "seeds_needed",
            _WHOLE,
            "Number of paired seeds that an undecided claim needs for 80 % power; null where that"
            " cannot be said",
        ),
    ],
}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table. The metadata holds the table's name and the schema version."""
    fields = [pa.field(name, kind) for name, kind, _ in COLUMNS[table]]
    return pa.schema(fields, metadata={"table": table, "version": str(VERSION)})


def describe(table: str) -> list[dict[str, Any]]:
    """The data dictionary of a table: one row per column."""
    return [
        {"column": name, "type": str(kind), "meaning": meaning}
        for name, kind, meaning in COLUMNS[table]
    ]
