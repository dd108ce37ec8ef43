"""For all tests, before anything imports torch."""

import os

# On cores shared with other work, OpenMP threads that spin at barriers cost many times the work itself.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
