"""Errors that a user can act on."""


class InputError(Exception):
    """Wrong input: one line that says what, where, which rule, and the nearest valid value. Exit code 2."""


class CannotWriteError(InputError):
    """A disk that is full, or a folder that may not be written to: no fault of what was to be written there."""


class JobError(Exception):
    """A job that failed: one line that says which, why, and where its log is. Exit code 1."""
