"""Trains the sketch model that Tessera carries. Nothing here is needed at run time; see training/README.md."""
