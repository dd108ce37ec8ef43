"""Each cell of the table of ``docs/models.md``, on a tiny model of its family: what works, works; the rest is
refused with its reason.

The cells are the registry's own: a family or an ability that is added there is tested here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine import stages
from engine.api import (
    GenerationSpec,
    Hires,
    InitImage,
    InvalidSpec,
    ModelInfo,
    Reference,
    ReferenceKind,
    Variation,
)
from engine.checks import check_spec
from engine.fake import gradient
from engine.lora import files_in
from engine.models.base import OwnWay
from engine.models.family import FAMILIES
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.weights import shapes_of
from tests import flow_pipelines, pipelines, stock_pipelines
from tests.engine import adapters
from tests.engine.conftest import Bench
from tests.engine.specs import spec

CPU = torch.device("cpu")
PLAIN: dict[str, Callable[[Path], Path]] = {"sd1": pipelines.classic, "sdxl": pipelines.xl}
pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers warns of its deprecated pipelines


def built(name: str, path: Path) -> Path:
    """A tiny model of a family."""
    if name in PLAIN:
        return PLAIN[name](path)
    kind: Any = flow_pipelines if name in flow_pipelines.BUILDERS else stock_pipelines
    folder: Path = kind.build(name, path)
    return folder


NAMES = [
    name
    for name in FAMILIES
    if name in PLAIN or name in flow_pipelines.BUILDERS or name in stock_pipelines.BUILDERS
]


def test_every_family_has_a_tiny_model() -> None:
    assert set(FAMILIES) == set(NAMES)


def png(seed: int, width: int, height: int | None = None) -> bytes:
    buffer = io.BytesIO()
    gradient(seed, width, height or width).save(buffer, "PNG")
    return buffer.getvalue()


def half(side: int) -> bytes:
    """A mask of the right half."""
    mask = Image.new("L", (side, side))
    mask.paste(255, (side // 2, 0, side, side))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Subject:
    """A tiny model with everything beside it that its family takes."""

    name: str
    registry: Registry

    @property
    def info(self) -> ModelInfo:
        return self.registry.models()[self.name]

    @property
    def family(self) -> Any:
        return self.registry.load(self.name, CPU, torch.float32)

    def job(self, **changes: Any) -> GenerationSpec:
        info = self.info
        given: dict[str, Any] = {
            "width": info.native_size,
            "height": info.native_size,
            "steps": 2,
            "sampler": info.sampler,
            "guidance_scale": max(info.guidance_scale, 3.0),
            "seeds": (1,),
        }
        return spec("job", self.name, **{**given, **changes})

    def result(self, **changes: Any) -> torch.Tensor:
        """Latents, or pixels where a pipeline shows no more, after the spec was found fit."""
        job = self.job(**changes)
        check_spec(job, self.registry.models())
        return painted(self.family, job)

    def differ(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two changes of a job give two pictures."""
        return float((self.result(**one) - self.result(**other)).abs().max()) > 1e-7

    def refused(self, **changes: Any) -> str:
        with pytest.raises(InvalidSpec) as refusal:
            check_spec(self.job(**changes), self.registry.models())
        return str(refusal.value)


def painted(family: Any, job: GenerationSpec) -> torch.Tensor:
    part: Any = stages.begin(family, job, job.seeds)
    batcher = stages.Batcher()
    while not part.done:
        (prediction,) = batcher.predict([part], 8)
        stages.advance(part, prediction, want_clean=False)
    found: torch.Tensor = torch.cat(part._pixels) if isinstance(family, OwnWay) else part.latents
    assert bool(found.isfinite().all())
    return found


def lora(folder: Path, denoiser: str, file: Path) -> Path:
    """Random changes of the denoiser's queries, as diffusers names them."""
    shapes = {
        key: shape for each in files_in(folder / denoiser).values() for key, shape in shapes_of(each).items()
    }
    state: dict[str, torch.Tensor] = {}
    for key, shape in shapes.items():
        if key.endswith("to_q.weight"):
            stem = f"{denoiser}.{key.removesuffix('.weight')}"
            state[f"{stem}.lora_A.weight"] = torch.ones(2, shape[1])
            state[f"{stem}.lora_B.weight"] = torch.ones(shape[0], 2)
    save_file(state, file)
    return file


def source(name: str, root: Path) -> ModelSource:
    family, folder = FAMILIES[name], built(name, root / "model")
    found = ModelSource(name, folder)
    if family.loras:
        found = replace(found, loras=(("ink", lora(folder, family.denoiser, root / "ink.safetensors")),))
    if family.references:
        loaded: Any = Registry({name: found}).load(name, CPU, torch.float32)
        denoiser = getattr(loaded.pipeline, family.denoiser)
        found = replace(found, ip_adapter=adapters.suited(name, root / "ip.safetensors", denoiser))
    return found


class Cells:
    """For each ability a proof that it works, and one that it is refused, by its name in the table."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.side = subject.info.native_size
        self.start = InitImage(png(3, self.side), 0.6)
        self.pictures = (png(4, self.side), png(5, self.side))

    def proofs(self) -> Mapping[str, Callable[[], object]]:
        return {
            "text to image": lambda: self.subject.result(),
            "image to image": lambda: self.differs(
                {"init": self.start, "steps": 4},
                {"init": replace(self.start, data=png(6, self.side)), "steps": 4},
            ),
            "inpaint, zoom, pan": self.keeps_what_is_not_marked,
            "blend": lambda: self.differs(
                {"blend": self.pictures, "steps": 4},
                {"blend": (self.pictures[0], png(9, self.side)), "steps": 4},
            ),
            "references": lambda: self.differs({"references": self.lent()}, {}),
            "LoRA": lambda: self.differs({"loras": (("ink", 1.0),)}, {}),
            "negative prompt": lambda: self.differs({"negative_prompt": "bad stone"}, {}),
            "weights in prompts": lambda: self.differs(
                {"prompt": "a (red:1.6) apple"}, {"prompt": "a red apple"}
            ),
            "tile": lambda: self.differs({"tile": True}, {}),
            "stop, vary": self.stops_and_varies,
            "upscale": self.enlarges,
            "second pass": self.paints_again,
            "native batching": self.shares_a_pass,
        }

    def refusals(self) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        masked = replace(self.start, mask=half(self.side))
        return {
            "image to image": ({"init": self.start}, "cannot start from a picture; leave the picture out."),
            "inpaint, zoom, pan": (
                {"init": masked},
                "cannot repaint a part of a picture; leave the mask out.",
            ),
            "blend": ({"blend": self.pictures}, "cannot mix pictures; leave them out."),
            "references": (
                {"references": self.lent()},
                "has no adapter for style references; leave them out.",
            ),
            "LoRA": ({"loras": (("ink", 1.0),)}, "has no LoRA 'ink'; none fits it."),
            "negative prompt": ({"negative_prompt": "bad"}, "takes no negative prompt; leave --no out."),
            "tile": ({"tile": True}, "cannot paint a picture whose edges meet; leave --tile out."),
            "stop, vary": ({"stop": 0.5}, "cannot stop early; leave --stop out."),
            "second pass": ({"hires": Hires(1, 0.5)}, "cannot paint a picture larger in a second pass."),
        }

    def lent(self) -> tuple[Reference, ...]:
        return (Reference(png(7, 40), ReferenceKind.STYLE),)

    def differs(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        assert self.subject.differ(one, other)

    def keeps_what_is_not_marked(self) -> None:
        (image,) = self.ran(self.subject.job(init=InitImage(png(3, self.side), 1.0, half(self.side))))
        given, found = np.asarray(gradient(3, self.side, self.side)), np.asarray(image)
        middle = self.side // 2
        assert (found[:, :middle] == given[:, :middle]).all()
        assert (found[:, middle:] != given[:, middle:]).any()

    def stops_and_varies(self) -> None:
        self.differs({"stop": 0.5, "steps": 4}, {"steps": 4})
        self.differs({"variation": Variation(9, 0.4)}, {})

    def enlarges(self) -> None:
        job = self.subject.job(init=replace(self.start, strength=0.0), hires=Hires(1.5, 0))
        (image,) = self.ran(job)
        assert image.size == (round(self.side * 1.5 * self.subject.info.upscale),) * 2

    def paints_again(self) -> None:
        one, other = (self.ran(self.subject.job(hires=Hires(1, share)))[0] for share in (0.0, 0.9))
        assert one.size == other.size and one.tobytes() != other.tobytes()

    def ran(self, job: GenerationSpec) -> tuple[Image.Image, ...]:
        check_spec(job, self.subject.registry.models())
        bench = Bench(self.subject.registry)
        bench.run(job)
        return bench.finished("job").images

    def shares_a_pass(self) -> None:
        family, jobs = self.subject.family, [self.subject.job(), self.subject.job(prompt="the sea", steps=3)]
        rows: list[Any] = [stages.prepare(family, job, job.seeds) for job in jobs]
        seen: list[int] = []
        true = family.denoise

        def denoise(latents: torch.Tensor, *given: Any) -> Any:
            seen.append(len(latents))
            return true(latents, *given)

        family.denoise = denoise
        try:
            stages.Batcher().predict(rows, 16)
        finally:
            del family.denoise
        assert seen == [sum(row.cost for row in rows)]


@pytest.mark.parametrize("name", NAMES)
def test_a_family(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Cell by cell, on one model."""
    here = Subject(name, Registry({name: source(name, tmp_path)}))
    for ability, able in FAMILIES[name].abilities.items():
        with subtests.test(ability):
            cell(Cells(here), ability, able)


def cell(cells: Cells, ability: str, able: bool) -> None:
    subject = cells.subject
    if able:
        cells.proofs()[ability]()
    elif ability == "weights in prompts":
        assert not subject.info.prompt_weights  # not refused: the bot leaves them out, and says so
    elif ability == "native batching":
        assert isinstance(subject.family, OwnWay)
    else:
        changes, sentence = cells.refusals()[ability]
        assert f"{subject.name} {sentence}" in subject.refused(**changes)


def rows_of_the_page() -> Iterator[tuple[str, list[str]]]:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    table = page.split("\n\n")[2].splitlines()
    for line in table[2:]:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        yield title, cells


def test_the_page_says_what_the_registry_says() -> None:
    written = dict(rows_of_the_page())
    assert written == {
        family.title: ["yes" if able else "–" for able in family.abilities.values()]
        for family in FAMILIES.values()
    }


def test_a_proof_can_fail(tmp_path: Path) -> None:
    """A model that does not honour what it is asked for paints the same twice."""
    here = Subject("sd1", Registry({"sd1": ModelSource("sd1", built("sd1", tmp_path))}))
    with pytest.raises(AssertionError):
        Cells(here).differs({"prompt": "a red apple"}, {"prompt": "a red apple"})
    with pytest.raises(pytest.fail.Exception):
        cell(Cells(here), "tile", able=False)
