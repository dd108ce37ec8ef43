"""Networks are built by one thread of a process at a time. Torch-free."""

from __future__ import annotations

import threading

BUILDING = threading.RLock()
"""Held by who makes a network. While transformers, diffusers and PEFT do they set torch's default dtype and
patch ``torch.nn`` for the whole process, and put back what they found: two at once leave weights unread, and
the process in the other's dtype. What paints meanwhile says which dtype it means.
"""
