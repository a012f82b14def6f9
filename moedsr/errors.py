"""Errors that a user can act on."""

import signal


class InputError(Exception):
    """Wrong input: one line that says what, where, which rule, and the nearest valid value. Exit code 2."""


class CannotWriteError(InputError):
    """A disk that is full, or a folder that may not be written to: no fault of what was to be written there."""


class JobError(Exception):
    """A job that failed: one line that says which, why, and where its log is. Exit code 1."""


class InterruptedJobError(JobError):
    """A job that a signal ended in order: how to go on. Exit code 128 and the signal's number, as a shell counts.

    Args:
        message: one line.
        number: of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
