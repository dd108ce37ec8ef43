"""One table of messages a language, by the English sentence; a test holds them complete."""
