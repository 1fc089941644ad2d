"""`analytics settings`: every setting with its value and the origin of that value."""

from __future__ import annotations

import json

from saas_analytics.console import console, print_table
from saas_analytics.settings import GivenValues, given_values
from saas_analytics.settings_table import SETTINGS, Setting


def print_settings(*, as_json: bool) -> None:
    """Print the settings of the project. Of a secret only whether it is set is shown."""
    given = given_values()
    rows = [(key, _shown(setting, given), _origin(key, given)) for key, setting in SETTINGS.items()]
    if as_json:
        described = [
            {"key": key, "value": value, "origin": origin, "meaning": SETTINGS[key].meaning}
            for key, value, origin in rows
        ]
        console.print_json(json.dumps(described))
        return
    print_table([("setting", "value", "from"), *rows])
    unknown = sorted(given.unknown)
    if unknown:
        names = ", ".join(unknown)
        console.print(f"{given.dotenv} also has keys that are not settings: {names}.")


def _shown(setting: Setting, given: GivenValues) -> str:
    text = given.texts.get(setting.key, "")
    if not text or not setting.secret or text == setting.default:
        return text
    return "(set)"


def _origin(key: str, given: GivenValues) -> str:
    return given.origins.get(key, "not set")
