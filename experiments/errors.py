"""The one error that is the user's to mend."""


class UserError(Exception):
    """Bad input or a machine that cannot serve it: shown as one line, exit status 2.

    The message says what was wrong and what is allowed.
    """
