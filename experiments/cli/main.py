"""The command line, `python -m experiments COMMAND`. Each command has a file of its own, which is
imported when the command is called.
"""

import importlib.metadata
import io
import os
import sys
from typing import Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from experiments.catalogue import add_folder
from experiments.cli.options import VARIABLES, AblationFolder
from experiments.errors import UserError, disk_error_message, printable

app = App(
    name="transformer-ablations",
    help="Train the ablation study and write its report.",
    help_format="plaintext",
    version=lambda: importlib.metadata.version("transformer-ablations"),
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_COMMANDS = {
    "Train": {
        "run": (
            "run:run",
            "Train the unfinished runs of all ablations or of those named, and write the page.",
        ),
        "deeper": ("run:deeper", "Finish the study, and train it at the next budget."),
        "decide": (
            "decide:decide",
            "Add seeds, as planned, to the undecided claims that they would decide.",
        ),
        "trends": (
            "decide:trends",
            "Train the claims whose effects change with the budget at a deeper one.",
        ),
        "retry": ("run:retry", "Train failed runs again."),
        "restore": (
            "run:restore",
            "Make the published runs from the published tables, to go on from them.",
        ),
        "verify": ("verify:verify", "Train finished runs again, and compare the results."),
        "clean": ("run:clean", "Delete the results of a profile."),
    },
    "Look": {
        "list": ("listing:list_ablations", "What a study consists of, and how long it takes."),
        "status": ("listing:status", "What is done, and how long the rest takes."),
        "claims": ("judge:claims", "The verdicts of a study."),
        "columns": ("listing:columns", "The tables of a study and their columns."),
        "network": ("network:network", "A network's layers, parameters and cost."),
    },
    "Write": {
        "report": ("report:report", "Write the page from what is finished."),
        "notebook": ("report:notebook", "Write the notebook of an ablation, executed."),
        "compare": (
            "report:compare",
            "Compare a study with studies of other corpora, seeds or machines.",
        ),
        "paper": ("report:paper", "Write the study as a short paper."),
        "export": ("report:export", "Write the tables as CSV, and the verdicts as JSON."),
        "new-ablation": ("new_ablation:new_ablation", "Write the file of a new ablation."),
    },
    "Judge other runs": {"judge": ("judge:judge", "Judge claims about anybody's runs.")},
    "One run": {
        "train": (
            "single_run:train",
            "Train the base network, with changes, and keep its weights.",
        ),
        "sample": ("single_run:sample", "Let a trained network write text."),
        "evaluate": ("single_run:evaluate", "Evaluate a trained network."),
    },
    "Measure": {
        "calibrate": ("bench:calibrate", "Train nanoGPT's recipes, beside its published losses."),
        "bench": (
            "bench:bench",
            "Measure the speed of training beside nanoGPT and the machine's peak.",
        ),
        "gpu-check": ("bench:gpu_check", "Check the graphics card."),
    },
}
for _place, (_heading, _commands) in enumerate(_COMMANDS.items()):
    _group = Group(_heading, sort_key=_place)
    for _name, (_function, _help) in _commands.items():
        app.command(f"experiments.cli.{_function}", name=_name, group=_group, help=_help)
app.register_install_completion_command()


@app.meta.default
def _with_folder(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    ablations: AblationFolder = None,
) -> int | None:
    """Carry out a command, with the ablations of a folder beside the built-in ones."""
    if ablations is not None:
        add_folder(ablations)
    return app(words, exit_on_error=False, print_error=False)


def main() -> None:
    """Run the command line. Whatever the user can mend is one line and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # each line at once, in a pipe too
        sys.stdout.reconfigure(line_buffering=True)
    for name in VARIABLES:
        if os.environ.get(name) == "":  # make exports every variable; an empty one is not set
            del os.environ[name]
    try:
        sys.exit(app.meta(sys.argv[1:], exit_on_error=False, print_error=False) or 0)
    except (CycloptsError, UserError) as error:
        _refuse(str(error))
    except BrokenPipeError:  # who reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _refuse(disk_error_message(error))
    except KeyboardInterrupt:
        print("stopped; the next call goes on from here", file=sys.stderr)
        sys.exit(130)


def _refuse(message: str) -> None:
    print("error: " + " ".join(printable(message).split()), file=sys.stderr)
    sys.exit(2)
