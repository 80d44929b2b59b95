"""The command line, `python -m experiments COMMAND`. Each command has a file of its own, which is
imported when the command is called.
"""

import importlib
import importlib.metadata
import io
import os
import sys
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter

from experiments.catalogue import add_folder
from experiments.cli.options import VARIABLES, AblationFolder
from experiments.errors import UserError, disk_error_message, print_error


def _version() -> str:
    """The version of the installed package."""
    try:
        return importlib.metadata.version("transformer-ablations")
    except importlib.metadata.PackageNotFoundError:  # used with an interpreter of one's own
        raise UserError("the package is not installed: `pip install .` installs it") from None


_COMMANDS = {
    "Train": {
        "run": "run:run",
        "work": "run:work",
        "submit": "run:submit",
        "deeper": "run:deeper",
        "decide": "decide:decide",
        "trends": "decide:trends",
        "retry": "run:retry",
        "restore": "run:restore",
        "verify": "verify:verify",
        "clean": "run:clean",
    },
    "Look": {
        "list": "listing:list_ablations",
        "status": "listing:status",
        "claims": "judge:claims",
        "columns": "listing:columns",
        "network": "network:network",
    },
    "Write": {
        "report": "report:report",
        "notebook": "report:notebook",
        "compare": "report:compare",
        "paper": "report:paper",
        "export": "report:export",
        "new-ablation": "new_ablation:new_ablation",
    },
    "Judge other runs": {"judge": "judge:judge"},
    "One run": {
        "train": "single_run:train",
        "sample": "single_run:sample",
        "evaluate": "single_run:evaluate",
    },
    "Measure": {
        "calibrate": "bench:calibrate",
        "bench": "bench:bench",
        "gpu-check": "bench:gpu_check",
    },
}


def command_line(*, now: bool = False) -> App:
    """The command line. Its `meta` takes the folder of the user's ablations first.

    now: whether all commands are imported, so that the list of commands has their descriptions.
        Otherwise a command is imported when it is called, which is faster.
    """
    app = App(
        name="transformer-ablations",
        help="Train the ablation study and write its report.",
        help_format="plaintext",
        version=_version,
        version_flags=["--version"],
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for place, (heading, commands) in enumerate(_COMMANDS.items()):
        group = Group(heading, sort_key=place)
        for name, path in commands.items():
            module, _, function = path.partition(":")
            found: Any = f"experiments.cli.{path}"
            if now:
                found = getattr(importlib.import_module(f"experiments.cli.{module}"), function)
            app.command(found, name=name, group=group)
    app.register_install_completion_command()
    app.meta.suppress_keyboard_interrupt = False  # `main` says how to go on

    @app.meta.default
    def carry_out(
        *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        ablations: AblationFolder = None,
    ) -> int | None:
        if ablations is not None:
            add_folder(ablations)
        return app(words, exit_on_error=False, print_error=False)

    return app


def main() -> None:
    """Run the command line. Whatever the user can mend is one line and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # each line at once, in a pipe too
        sys.stdout.reconfigure(line_buffering=True)
    for name in VARIABLES:
        if os.environ.get(name) == "":  # make exports every variable; an empty one is not set
            del os.environ[name]
    words = sys.argv[1:]
    app = command_line(now=not words or words[0] in ("-h", "--help"))
    try:
        sys.exit(app.meta(words, exit_on_error=False, print_error=False) or 0)
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
    print_error(message)
    sys.exit(2)
