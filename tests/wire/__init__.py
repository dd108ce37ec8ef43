"""The real bot process against a Discord of our own, spoken over real sockets."""
