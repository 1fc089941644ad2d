"""The errors that a command reports as a message instead of a traceback."""

from __future__ import annotations


class AnalyticsError(Exception):
    """Something that the user can fix. The message says what happened, where, and what to do."""

    exit_code = 1


class UsageError(AnalyticsError):
    """The command line or the environment asks for something impossible."""

    exit_code = 2
