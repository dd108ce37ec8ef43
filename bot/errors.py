"""The whole error tree of the bot: told to the user, or told to the operator."""

from __future__ import annotations


class TesseraError(Exception):
    """Root of all errors the bot raises on purpose; ``str(error)`` is a sentence to show."""


class UserError(TesseraError):
    """Something a user can mend: says what was wrong and what to type instead. Safe to show."""


class PromptError(UserError):
    """One or more faults in a prompt, all of them at once; the prompt is repeated so that nothing is lost."""

    def __init__(self, faults: tuple[str, ...], prompt: str) -> None:
        self.faults = faults
        self.prompt = prompt
        super().__init__("\n".join(faults))


class QuotaExceeded(UserError):
    """The bucket is empty; ``refills_at`` is Unix seconds, or None when only an admin can refill it."""

    def __init__(self, sentence: str, refills_at: int | None) -> None:
        self.refills_at = refills_at
        super().__init__(sentence)


class TooManyJobs(UserError):
    """The user has as many jobs running and waiting as allowed."""


class PictureRefused(UserError):
    """A link or an upload that is not a picture we take, or an address we do not visit."""


class NotAllowed(UserError):
    """The user may not do this (delete another's job, set quotas)."""


class MailClosed(UserError):
    """The user takes no direct messages."""


class OperatorError(TesseraError):
    """Something the operator must mend: one sentence that says what to type. ``exit_code`` is the CLI's."""

    exit_code = 1


class ConfigError(OperatorError):
    """Every fault of the configuration at once, each with key and line."""

    exit_code = 2

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class StoreError(OperatorError):
    """The database or data folder cannot be used: read-only, newer version, owned by another process."""

    exit_code = 3


class DiscordLoginError(OperatorError):
    """Discord refused the token, or there is none."""

    exit_code = 4


class EngineStartError(OperatorError):
    """No model could be loaded."""

    exit_code = 5
