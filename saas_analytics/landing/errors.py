"""The errors of landing that are reported as a message instead of a traceback."""

from __future__ import annotations

from saas_analytics.errors import AnalyticsError


class LandingError(AnalyticsError):
    """Something that the user can fix. The message says what happened, where, and what to do."""


class FileRefused(LandingError):
    """A file that cannot land at all, for example because a required column is missing."""


class MappingError(LandingError):
    """A mapping file that is wrong. The message names the file, and each wrong key."""


class Interrupted(LandingError):
    """The user asked to stop. Everything that is not committed is rolled back."""
