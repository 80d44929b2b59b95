"""`python -m experiments COMMAND`, and the command `transformer-ablations`."""

import signal

from experiments.cli.main import main


def _stop_once(*_: object) -> None:
    """Ctrl-C stops the command. Further ones are ignored, so that all workers are ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def program() -> None:
    """Run the command line, and stop at the first Ctrl-C."""
    # A shell starts background commands with SIGINT ignored: leave that as it is.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_once)
    main()


if __name__ == "__main__":
    program()
