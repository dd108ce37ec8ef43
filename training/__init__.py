"""Trains the sketch model that Tessera carries. Not needed at run time; see training/README.md."""
