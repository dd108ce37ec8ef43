COMMANDS: dict[str, str] = {}
