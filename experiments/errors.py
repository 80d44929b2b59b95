"""The error that the user can correct, the exit status of a command, and texts to be shown."""

import errno
import sys
import unicodedata
from collections.abc import Callable


class UserError(Exception):
    """Bad input, or a machine that cannot do what was asked: shown as one line, exit status 2.

    The message says what is wrong and what is allowed.
    """


_OF_A_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ELOOP,
)


def disk_error_message(error: OSError) -> str:
    """The message for a disk that is full, fails, or must not be written to, or for a link.

    Raises:
        OSError: `error` itself, if it is about something else.
    """
    if error.errno not in _OF_A_DISK:
        raise error
    if error.errno == errno.ELOOP:
        return f"{error.filename} is a link: whatever is written there would be elsewhere"
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
    print_error(message)
    return 2


def print_error(message: str) -> None:
    """Print an error as one line."""
    print("error: " + " ".join(printable(message).split()), file=sys.stderr)


def printable(text: str) -> str:
    """The text with its control characters and its marks of direction written out, as in "\\x1b".

    A terminal obeys such characters, marks of direction hide what stands after them, and XML must
    not hold some of them. Line breaks and tabs are kept.
    """
    hidden = {character for character in text if unicodedata.category(character) in _HIDDEN}
    hidden -= {"\n", "\t"}
    return text.translate({ord(character): _written_out(character) for character in hidden})


_HIDDEN = ("Cc", "Cf", "Cs")  # Unicode's control, format and surrogate characters


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
