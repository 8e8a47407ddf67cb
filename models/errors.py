"""The one error that a user may cause."""


class InputError(ValueError):
    """Bad input: the message names the file, parameter or value and says what would be right.

    The command line prints it as one line and exits with code 2; a node counts and reports it.
    """
