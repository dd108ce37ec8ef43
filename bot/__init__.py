"""Tessera's Discord side: prompt dialect, durable queue, quotas and the Discord client."""

__version__ = "0.1.0"
