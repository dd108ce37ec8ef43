"""Sentences told to users, in English, that remember what they say: they may be said in another language.

A ``Sentence`` is a plain ``str``; ``key`` and ``fields`` are what a translation table needs. Fields may be
sentences themselves ("must be ..." ends with one).
"""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "prompt.empty": "The prompt is empty; say what to paint, for example `a red apple --ar 3:2`.",
    "prompt.long": "The prompt has {length:,} characters; at most {most:,} are taken. Please shorten it.",
    "prompt.control": (
        "Character {place:,} of the prompt (U+{code:04X}) is a control code, not text; please leave it out."
    ),
    "prompt.weights": (
        "The weights behind `::` add up to {sum:g}; together they must be more than 0, "
        "for example `cat::2 fog::-1`."
    ),
    "prompt.suffix": "In your suffix (change it with /prefer suffix): {fault}",
    "prompt.sets": "`{{a, b}}` and `--repeat` ask for {count} jobs; at most {most} may be ordered at once.",
    "prompt.many": "`{{a, b}}` and `--repeat` ask for more than {most} jobs; ask for {most} or fewer.",
    "prompt.nested": "Sets in `{{}}` may stand inside each other {most} deep; please use fewer.",
    "flag.value": "{typed}: the value must be {allowed}.",
    "flag.missing": "`--{name}`: a value is missing; it must be {allowed}.",
    "flag.alone": "{typed}: `--{name}` takes no value; write it alone.",
    "flag.case": "{typed}: flags are written in lowercase; write `--{name}`.",
    "flag.guess": "{typed}: there is no such flag; did you mean `--{name}`?",
    "flag.unknown": "{typed}: there is no such flag. Flags are {names}.",
    "flag.strange": "{typed}: there is no such flag.",
    "flag.space": "{typed}: put a space before `--{name}`.",
    "link.late": "{typed}: image links go before the text; move it to the front.",
    "link.scheme": "{typed}: only http and https links to pictures are taken.",
    "link.broken": "{typed} is not a complete link; copy it again from the picture.",
    "link.many": "{count} image prompts were given; at most {most} are taken.",
    "link.references": "`--{name}`: {count} pictures were given; at most {most} are taken.",
    "link.code": (
        "{typed}: style codes belong to Midjourney's own models; give a link to a picture, "
        "or one of this server's styles with `--style`."
    ),
    "name.model": "`--model` {typed}: there is no such model here; choose one of {names}.",
    "name.style": "`--style` {typed}: there is no such style here; choose one of {names}.",
    "model.pictures": (
        "The model {model} cannot start from a picture; leave the picture out, or choose another `--model`."
    ),
    "model.flag": ("The model {model} cannot honour `--{flag}`; leave it out, or choose another `--model`."),
    "model.references": (
        "The model {model} has no adapter for {kind} references; leave `--{flag}` out, or choose another "
        "`--model`. A picture in front of the text works with most models."
    ),
    "model.sampler": "The model {model} has no sampler {sampler}; choose one of {names}.",
    "model.lora": "The model {model} has no LoRA {lora}; choose one of {names}.",
    "model.loras": "The model {model} has no LoRA {lora}, nor any other here; leave it out.",
    "model.size": (
        "`--size {size}`: the model {model} paints from {low} to {high} pixels a side; choose within these, "
        "or give the shape with `--ar`."
    ),
    "model.preset": "`--preset` {preset}: the model {model} has no such preset; choose one of {names}.",
    "explain.part": "weight {weight:g}",
    "explain.style": "the style {name} adds: {words}",
    "explain.replaced": "left aside, since `--{by}` says it exactly",
    "explain.unguided": "without effect: {model} paints without guidance",
    "explain.no_picture": "without effect: there is no picture in front of the text",
    "explain.no_reference": "without effect: there is no `--{flag}`",
    "explain.unweighted": "{model} reads all words alike: weights in the text are left out",
    "explain.no_negative": "{model} has no negative prompt: parts of negative weight are left out",
    "explain.no_loras": "{model} lacks LoRAs of this style: {names}",
    "explain.no_niji": "there is no anime model here; the style {style} takes its place",
    "option.name": (
        "{typed} cannot be the name of an option; use 1 to 32 lowercase letters, digits and dashes, "
        "for example `mine`."
    ),
    "option.taken": "`--{name}` is a flag already; choose another name for your option.",
    "allowed.choice": "one of {names}",
    "allowed.ratio": "two whole numbers like `{example}`, from {low} to {high}",
    "allowed.size": "width and height in pixels like `{example}`, each from {low:g} to {high:g}",
    "allowed.model": "a model's name, like `{example}`",
    "allowed.style": "a style's name, like `{example}`",
    "allowed.sampler": "a sampler's name, like `{example}`",
    "allowed.words": "a list of words with commas, like `{example}`",
    "allowed.links": "http or https links to pictures, like `{example}`",
    "allowed.version": "one of {names}, or nothing",
    "allowed.integer": "a whole number from {low:g} to {high}",
    "allowed.number": "a number from {low:g} to {high}",
    "foreign.still": "{typed}: Tessera paints still pictures; leave it out.",
    "foreign.midjourney": "{typed} belongs to Midjourney's own models; leave it out.",
    "foreign.version": (
        "{typed} named an old model of Midjourney's; leave it out, or choose a model with `--model`."
    ),
    "foreign.instead": "{typed} is no flag here; write `{instead}`.",
    "foreign.button": "{typed}: enlarging has its own buttons under the picture; leave it out.",
}


class Sentence(str):
    """An English sentence with the key and the fields it was made from."""

    key: str
    fields: Mapping[str, object]

    __slots__ = ("fields", "key")

    @classmethod
    def of(cls, key: str, **fields: object) -> Sentence:
        """The sentence of ``ENGLISH[key]``; KeyError without one."""
        made = cls(ENGLISH[key].format(**fields))
        made.key, made.fields = key, fields
        return made
