"""Settings of every test: Hypothesis prints how to replay a failure."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW_MACHINE = [HealthCheck.too_slow]
settings.register_profile("default", print_blob=True, deadline=None, suppress_health_check=SLOW_MACHINE)
settings.register_profile("mutants", parent=settings.get_profile("default"), derandomize=True)
settings.register_profile("many", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
