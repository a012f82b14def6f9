"""Errors that a user can act on."""


class InputError(Exception):
    """Wrong input: one line that says what, where, which rule, and the nearest valid value. Exit code 2."""


class JobError(Exception):
    """A job that failed: one line that says which, why, and where its log is. Exit code 1."""
