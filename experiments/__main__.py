"""`python -m experiments COMMAND`."""

import signal

from experiments.cli.main import main


def _stop_once(*_: object) -> None:
    """Ctrl-C stops the command. Further ones are ignored, so that all workers are ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A shell starts background commands with SIGINT ignored: leave that as it is.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_once)
    main()
