"""Tessera's in-process image engine. Importing this package loads neither torch nor discord."""
