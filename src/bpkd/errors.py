"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """Something the user gave is wrong.

    The message is one line: what was wrong, where, what was expected, what to do. The command
    line prints it without a traceback and exits with code 2.
    """
