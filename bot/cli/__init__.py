"""What the commands of ``tessera`` do; ``bot.__main__`` only names them."""
