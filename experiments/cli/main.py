"""The command line, `python -m experiments COMMAND`. Each command has a file of its own, which is
imported when the command is called.
"""

import io
import os
import sys

from cyclopts import App, CycloptsError

from experiments.cli.options import VARIABLES
from experiments.errors import UserError, disk_error_message

app = App(
    name="experiments",
    help="Train the ablation study and write its report.",
    help_format="plaintext",
    version_flags=[],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _name, _function in {
    "run": "run:run",
    "deeper": "run:deeper",
    "decide": "decide:decide",
    "trends": "decide:trends",
    "retry": "run:retry",
    "restore": "run:restore",
    "list": "listing:list_ablations",
    "status": "listing:status",
    "train": "single_run:train",
    "sample": "single_run:sample",
    "evaluate": "single_run:evaluate",
    "report": "report:report",
    "notebook": "report:notebook",
    "compare": "report:compare",
    "paper": "report:paper",
    "verify": "verify:verify",
    "judge": "judge:judge",
    "claims": "judge:claims",
    "calibrate": "bench:calibrate",
    "bench": "bench:bench",
    "gpu-check": "bench:gpu_check",
    "network": "network:network",
    "new-ablation": "new_ablation:new_ablation",
    "columns": "listing:columns",
    "clean": "run:clean",
}.items():
    app.command(f"experiments.cli.{_function}", name=_name)


def main() -> None:
    """Run the command line. Whatever the user can mend is one line and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # each line at once, in a pipe too
        sys.stdout.reconfigure(line_buffering=True)
    for name in VARIABLES:
        if os.environ.get(name) == "":  # make exports every variable; an empty one is not set
            del os.environ[name]
    try:
        sys.exit(app(sys.argv[1:], exit_on_error=False, print_error=False) or 0)
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
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
