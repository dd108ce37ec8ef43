"""When memory runs out: smaller batches, tiles, weights put aside, then one job's refund; nobody else's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import stages
from engine.api import Failed, Finished, Hires, InitImage, Lane, OutOfMemory, Progress
from engine.conditioning import Conditioning
from engine.fake import gradient
from engine.images import jpeg
from engine.memory import in_less_memory
from engine.models.registry import SHUNNED_S, Registry
from engine.models.sd1 import StableDiffusion1
from engine.models.tiling import in_tiles
from engine.offload import Depot, Rotation, parts_of
from engine.profile import ModelSource
from engine.upscale import Upscaler
from tests.engine.conftest import Bench
from tests.engine.specs import spec

CPU = torch.device("cpu")


def out_of_memory() -> RuntimeError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture
def registry(folders: dict[str, Path]) -> Registry:
    """One of its own for each test, since models are dropped here, with memory to put them aside."""
    sources = {name: ModelSource(name, path) for name, path in folders.items()}
    return Registry(sources, "classic", spare=10**9)


@pytest.fixture
def here(registry: Registry) -> Bench:
    return Bench(registry)


@pytest.fixture
def family(registry: Registry) -> StableDiffusion1:
    loaded = registry.load("classic", CPU, torch.float32)
    assert isinstance(loaded, StableDiffusion1)
    return loaded


def pictures(bench: Bench, job_id: str) -> list[np.ndarray]:
    return [np.asarray(image).astype(int) for image in bench.finished(job_id).images]


def close(one: list[np.ndarray], other: list[np.ndarray], by: int = 1) -> bool:
    return all(np.abs(a - b).max() <= by for a, b in zip(one, other, strict=True))


class TestTheLadder:
    """Each rung, by injection."""

    def test_the_rest_is_tried_only_after_memory_ran_out(self) -> None:
        with pytest.raises(ValueError, match="other"):
            in_less_memory(lambda: (_ for _ in ()).throw(ValueError("other")), lambda: True)

    def test_the_last_error_is_told_when_nothing_is_left(self) -> None:
        eased = iter([True, True, False])
        tries: list[int] = []

        def attempt() -> None:
            tries.append(1)
            raise out_of_memory()

        with pytest.raises(torch.OutOfMemoryError):
            in_less_memory(attempt, lambda: next(eased))
        assert len(tries) == 3

    def test_decoding_in_tiles(
        self, here: Bench, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[int, bool]] = []
        decode = family.decode

        def limited(latents: torch.Tensor, tile: bool) -> torch.Tensor:
            seen.append((len(latents), family._vae.use_tiling))
            if not family._vae.use_tiling:
                raise out_of_memory()
            return decode(latents, tile)

        monkeypatch.setattr(family, "decode", limited)
        here.run(spec())
        assert here.finished("job").images
        assert seen == [(1, False), (1, True), (1, False), (1, True)]
        assert not family._vae.use_tiling, "the next picture is tried whole again"

    def test_the_tiles_of_an_autoencoder_of_another_factor(self, registry: Registry) -> None:
        """As the embedded model's; diffusers takes it for one of factor 8, and its shapes do not meet."""
        family: Any = registry.load("sketchy", CPU, torch.float32)
        latents = torch.randn(1, 4, 24, 16, generator=torch.Generator().manual_seed(0))
        whole = family.decode(latents, False)
        with in_tiles(family, True):
            family._vae.tile_sample_min_size = 64
        with in_tiles(family, True):
            tiled = family.decode(latents, False)
        family._vae.tile_sample_min_size = 512
        assert tiled.shape == whole.shape == (1, 3, 96, 64)
        assert float((tiled - whole).abs().max()) > 0 and float((tiled - whole).abs().mean()) < 0.02

    def test_a_preview_that_finds_no_memory_is_left_out(
        self, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refusing(latents: torch.Tensor) -> torch.Tensor:
            raise out_of_memory()

        monkeypatch.setattr(family, "preview", refusing)
        here = Bench(registry, preview_interval=0.0)
        here.run(spec())
        assert here.finished("job").images
        assert not any(event.preview for event in here.events if isinstance(event, Progress))

    def test_a_picture_whose_edges_meet_is_not_cut(
        self, here: Bench, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tiled: list[bool] = []

        def refusing(latents: torch.Tensor, tile: bool) -> torch.Tensor:
            tiled.append(family._vae.use_tiling)
            raise out_of_memory()

        monkeypatch.setattr(family, "decode", refusing)
        here.run(spec(tile=True))
        assert isinstance(here.failed("job").error, OutOfMemory)
        assert not any(tiled)

    def test_idle_models_are_put_aside_then_the_parts_take_turns(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.load("sketchy", CPU, torch.float32)
        registry.load("classic", CPU, torch.float32)
        clean = Bench(registry)
        clean.run(spec())
        steps: list[str] = []
        denoise = family.denoise

        def limited(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
            held = [name for name, _ in registry._loaded]
            turns = bool(registry._rotations)
            steps.append(f"{len(x)} {'+'.join(held)}{' in turns' if turns else ''}")
            if not turns:
                raise out_of_memory()
            return denoise(x, t, c, tile)

        monkeypatch.setattr(family, "denoise", limited)
        here.run(spec())
        assert steps[:7] == [
            "4 sketchy+classic",
            "2 sketchy+classic",
            "1 sketchy+classic",
            "4 classic",
            "2 classic",
            "1 classic",
            "1 classic in turns",
        ]
        assert registry.loading("sketchy") < 5
        assert close(pictures(here, "job"), pictures(clean, "job"))

    def test_the_model_at_work_is_not_put_aside_before_its_first_step(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held: list[str] = []

        def refusing(text: str) -> Conditioning:
            held.append("+".join(name for name, _ in registry._loaded))
            raise out_of_memory()

        monkeypatch.setattr(family, "embed", refusing)
        here.run(spec())
        assert isinstance(here.failed("job").error, OutOfMemory)
        assert set(held) == {"classic"}

    def test_a_prompt_that_changes_on_the_way_frees_memory_too(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.load("sketchy", CPU, torch.float32)
        registry.load("classic", CPU, torch.float32)
        edited = spec(prompt="a [red:blue:0.5] apple")
        clean = Bench(registry)
        clean.run(edited)
        family.forget()
        embed, refused = family._embed, []

        def limited(text: str) -> Conditioning:
            if "blue" in text and len(registry._loaded) > 1:
                refused.append(1)
                raise out_of_memory()
            return embed(text)

        monkeypatch.setattr(family, "_embed", limited)
        here.run(edited)
        assert refused == [1]
        assert close(pictures(here, "job"), pictures(clean, "job"))

    @pytest.mark.parametrize("at", [2, 5], ids=["first pass", "second pass"])
    def test_a_step_of_the_sampler_begins_the_job_again(
        self,
        here: Bench,
        registry: Registry,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        at: int,
    ) -> None:
        """Half of a step may have been done; the picture is the same, and so are the neighbour's."""
        larger = spec(hires=Hires(2.0, 0.5))
        clean = Bench(registry)
        other = spec("other", user="bob", width=128, height=128, steps=12)
        clean.run(larger, other)
        registry.load("sketchy", CPU, torch.float32)
        advance, steps = stages._advance, count(1)

        def limited(part: stages.Rows, *given: Any) -> None:
            if part.spec.job_id == "job" and next(steps) == at:
                part.scheduler.step(torch.zeros_like(part.latents), part.timesteps[part.step], part.latents)
                raise out_of_memory()
            advance(part, *given)

        monkeypatch.setattr(stages, "_advance", limited)
        here.run(larger, other)
        assert "a shared forward pass failed" not in caplog.text
        for job in ("job", "other"):
            assert close(pictures(here, job), pictures(clean, job))
        assert here.kinds("job").count("Started") == 1

    def test_enlarging_frees_memory_too(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.load("sketchy", CPU, torch.float32)
        run, refused = Upscaler._run, []

        def limited(upscaler: Upscaler, piece: torch.Tensor) -> torch.Tensor:
            if len(registry._loaded) > 1:
                refused.append(1)
                raise out_of_memory()
            return run(upscaler, piece)

        monkeypatch.setattr(Upscaler, "_run", limited)
        here.run(spec(hires=Hires(2.0, 0.5)))
        assert here.finished("job").images[0].size == (128, 128)
        assert refused == [1]

    def test_the_model_of_a_job_that_waits_makes_room_and_comes_back(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clean = Bench(registry)
        clean.run(spec("waits"), spec("first", "velocity"))
        other = registry.load("velocity", CPU, torch.float32)
        denoise = other.denoise

        def limited(*given: Any) -> torch.Tensor:
            if len(registry._loaded) > 1:
                raise out_of_memory()
            return denoise(*given)

        monkeypatch.setattr(other, "denoise", limited)
        monkeypatch.setattr(registry, "_read", lambda *_: pytest.fail("it was dropped"))
        here.core.submit(spec("waits"))
        here.core.tick()
        here.core.submit(spec("first", "velocity", user="bob", lane=Lane.TURBO))
        here.core.tick()
        assert [name for name, _ in registry._aside] == ["classic"]
        here.run()
        assert registry.load("classic", CPU, torch.float32) is family
        for job in ("waits", "first"):
            assert close(pictures(here, job), pictures(clean, job))

    def test_batches_grow_again_when_a_model_has_left(
        self, here: Bench, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.load("sketchy", CPU, torch.float32)
        sizes: list[int] = []
        denoise = family.denoise

        def limited(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
            sizes.append(len(x))
            if len(registry._loaded) > 1 and len(x) > 2:
                raise out_of_memory()
            return denoise(x, t, c, tile)

        monkeypatch.setattr(family, "denoise", limited)
        here.run(spec(steps=1))
        registry.set_aside(["classic"])
        here.run(spec(steps=1))
        assert sizes == [4, 2, 2, 4]

    def test_loading_puts_others_aside(
        self, here: Bench, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("sketchy", "velocity"):
            registry.load(name, CPU, torch.float32)
        read = registry._read

        def limited(*given: object) -> object:
            if len(registry._loaded) > 1:
                raise out_of_memory()
            return read(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(registry, "_read", limited)
        here.run(spec())
        assert here.finished("job").images
        assert [name for name, _ in registry._aside] == ["sketchy"]

    def test_what_fits_nowhere_is_refunded(
        self, here: Bench, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(family, "encode", lambda *_: (_ for _ in ()).throw(out_of_memory()))
        init = InitImage(jpeg(gradient(1, 64, 64)), 0.5)
        here.run(spec(init=init), spec("good", user="bob"))
        failed = here.failed("job")
        assert isinstance(failed.error, OutOfMemory) and not failed.retryable
        assert here.finished("good").images


class Bursts:
    """Raises out of memory for a while, at a place and for so many calls that chance decides."""

    def __init__(self, chance: random.Random) -> None:
        self.place = chance.choice(["embed", "denoise", "decode"])
        self.calls = chance.choice([1, 2, 3, 99])
        self._after = chance.randrange(2)

    def strike(self, place: str, bad: bool) -> None:
        if place != self.place or not bad:
            return
        self._after -= 1
        if self._after < 0 < self.calls:
            self.calls -= 1
            raise out_of_memory()


def test_fifty_strikes_harm_no_neighbour(
    registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that is struck ends one way or the other, its neighbour always with the same picture."""
    clean = Bench(registry)
    clean.run(spec("good", user="bob", steps=2))
    wanted = pictures(clean, "good")
    chance = random.Random(7)
    bursts = Bursts(chance)
    bad = family.embed("bad").text[0]
    embed, denoise, decode = family.embed, family.denoise, family.decode
    ends: list[type] = []

    def embedding(text: str) -> Conditioning:
        bursts.strike("embed", text == "bad")
        return embed(text)

    def denoising(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
        bursts.strike("denoise", any(torch.equal(row, bad) for row in c.text))
        return denoise(x, t, c, tile)

    def decoding(latents: torch.Tensor, tile: bool) -> torch.Tensor:
        bursts.strike("decode", len(latents) in (1, 3))
        return decode(latents, tile)

    monkeypatch.setattr(family, "embed", embedding)
    monkeypatch.setattr(family, "denoise", denoising)
    monkeypatch.setattr(family, "decode", decoding)
    for _ in range(50):
        bursts = Bursts(chance)
        here = Bench(registry)
        here.core._finisher._decoding.update(clean.core._finisher._decoding)
        here.run(spec("bad", prompt="bad", seeds=(1,), steps=2), spec("good", user="bob", steps=2))
        ends.append(type([event for event in here.events if event.job_id == "bad"][-1]))
        assert close(pictures(here, "good"), wanted)
    assert set(ends) == {Finished, Failed}


class TestBudget:
    """Which models stay."""

    @pytest.fixture
    def size(self, registry: Registry) -> int:
        """Bytes of the model ``classic``, alike to ``velocity``."""
        registry.load("classic", CPU, torch.float32)
        return registry._size(("classic", "torch.float32"))

    def test_the_longest_unused_leaves(self, registry: Registry, size: int) -> None:
        registry.limit(int(2.5 * size), 10**9)
        for name in ("velocity", "classic", "sketchy"):
            registry.load(name, CPU, torch.float32)
        assert [name for name, _ in registry._loaded] == ["classic", "sketchy"]
        assert [name for name, _ in registry._aside] == ["velocity"]

    def test_what_is_in_use_stays(self, registry: Registry, size: int) -> None:
        registry.limit(int(1.5 * size), 10**9)
        registry.load("velocity", CPU, torch.float32, in_use=["classic"])
        assert [name for name, _ in registry._loaded] == ["classic", "velocity"]

    def test_what_is_aside_comes_back_without_being_read(
        self, registry: Registry, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.limit(int(1.5 * size), 10**9)
        first = registry.load("classic", CPU, torch.float32)
        registry.load("velocity", CPU, torch.float32)
        monkeypatch.setattr(registry, "_read", lambda *_: pytest.fail("it was read"))
        assert registry.load("classic", CPU, torch.float32) is first

    def test_texts_that_are_kept_do_not_stay_on_the_device(self, registry: Registry, size: int) -> None:
        registry.limit(int(1.5 * size), 10**9)
        family: Any = registry.load("classic", CPU, torch.float32)
        family.embed("a red apple")
        registry.load("velocity", CPU, torch.float32)
        assert not family._texts

    def test_memory_aside_has_an_end_too(self, registry: Registry, size: int) -> None:
        registry.limit(int(1.5 * size), int(1.5 * size))
        for name in ("velocity", "sample", "classic"):
            registry.load(name, CPU, torch.float32)
        assert "classic" in {name for name, _ in registry._loaded}
        assert sum(registry._size(key) for key in registry._aside) <= 1.5 * size

    def test_what_jobs_hold_is_not_dropped(self, registry: Registry, size: int) -> None:
        registry.limit(0, 0)
        assert not registry.set_aside(begun=["classic"])
        registry.limit(0, int(1.5 * size))
        held = registry.load("classic", CPU, torch.float32)
        registry.load("velocity", CPU, torch.float32)
        assert registry.set_aside(["velocity"], ["classic"])
        assert registry.set_aside(begun=["classic"])
        assert [name for name, _ in registry._aside] == ["classic"] and not registry._loaded
        assert registry.load("classic", CPU, torch.float32) is held

    def test_copies_of_what_is_loaded_count_as_memory_aside(self, registry: Registry, size: int) -> None:
        registry.limit(0, int(1.5 * size))
        classic = registry.load("classic", CPU, torch.float32)
        registry.set_aside()
        registry.load("classic", CPU, torch.float32)
        registry.load("velocity", CPU, torch.float32)
        assert registry._depot is not None and len(registry._depot._copies)
        registry.set_aside(["classic"])
        kept = {id(tensor) for tensor in registry._depot._copies}
        assert not any(id(tensor) in kept for part in parts_of(classic) for tensor in part.parameters())
        assert [name for name, _ in registry._aside] == ["velocity"]

    def test_parts_take_turns_only_where_memory_aside_holds_them(self, registry: Registry, size: int) -> None:
        family = registry.load("classic", CPU, torch.float32)
        registry.limit(0, size // 2)
        assert not registry.rotate(family)
        registry.limit(0, size)
        assert registry.rotate(family)

    def test_what_does_not_come_back_stays_aside(
        self, registry: Registry, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family = registry.load("classic", CPU, torch.float32)
        registry.set_aside()
        with monkeypatch.context() as patch:
            patch.setattr(Depot, "pick_up", lambda *_: (_ for _ in ()).throw(out_of_memory()))
            with pytest.raises(torch.OutOfMemoryError):
                registry.load("classic", CPU, torch.float32)
        assert registry.load("classic", CPU, torch.float32) is family

    def test_without_memory_aside_they_are_dropped(self, registry: Registry, size: int) -> None:
        registry.limit(int(1.5 * size), 0)
        registry.load("velocity", CPU, torch.float32)
        assert [name for name, _ in registry._loaded] == ["velocity"] and not registry._aside

    def test_loading_costs_nothing_for_what_is_loaded(self, folders: dict[str, Path]) -> None:
        times = iter(range(100))
        sources = {name: ModelSource(name, path) for name, path in folders.items()}
        registry = Registry(sources, "classic", clock=lambda: float(next(times)))
        assert registry.loading("classic") == 5.0
        registry.load("classic", CPU, torch.float32)
        assert registry.loading("classic") == 0.0
        assert registry.loading("velocity") == 1.0

    def test_what_could_not_be_loaded_is_not_asked_for_again_soon(
        self, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        sources = {name: ModelSource(name, path) for name, path in folders.items()}
        registry = Registry(sources, "classic", clock=lambda: now[0])
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_read", lambda *_: (_ for _ in ()).throw(out_of_memory()))
            with pytest.raises(torch.OutOfMemoryError):
                registry.load("classic", CPU, torch.float32)
        assert registry.loading("classic") == float("inf")
        assert registry.loading("velocity") < float("inf")
        now[0] = SHUNNED_S
        assert registry.loading("classic") < float("inf")
        registry.load("classic", CPU, torch.float32)
        assert registry.loading("classic") == 0.0


class TestDepot:
    """Weights on their way; ``meta`` stands in for a device, since it is another one at least."""

    def test_down_and_up_again(self) -> None:
        part = torch.nn.Linear(3, 2)
        before = [tensor.detach().clone() for tensor in part.parameters()]
        depot = Depot(CPU)
        depot.put_down([part])
        depot.pick_up([part])
        for tensor, old in zip(part.parameters(), before, strict=True):
            assert torch.equal(tensor, old)

    def test_what_was_changed_since_is_copied_anew(self) -> None:
        part = torch.nn.Linear(3, 2)
        depot = Depot(CPU)
        depot.put_down([part])
        with torch.no_grad():
            part.weight.add_(1)
        wanted = part.weight.detach().clone()
        depot.put_down([part])
        assert torch.equal(part.weight, wanted)

    def test_only_the_part_at_work_is_there(
        self, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen from inside, where hooks run as they do in the loop."""
        depot = Depot(CPU)
        moves: list[str] = []
        names = {id(part): type(part).__name__ for part in parts_of(family)}
        for verb in ("put_down", "pick_up"):
            monkeypatch.setattr(
                depot,
                verb,
                lambda parts, verb=verb: moves.extend(f"{verb} {names[id(part)]}" for part in parts),
            )
        Rotation(family, depot)
        moves.clear()
        latents = torch.zeros((1, 4, 8, 8))
        with torch.inference_mode():
            family.denoise(latents, torch.tensor([5.0]), family.embed("something new"), False)
            family.decode(latents, False)
        assert [move for move in moves if move.startswith("pick_up")] == [
            "pick_up CLIPTextModel",
            "pick_up UNet2DConditionModel",
            "pick_up AutoencoderKL",
        ]
        assert moves[1] == "put_down CLIPTextModel"


class TestSaferNumbers:
    """Pictures that are none are painted again in float32."""

    @pytest.fixture
    def narrow(self, registry: Registry) -> Bench:
        """A bench in bfloat16."""
        return Bench(registry, dtype=torch.bfloat16)

    def overflowing(self, registry: Registry, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
        """The model in bfloat16 answers ``value`` to one text."""
        family = registry.load("classic", CPU, torch.bfloat16)
        bad = family.embed("bad").text[0]  # type: ignore[attr-defined]
        denoise = family.denoise

        def broken(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
            answer = denoise(x, t, c, tile)
            for row, text in enumerate(c.text):
                if torch.equal(text, bad):
                    answer[row] = value
            return answer

        monkeypatch.setattr(family, "denoise", broken)

    def test_numbers_that_overflow(
        self, narrow: Bench, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.overflowing(registry, monkeypatch, float("nan"))
        narrow.run(spec("bad", prompt="bad"), spec("good", user="bob"))
        whole = Bench(registry)
        whole.run(spec("bad", prompt="bad"))
        assert close(pictures(narrow, "bad"), pictures(whole, "bad"))
        assert narrow.finished("good").images
        assert narrow.kinds("bad").count("Started") == 1

    def test_frames_of_one_colour(
        self, narrow: Bench, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family = registry.load("classic", CPU, torch.bfloat16)
        monkeypatch.setattr(
            family, "decode", lambda latents, tile: torch.zeros((len(latents), 3, 64, 64)), raising=True
        )
        narrow.run(spec())
        assert len(narrow.finished("job").images) == 2

    def test_a_job_that_stays_broken_fails_once(
        self, narrow: Bench, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for dtype in (torch.bfloat16, torch.float32):
            family = registry.load("classic", CPU, dtype)
            monkeypatch.setattr(
                family, "decode", lambda latents, tile: torch.full((len(latents), 3, 64, 64), float("nan"))
            )
        narrow.run(spec(), replace(spec("other"), model="sketchy"))
        assert "returned no numbers" in str(narrow.failed("job").error)
        assert not narrow.failed("job").retryable
        assert narrow.finished("other").images


@pytest.fixture(autouse=True)
def nothing_is_left(here: Bench) -> Iterator[None]:
    yield
    assert not here.core.busy
