"""Settings that commands have when they talk to the one-machine stack: it may have been started from another shell."""

from __future__ import annotations

from collections.abc import Mapping

from media_assets.local.budgets import Budgets
from media_assets.settings import Settings, variable_of


def settings_in_force(started_with: Mapping[str, str], shell: Settings) -> dict[str, str]:
    """As variables: what the shell sets itself, otherwise what the stack was started with. Budgets are the stack's in any case:
    it is what spends. An API key in the shell chooses no provider."""
    own = shell.as_environment()
    if "model_provider" not in shell.model_fields_set:
        del own[variable_of("model_provider")]
    if "detect_model" in shell.model_fields_set:  # digests and labels are of a model
        started_with = {name: value for name, value in started_with.items() if not name.startswith("MEDIA_DETECT_")}
    return {**started_with, **{name: value for name, value in own.items() if name not in Budgets.variables()}}
