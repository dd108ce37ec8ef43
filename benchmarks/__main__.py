"""Every figure of docs/performance.md by one command: ``python -m benchmarks``, on idle cores."""

from __future__ import annotations

import subprocess
import sys

ALL = (
    "plan_cost",
    "fairness",
    "wait_error",
    "admission",
    "engine_overhead",
    "throughput",
    "numbers",
    "startup",
    "ack_latency",
    "sketch_grid",
    "gpu",
)


def main() -> int:
    """Run one after the other, each in its own process; the exit status counts those that failed."""
    failed = 0
    for name in ALL:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
