"""For all tests, before anything imports torch."""

import os

from hypothesis import HealthCheck, settings

# On cores shared with other work, OpenMP threads that spin at barriers cost many times the work itself.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Tests side by side share the cores among them, and so does every process they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Speed is the business of benchmarks/: an example that meets a busy moment is no failure.
settings.register_profile("tessera", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tessera")
