"""What can go wrong in landing and is told to the user as a message instead of a traceback."""

from __future__ import annotations

from saas_analytics.errors import AnalyticsError


class LandingError(AnalyticsError):
    """Something that the user can mend. The message says what happened, where, and what to do."""


class FileRefused(LandingError):
    """A file that cannot land as a whole, for example because a required column is missing."""


class MappingError(LandingError):
    """A mapping file that says something that cannot be done. The message names the file and the key."""


class Interrupted(LandingError):
    """The user asked to stop. What has not been committed is rolled back."""
