"""Settings that can't be read, told by the environment variables that a person can mend."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic_settings import SettingsError

from media_assets.settings import Settings, variable_of


def setting_error_text(error: ValidationError | SettingsError) -> str:
    """One line: `MEDIA_MAX_PIXELS: Input should be greater than 0`, more of them joined by semicolons. No values."""
    if isinstance(error, SettingsError):
        field = re.search(r'field "(\w+)"', str(error))
        return f"{variable_of(field[1])}: {error.__cause__ or 'no JSON'}" if field else str(error)
    return "; ".join(
        ": ".join([*_place(error, each["loc"]), each["msg"].removeprefix("Value error, ")])
        for each in error.errors(include_input=False)
        if each["type"] != "default_factory_not_called"  # follows from another one
    )


def _place(error: ValidationError, location: tuple[int | str, ...]) -> list[str]:
    names = [str(each) for each in location if each != "[key]"]
    if error.title == Settings.__name__ and names and names[0] in Settings.model_fields:
        names[0] = variable_of(names[0])
    return [names[0], *filter(None, [".".join(names[1:])])] if names else []
