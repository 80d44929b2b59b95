"""The error that the user can correct."""

import errno


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
