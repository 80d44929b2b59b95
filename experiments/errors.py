"""The error that the user can correct, and the exit status of a command that meets it."""

import errno
import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input, or a machine that cannot do what was asked: shown as one line, exit status 2.

    The message says what is wrong and what is allowed.
    """


def disk_error_message(error: OSError) -> str:
    """The message for a disk that is full or must not be written to.

    Raises:
        OSError: `error` itself, if it is about something else.
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        raise error
    return f"{error.strerror}: {error.filename or 'while writing results'}"


def exit_status(command: Callable[[], int | None]) -> int:
    """Carry out a command, and return its exit status: what it returns, or 0 for None. After an
    error that the user can correct, print the error as one line and return 2.
    """
    try:
        return command() or 0
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = disk_error_message(error)
    print(f"error: {message}", file=sys.stderr)
    return 2
