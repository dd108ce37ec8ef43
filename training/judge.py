"""Judges the exported model, so that anyone can repeat it.

    python -m training.judge                 # writes docs/model-figures.json, .md and the contact sheet

Shape is judged twice, never by colour: by a classifier in grey that has seen other vendors' drawings only,
and by the outline against the references. Both are reported on real scenes and on a half-trained model as
well: a judge that cannot tell these apart would be worth nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from benchmarks import sketch_grid
from training import classifier, measure, sheet
from training.common import prepare
from training.denoiser import EARLY
from training.export import STEPS, pipeline
from training.paths import DOCS, EXPORT
from training.scenes import SIDE, Scene, as_floats, clash, paint
from training.things import ALL, COLOURS, NO_COLOUR, PLAIN_SHAPES, STYLES, THINGS, Thing, held_out, plural

Floats = measure.Floats


@dataclass(frozen=True)
class Asked:
    """A prompt and the scene it asks for."""

    prompt: str
    scene: Scene


def plain(scene: Scene, language: str) -> Asked:
    """The plainest caption of a scene of one kind of thing."""
    thing, ground = THINGS[scene.thing], COLOURS[scene.background]
    return Asked(
        english(thing, scene, ground.en[0]) if language == "en" else chinese(thing, scene, ground.zh[1]),
        scene,
    )


def english(thing: Thing, scene: Scene, ground: str) -> str:
    """`three red apples on a blue background`."""
    name = thing.en[0] if scene.count == 1 else plural(thing.en[0])
    colour = COLOURS[scene.colour].en[0] + " " if scene.colour != NO_COLOUR else ""
    words = f"{colour}{name}"
    number = ("an" if words[0] in "aeio" else "a", "two", "three")[scene.count - 1]
    article = "an" if ground[0] in "aeio" else "a"
    style = f", {STYLES[scene.style].en[0]} style" if scene.style else ""
    return f"{number} {words} on {article} {ground} background{style}"


def chinese(thing: Thing, scene: Scene, ground: str) -> str:
    """`三个红色的苹果，蓝色背景`."""
    colour = COLOURS[scene.colour].zh[1] + "的" if scene.colour != NO_COLOUR else ""
    return f"{'一两三'[scene.count - 1]}{thing.measure}{colour}{thing.zh[0]}，{ground}背景"


def grounds(rng: random.Random, thing: int, colour: int) -> int:
    """A background the thing stands out from."""
    return rng.choice([b for b in range(len(COLOURS)) if not clash(thing, colour, b)])


def shape_scenes(rng: random.Random, each: int) -> list[Scene]:
    """`each` scenes of every thing in its natural colours."""
    return [
        Scene(t, NO_COLOUR, 1, -1, NO_COLOUR, grounds(rng, t, NO_COLOUR)) for t in ALL for _ in range(each)
    ]


def colour_scenes(rng: random.Random, number: int, unseen: bool) -> list[Scene]:
    """Coloured things, of pairs shown in training or held out from it."""
    pairs = [
        (t, c)
        for t in ALL
        for c in range(len(COLOURS))
        if held_out(t, c) == unseen and THINGS[t].key not in {*PLAIN_SHAPES, "rainbow"}
    ]
    return [Scene(t, c, 1, -1, NO_COLOUR, grounds(rng, t, c)) for t, c in rng.sample(pairs, number)]


def count_scenes(rng: random.Random, each: int) -> list[Scene]:
    """`each` scenes of one, two and three of a thing."""
    return [
        Scene(t, NO_COLOUR, n, -1, NO_COLOUR, grounds(rng, t, NO_COLOUR))
        for n in (1, 2, 3)
        for t in rng.sample(ALL, each)
    ]


def generate(pipe: StableDiffusionPipeline, prompts: Sequence[str], seed: int, guidance: float) -> Floats:
    """(N, side, side, 3) pictures in 0..1 by the stock pipeline, as large as it paints."""
    generator, made = torch.Generator().manual_seed(seed), []
    for start in range(0, len(prompts), 16):
        made.append(
            pipe(
                list(prompts[start : start + 16]),
                num_inference_steps=STEPS,
                guidance_scale=guidance,
                height=SIDE,
                width=SIDE,
                output_type="np",
                generator=generator,
            ).images
        )
    return np.concatenate(made).astype(np.float32)


def measured(pipe: StableDiffusionPipeline, prompts: Sequence[str], seed: int, guidance: float) -> Floats:
    """The same, averaged down to the size that is measured."""
    return measure.reduced(generate(pipe, prompts, seed, guidance))


def drawn(scenes: Sequence[Scene], seed: int) -> Floats:
    """(N, side, side, 3) scenes composed from the real drawings."""
    rng = random.Random(seed)
    return np.stack([as_floats(paint(rng, scene)) for scene in scenes])


def real(scenes: Sequence[Scene], seed: int) -> Floats:
    """Such scenes composed from the real drawings, averaged down to the size that is measured."""
    return measure.reduced(drawn(scenes, seed))


def shape_scores(judge: classifier.Judge, pictures: Floats, scenes: Sequence[Scene]) -> dict[str, float]:
    """Top-1 and top-5 of the classifier, and top-1 and top-5 of the outline."""
    things = [scene.thing for scene in scenes]
    return {
        **classifier.scores(judge.rank(pictures), things, "classifier"),
        **classifier.scores(judge.rank_outline(pictures), things, "outline"),
    }


def colour_scores(pictures: Floats, scenes: Sequence[Scene]) -> dict[str, float]:
    """The shares of things and of backgrounds that show the colour asked for."""
    found = [measure.has_colours(p, s.colour, s.background) for p, s in zip(pictures, scenes, strict=True)]
    return {
        "object_colour": float(np.mean([a for a, _ in found])),
        "background_colour": float(np.mean([b for _, b in found])),
    }


def count_score(pictures: Floats, scenes: Sequence[Scene]) -> float:
    """The share of pictures with as many parts as things were asked for."""
    return float(np.mean([measure.count(p) == s.count for p, s in zip(pictures, scenes, strict=True)]))


def style_scenes(rng: random.Random, number: int) -> list[Scene]:
    """Things in their natural colours, each of them in every style."""
    shown = [(t, grounds(rng, t, NO_COLOUR)) for t in rng.sample(ALL, number)]
    return [
        Scene(t, NO_COLOUR, 1, -1, NO_COLOUR, ground, style)
        for t, ground in shown
        for style in range(len(STYLES))
    ]


def style_score(pictures: Floats, scenes: Sequence[Scene]) -> float:
    """The share whose colours are nearer to the drawing in the style asked for than to the other's."""
    found = [measure.palette(picture) for picture in pictures]
    known = [measure.palette(picture) for picture in drawn(scenes, 55)]
    right = 0
    for index, scene in enumerate(scenes):
        first = index - index % len(STYLES)
        far = [float(np.abs(found[index] - other).sum()) for other in known[first : first + len(STYLES)]]
        right += int(np.argmin(far)) == scene.style
    return right / len(scenes)


def pair_scenes(rng: random.Random, number: int) -> list[Scene]:
    """Two different things side by side, in their natural colours."""
    scenes: list[Scene] = []
    while len(scenes) < number:
        left, right = rng.sample(ALL, 2)
        scene = Scene(left, NO_COLOUR, 1, right, NO_COLOUR, grounds(rng, left, NO_COLOUR))
        if not clash(right, NO_COLOUR, scene.background):
            scenes.append(scene)
    return scenes


def pair_prompt(scene: Scene) -> str:
    """`a cat and an apple on a blue background`."""
    names = [THINGS[thing].en[0] for thing in (scene.thing, scene.other)]
    first, second = (f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names)
    ground = COLOURS[scene.background].en[0]
    return f"{first} and {second} on {'an' if ground[0] in 'aeio' else 'a'} {ground} background"


def pair_scores(judge: classifier.Judge, pictures: Floats, scenes: Sequence[Scene]) -> dict[str, float]:
    """The scores of the classifier on the two halves, the left one showing the first thing."""
    halves = [half for picture in pictures for half in np.split(picture, 2, axis=1)]
    framed = np.stack([np.pad(half, ((0, 0), (16, 16), (0, 0)), "edge") for half in halves])
    things = [thing for scene in scenes for thing in (scene.thing, scene.other)]
    return classifier.scores(judge.rank(framed), things, "classifier")


def spread(pictures: Floats) -> float:
    """Mean absolute pairwise difference within each run of four pictures."""
    grids = pictures.reshape(-1, 4, *pictures.shape[1:])
    pairs = [(i, j) for i in range(4) for j in range(i)]
    return float(np.mean([np.abs(grids[:, i] - grids[:, j]).mean() for i, j in pairs]))


def diversity(pipe: StableDiffusionPipeline, guidance: float) -> dict[str, float]:
    """The spread of four pictures of one prompt, against that of real scenes of the same caption."""
    rng = random.Random(34)
    things = [t for t in rng.sample(ALL, 10) for _ in range(4)]
    scenes = [Scene(t, NO_COLOUR, 1, -1, NO_COLOUR, grounds(rng, t, NO_COLOUR)) for t in things]
    made = spread(measured(pipe, [f"a {THINGS[t].en[0]}" for t in things], 35, guidance))
    return {"generated": made, "real": spread(real(scenes, 36)), "ratio": made / spread(real(scenes, 36))}


def judged(
    pipe: StableDiffusionPipeline, judge: classifier.Judge, guidance: float, each: int
) -> dict[str, Any]:
    """Every figure of one model."""
    shapes, colours = shape_scenes(random.Random(30), each), colour_scenes(random.Random(31), 48, False)
    unseen, counts = colour_scenes(random.Random(32), 24, True), count_scenes(random.Random(33), 12)
    made = {
        language: measured(pipe, [plain(s, language).prompt for s in shapes], 40, guidance)
        for language in ("en", "zh")
    }
    painted, fresh, counted = (
        measured(pipe, [plain(s, "en").prompt for s in scenes], seed, guidance)
        for scenes, seed in ((colours, 41), (unseen, 42), (counts, 43))
    )
    styles = style_scenes(random.Random(38), 24)
    styled = generate(pipe, [plain(s, "en").prompt for s in styles], 45, guidance)
    pairs = pair_scenes(random.Random(37), 24)
    sides = measured(pipe, [pair_prompt(s) for s in pairs], 44, guidance)
    return {
        "shape_en": shape_scores(judge, made["en"], shapes),
        "shape_zh": shape_scores(judge, made["zh"], shapes),
        "colours": colour_scores(painted, colours),
        "unseen_shape": shape_scores(judge, fresh, unseen),
        "unseen_colours": colour_scores(fresh, unseen),
        "count": count_score(counted, counts),
        "style": style_score(styled, styles),
        "pairs": pair_scores(judge, sides, pairs),
        "diversity": diversity(pipe, guidance),
    }


def on_real(judge: classifier.Judge, each: int) -> dict[str, Any]:
    """The same measures on real scenes: what a perfect model would score."""
    shapes, colours = shape_scenes(random.Random(30), each), colour_scenes(random.Random(31), 48, False)
    counts, pairs = count_scenes(random.Random(33), 12), pair_scenes(random.Random(37), 24)
    styles = style_scenes(random.Random(38), 24)
    return {
        "shape": shape_scores(judge, real(shapes, 50), shapes),
        "colours": colour_scores(real(colours, 51), colours),
        "count": count_score(real(counts, 52), counts),
        "style": style_score(drawn(styles, 54), styles),
        "pairs": pair_scores(judge, real(pairs, 53), pairs),
    }


def half_trained(judge: classifier.Judge, guidance: float) -> dict[str, float] | None:
    """The shape figures of the early checkpoint, where there is one: the judge must see the difference."""
    if not EARLY.exists():
        return None
    pipe, trained = pipeline(EARLY)
    pipe.set_progress_bar_config(disable=True)
    shapes = shape_scenes(random.Random(30), 1)[::3]
    made = measured(pipe, [plain(s, "en").prompt for s in shapes], 40, guidance)
    return {"steps": trained["step"], **shape_scores(judge, made, shapes)}


def grid_seconds() -> float:
    """The best of three grids of four through the engine, default steps, upscaled, on two threads."""
    return min(asyncio.run(sketch_grid.measure(4, threads=2))[1:])


def relative(made: dict[str, float], base: dict[str, float], name: str) -> str:
    """A score, and what it is of the score on real scenes."""
    return f"{made[name]:.2f} ({made[name] / max(base[name], 1e-6):.2f})"


def shape_rows(model: dict[str, Any], base: dict[str, float]) -> list[tuple[str, str]]:
    """Both judges of shape, beside what they say of real scenes (``base``)."""
    en, zh = model["shape_en"], model["shape_zh"]
    return [
        (
            f"shape by the {kind}, top-{k}, English / Chinese (of real scenes' score) / real scenes",
            f"{relative(en, base, f'{kind}_top{k}')} / {relative(zh, base, f'{kind}_top{k}')} / "
            f"{base[f'{kind}_top{k}']:.2f}",
        )
        for kind in ("classifier", "outline")
        for k in (1, 5)
    ]


def table(figures: dict[str, Any]) -> str:
    """The figures as a short Markdown table."""
    model, truth = figures["model"], figures["real"]
    rows = shape_rows(model, truth["shape"])
    rows += [
        (
            f"colour of the {what} right (real scenes)",
            f"{model['colours'][f'{what}_colour']:.2f} ({truth['colours'][f'{what}_colour']:.2f})",
        )
        for what in ("object", "background")
    ]
    unseen, pairs = model["unseen_shape"], model["pairs"]
    rows += [
        ("style right, 3D or flat (real scenes)", f"{model['style']:.2f} ({truth['style']:.2f})"),
        ("count right, 1 to 3 (real scenes)", f"{model['count']:.2f} ({truth['count']:.2f})"),
        (
            "two things side by side, each by the classifier, top-1 / top-5 (real scenes)",
            f"{pairs['classifier_top1']:.2f} / {pairs['classifier_top5']:.2f} "
            f"({truth['pairs']['classifier_top1']:.2f} / {truth['pairs']['classifier_top5']:.2f})",
        ),
        (
            "unseen (object, colour) pairs, top-1 by classifier / outline",
            f"{unseen['classifier_top1']:.2f} / {unseen['outline_top1']:.2f}",
        ),
        ("difference within a grid of four, relative to real scenes", f"{model['diversity']['ratio']:.2f}"),
        ("grid of four on 2 CPU cores, engine and upscaling included", f"{figures['grid_seconds']:.1f} s"),
    ]
    if figures["half_trained"]:
        half = figures["half_trained"]
        rows.append(
            (
                f"half-trained model ({half['steps']} steps), top-1 by classifier / outline",
                f"{half['classifier_top1']:.2f} / {half['outline_top1']:.2f}",
            )
        )
    lines = ["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


def fill_card(card: Path, text: str) -> None:
    """Put the table between the marks of the model card."""
    start, end = "<!-- figures -->\n", "<!-- /figures -->"
    head, rest = card.read_text(encoding="utf-8").split(start)
    card.write_text(head + start + text + end + rest.split(end)[1], encoding="utf-8")


def main() -> None:
    """Judge the export and write the figures and the contact sheet to docs/."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=1, help="pictures per thing and language")
    parser.add_argument("--sheet-only", type=Path, help="only write the contact sheet, to this file")
    options = parser.parse_args()
    prepare(60)
    pipe = StableDiffusionPipeline.from_pretrained(EXPORT, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    settings = json.loads((EXPORT / "tessera.json").read_text(encoding="utf-8"))
    guidance = float(settings["guidance_scale"])
    sheet.write(
        options.sheet_only or DOCS / "sketch-contact-sheet.png", generate(pipe, sheet.PROMPTS, 7, guidance)
    )
    if options.sheet_only:
        return
    judge = classifier.Judge.trained()
    figures = {
        "trained": settings["trained"],
        "guidance_scale": guidance,
        "model": judged(pipe, judge, guidance, options.each),
        "real": on_real(judge, options.each),
        "half_trained": half_trained(judge, guidance),
        "grid_seconds": grid_seconds(),
    }
    rounded = json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 4))
    (DOCS / "model-figures.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    (DOCS / "model-figures.md").write_text(table(rounded), encoding="utf-8")
    fill_card(EXPORT / "README.md", table(rounded))
    print(table(rounded))


if __name__ == "__main__":
    main()
