"""The two sizes of the tests, as profiles of Hypothesis for properties that do not say how often they are tried."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.size import NIGHTLY, examples

# A busy machine is slow at times, which says nothing of the code.
settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("nightly" if NIGHTLY else "ci")
