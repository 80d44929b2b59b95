"""The one error that is the user's to mend."""

import errno


class UserError(Exception):
    """Bad input or a machine that cannot serve it: shown as one line, exit status 2.

    The message says what was wrong and what is allowed.
    """


def refusal(error: OSError) -> str:
    """What to say of a disk that is full, or not ours to write to.

    Raises:
        OSError: it is about something else.
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        raise error
    return f"{error.strerror}: {error.filename or 'while writing results'}"
