"""Pulling a model from hubs that are away, cut the line, lie, or list what no model has."""

from __future__ import annotations

import errno
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import sources
from engine.api import EngineError
from engine.sources import MANIFEST, DownloadFailed, HubModel, RemoteFile
from tests.hub import REPO, REVISION, Mirror, serving

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
CONTENT = random.Random(0).randbytes(300_000)
FILES = {
    "model_index.json": json.dumps(
        {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "image_encoder": [None, None],
        }
    ).encode(),
    WEIGHTS: CONTENT,
    "unet/diffusion_pytorch_model.fp16.safetensors": CONTENT[:1000],
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "unet/config.json": b"{}",
    "unet/modeling.py": b"print('code of its own')",
    "tokenizer/merges.txt": b"a b",
    "tokenizer/vocab.json": b"{}",
    "tokenizer/chat_template.jinja": b"{{ messages }}",
    "safety_checker/model.safetensors": b"large",
    "v1-5-pruned.safetensors": b"all in one",
    "v1-5-pruned.ckpt": b"a pickle",
    ".gitattributes": b"",
    "pictures/a cat, painted.png": b"",
}
TOKENIZER = {f"tokenizer/{name}" for name in ("merges.txt", "vocab.json", "chat_template.jinja")}
TAKEN = {"model_index.json", WEIGHTS, "unet/config.json", *TOKENIZER}
Pulled = Callable[..., HubModel]


@pytest.fixture
def mirrors() -> Iterator[tuple[Mirror, Mirror]]:
    pair = Mirror(FILES), Mirror(FILES)
    with serving(*pair):
        yield pair


@pytest.fixture
def model(mirrors: tuple[Mirror, Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubModel:
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    addresses = tuple(mirror.address for mirror in mirrors)
    return HubModel("mine", REPO, REVISION, tmp_path / "models" / "mine", addresses)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}


def refused(model: HubModel) -> str:
    with pytest.raises(DownloadFailed) as caught:
        sources.pull(model)
    return str(caught.value)


def test_only_what_loading_needs_arrives_and_is_whole(model: HubModel) -> None:
    sources.pull(model)
    assert files(model.folder) == TAKEN
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT
    assert sources.check(model) == []
    assert not model.arriving.exists()


def test_a_variant_and_the_safety_checker_are_taken_when_asked_for(model: HubModel) -> None:
    sources.pull(replace(model, variant="fp16", checker=True))
    fp16 = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert files(model.folder) == TAKEN - {WEIGHTS} | {fp16, "safety_checker/model.safetensors"}
    sources.pull(model)
    assert files(model.folder) == TAKEN


def test_a_second_pull_asks_for_nothing(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    sources.pull(model)
    asked = len(mirrors[0].asked)
    sources.pull(model)
    assert len(mirrors[0].asked) == asked


def test_a_cut_line_is_gone_on_with_by_range(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    mirrors[0].cuts[WEIGHTS] = [200_000]
    sources.pull(model)
    assert mirrors[0].ranges(WEIGHTS) == [None, "bytes=196608-"]
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT


def test_what_a_killed_pull_left_is_gone_on_with(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    growing = model.arriving / f"{WEIGHTS}.growing"
    growing.parent.mkdir(parents=True)
    growing.write_bytes(CONTENT[:123_456])
    sources.pull(model)
    assert mirrors[0].ranges(WEIGHTS) == ["bytes=123456-"]
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT


def test_a_wrong_beginning_is_begun_anew(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    growing = model.arriving / f"{WEIGHTS}.growing"
    growing.parent.mkdir(parents=True)
    growing.write_bytes(bytes(1000))
    sources.pull(model)
    assert mirrors[0].ranges(WEIGHTS) == ["bytes=1000-", None]
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["missing", "lie", "short", "dead", "away"])
def test_the_next_mirror_helps_out(model: HubModel, mirrors: tuple[Mirror, Mirror], fault: str) -> None:
    first, second = mirrors
    if fault == "missing":
        first.missing.add(WEIGHTS)
    elif fault == "lie":
        first.sends[WEIGHTS] = bytes(len(CONTENT))
    elif fault == "short":
        first.sends[WEIGHTS] = CONTENT[:10]
    elif fault == "dead":
        first.cuts[WEIGHTS] = [150_000] + [0] * 50
    else:
        model = replace(model, mirrors=("http://127.0.0.1:1", second.address))
    sources.pull(model)
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT
    assert second.ranges(WEIGHTS) == [{"dead": "bytes=131072-", "short": "bytes=10-"}.get(fault)]


def test_a_file_that_no_mirror_has_is_named_with_every_reason(
    model: HubModel, mirrors: tuple[Mirror, Mirror]
) -> None:
    mirrors[0].missing.add(WEIGHTS)
    mirrors[1].sends[WEIGHTS] = bytes(len(CONTENT))
    assert refused(model) == (
        f"{WEIGHTS} of {REPO} could not be fetched ({mirrors[0].address}: answered 404; "
        f"{mirrors[1].address}: what it sent has another SHA-256 than expected). What has arrived is kept; "
        "type `tessera models pull mine` again, or add a mirror to [hub] mirrors."
    )
    assert not model.folder.exists()
    assert (model.arriving / "model_index.json").exists()


def test_the_operator_s_hash_goes_before_the_mirror_s(model: HubModel) -> None:
    assert "another SHA-256 than expected" in refused(replace(model, sha256={WEIGHTS: "0" * 64}))
    sources.pull(replace(model, sha256={WEIGHTS: hashlib.sha256(CONTENT).hexdigest()}))


def test_a_hub_that_does_not_know_the_commit(model: HubModel) -> None:
    said = refused(replace(model, revision="f" * 40))
    assert f"no mirror lists {REPO} at ffffffffffff (" in said and "answered 404" in said
    assert "Mend its hub and revision" in said


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_what_to_do(model: HubModel, mirrors: tuple[Mirror, Mirror], status: int) -> None:
    for mirror in mirrors:
        mirror.status = status
    said = refused(replace(model, token="hf_canary"))
    assert "accept its terms on its page and set HF_TOKEN" in said
    assert "canary" not in said + repr(replace(model, token="hf_canary"))


def test_the_token_goes_to_the_first_mirror_alone(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    mirrors[0].missing.add(WEIGHTS)
    sources.pull(replace(model, token="hf_canary"))
    assert set(mirrors[0].tokens) | {asked.token for asked in mirrors[0].asked} == {"Bearer hf_canary"}
    assert set(mirrors[1].tokens) | {asked.token for asked in mirrors[1].asked} == {None}


def test_no_next_page_elsewhere_gets_the_token(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    first, other = mirrors
    page = f"/api/models/{REPO}/tree/{REVISION}"
    first.headers["Link"] = f'<{other.address}{page}>; rel="next"'
    sources.pull(replace(model, token="hf_canary", mirrors=(first.address,)))
    assert first.tokens == ["Bearer hf_canary"] and other.tokens == [None]


@pytest.mark.parametrize(
    "name", ["../../evil.json", "/etc/evil.json", "unet/../../evil.json", "unet\\..\\e.json"]
)
def test_names_that_lead_outside_are_refused(
    model: HubModel, mirrors: tuple[Mirror, Mirror], tmp_path: Path, name: str
) -> None:
    for mirror in mirrors:
        mirror.names = (name,)
    assert "would lie outside of the model's folder" in refused(model)
    assert not list(tmp_path.rglob("*.json"))


def test_code_of_a_model_s_own_is_refused_before_the_weights(
    model: HubModel, mirrors: tuple[Mirror, Mirror]
) -> None:
    index = json.dumps({"_class_name": "X", "unet": ["my_code", "Net"]}).encode()
    for mirror in mirrors:
        mirror.files = {**FILES, "model_index.json": index}
    assert "wants code from 'my_code' for its unet" in refused(model)
    assert not mirrors[0].ranges(WEIGHTS)


def test_pickles_alone_are_refused_before_the_weights(
    model: HubModel, mirrors: tuple[Mirror, Mirror]
) -> None:
    for mirror in mirrors:
        mirror.files = {path: content for path, content in FILES.items() if "unet/diffusion" not in path} | {
            "unet/diffusion_pytorch_model.bin": b"a pickle"
        }
    assert refused(model) == (
        f"unet/diffusion_pytorch_model.bin of {REPO} is a pickle, which is never loaded, and its unet has no "
        "other weights; choose a revision or a model with safetensors."
    )
    assert {asked.path for asked in mirrors[0].asked} == {"model_index.json"}


def test_a_disk_without_links_fetches_again(
    model: HubModel, mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    sources.pull(model)
    (model.folder / "unet/config.json").unlink()
    monkeypatch.setattr("engine.sources.os.link", refuse)
    sources.pull(model)
    assert sources.check(model) == []
    assert len(mirrors[0].ranges(WEIGHTS)) == 2


def test_a_repository_that_is_no_diffusers_model(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    for mirror in mirrors:
        mirror.files = {"model.safetensors": CONTENT}
    assert "has no model_index.json, so it is not a diffusers model" in refused(model)


def test_room_is_looked_for_before_the_weights(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    with pytest.raises(
        DownloadFailed, match=r"needs 0\.0 GB more, and the disk of .* has 0\.0 GB; free some"
    ):
        sources.pull(model, free=lambda _: len(CONTENT) - 1)
    assert not mirrors[0].ranges(WEIGHTS)


def test_a_disk_that_fills_up_keeps_what_arrived(model: HubModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("engine.sources.os.fsync", full)
        assert refused(model) == (
            f"The disk of {model.folder.parent} is full. What has arrived is kept; free some space and type "
            "`tessera models pull mine` again."
        )
    sources.pull(model)
    assert sources.check(model) == []


def test_damage_is_found_and_mended_without_fetching_the_rest(
    model: HubModel, mirrors: tuple[Mirror, Mirror]
) -> None:
    sources.pull(model)
    (model.folder / "tessera.json").write_text('{"steps": 9}')
    (model.folder / WEIGHTS).write_bytes(bytes(len(CONTENT)))
    (model.folder / "unet/config.json").unlink()
    faults = sources.check(model)
    assert (
        f"{model.folder / WEIGHTS} has another SHA-256 than expected; type: tessera models pull mine"
        in faults
    )
    assert f"{model.folder / 'unet/config.json'} is missing; type: tessera models pull mine" in faults
    mirrors[0].asked.clear()
    sources.pull(model)
    assert {asked.path for asked in mirrors[0].asked} == {WEIGHTS, "unet/config.json"}
    assert sources.check(model) == []
    assert (model.folder / "tessera.json").read_text() == '{"steps": 9}'


def test_a_folder_of_the_operator_s_own_is_left_alone(model: HubModel) -> None:
    model.folder.mkdir(parents=True)
    (model.folder / "precious.safetensors").write_bytes(b"mine")
    for deed in (sources.pull, sources.remove):
        with pytest.raises(EngineError, match="was not pulled by Tessera; delete or move it by hand"):
            deed(model)
    assert files(model.folder) == {"precious.safetensors"}


def test_removing_frees_what_was_pulled_and_no_more(model: HubModel) -> None:
    with pytest.raises(EngineError, match="not downloaded; there is nothing to remove"):
        sources.remove(model)
    sources.pull(model)
    (model.folder / "ip_adapter").mkdir()
    (model.folder / "ip_adapter" / "own.safetensors").write_bytes(b"mine")
    assert sources.remove(model) >= len(CONTENT)
    assert files(model.folder) == {"ip_adapter/own.safetensors"}
    assert sources.check(model) == ["Model 'mine' is not downloaded yet; type: tessera models pull mine"]


def test_two_processes_do_not_pull_the_same(model: HubModel) -> None:
    with sources._alone(model):
        assert "Another process is at work on model 'mine'" in refused(model)


@pytest.mark.parametrize("fault", ["endless", "drips"])
def test_a_mirror_that_never_comes_to_an_end(
    model: HubModel, mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It fills no disk, it keeps nobody waiting, and the next one helps out."""
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.3)
    getattr(mirrors[0], fault).add(WEIGHTS)
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_from_mirror", _watched(sources._from_mirror, len(CONTENT)))
        sources.pull(model)
    assert (model.folder / WEIGHTS).read_bytes() == CONTENT
    assert mirrors[1].ranges(WEIGHTS)


def _watched(fetch: Callable[..., str | None], most: int) -> Callable[..., str | None]:
    def fetched(model: HubModel, mirror: str, file: RemoteFile, growing: Path) -> str | None:
        fault = fetch(model, mirror, file, growing)
        assert not growing.exists() or growing.stat().st_size <= most
        return fault

    return fetched


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"size": "12"}, f"it lists {WEIGHTS!r} without a size"),
        ({"size": -5}, f"it lists {WEIGHTS!r} without a size"),
        ({"size": None}, f"it lists {WEIGHTS!r} without a size"),
        ({"path": None}, "sent something that is no answer of a hub"),
    ],
)
def test_a_listing_that_makes_no_sense(
    model: HubModel, mirrors: tuple[Mirror, Mirror], lie: dict[str, object], said: str
) -> None:
    for mirror in mirrors:
        mirror.lies[WEIGHTS] = lie
    assert said in refused(model)


def test_a_listing_without_an_end(
    model: HubModel, mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_FILES", 12)
    assert "it lists more than 12 files" in refused(model)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model_index.json": b"[" * 100_000}, "model_index.json of the model is no JSON object"),
        (
            {"model_index.json": b"{}"},
            "describes a None, which neither this engine nor the installed diffusers knows. Choose another",
        ),
        (
            {"model_index.json": b'{"_class_name": [null, "X"]}'},
            "which neither this engine nor the installed diffusers knows. Choose another model.",
        ),
        (
            {"model_index.json": FILES["model_index.json"], "unet/config.json": b"{}"},
            f"{REPO} has no weights in safetensors for its unet; choose another revision or model.",
        ),
    ],
)
def test_what_could_not_be_painted_with_is_told_before_the_weights(
    model: HubModel, mirrors: tuple[Mirror, Mirror], files: dict[str, bytes], said: str
) -> None:
    for mirror in mirrors:
        mirror.files = files
    assert said in refused(model)


def test_a_hash_for_no_file_is_told(model: HubModel, mirrors: tuple[Mirror, Mirror]) -> None:
    said = refused(replace(model, sha256={"unet/model.safetensors": "0" * 64}))
    assert "[models.mine] sha256 names 'unet/model.safetensors', which is none of the files that are" in said
    assert not mirrors[0].ranges(WEIGHTS)


def test_what_lies_behind_links_is_nobody_s_to_delete(model: HubModel, tmp_path: Path) -> None:
    """The operator may keep a component once for several models."""
    shared = tmp_path / "shared"
    sources.pull(model)
    (model.folder / "unet").rename(shared)
    (model.folder / "unet").symlink_to(shared)
    (model.folder / "vae").symlink_to(shared)
    assert sources.check(model) == []
    sources.pull(replace(model, variant="fp16"))
    assert (model.folder / "vae").is_symlink() and (shared / WEIGHTS.split("/")[1]).read_bytes() == CONTENT
    sources.remove(model)
    assert (model.folder / "vae").is_symlink() and len(list(shared.iterdir())) == 2


def test_a_place_that_leads_elsewhere_is_refused(model: HubModel, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    model.arriving.parent.mkdir()
    model.arriving.symlink_to(tmp_path / "precious")
    for deed in (sources.pull, sources.remove):
        with pytest.raises(EngineError, match="was not pulled by Tessera"):
            deed(model)
    assert not list((tmp_path / "precious").iterdir())


def test_what_was_removed_beside_an_operator_s_file_comes_back(model: HubModel) -> None:
    sources.pull(model)
    (model.folder / "tessera.json").write_text("{}")
    sources.remove(model)
    assert files(model.folder) == {"tessera.json"}
    sources.pull(model)
    assert files(model.folder) == {*TAKEN, "tessera.json"} and sources.check(model) == []


@pytest.mark.parametrize(
    "junk",
    [
        {"files": 5},
        {"files": ["x"]},
        {"files": [{"a": 1}]},
        {"files": [{"path": "../../victim", "size": 1, "digest": "x"}]},
        {"files": [{"path": "unet/config.json", "size": "x", "digest": "y"}]},
    ],
)
def test_a_list_that_somebody_changed_deletes_nothing(
    model: HubModel, tmp_path: Path, junk: dict[str, object]
) -> None:
    sources.pull(model)
    (tmp_path / "victim").write_bytes(b"!")
    manifest = model.folder / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **junk}))
    assert sources.check(model) == ["Model 'mine' is not downloaded yet; type: tessera models pull mine"]
    for deed in (sources.pull, sources.remove):
        with pytest.raises(EngineError, match="was not pulled by Tessera"):
            deed(model)
    assert files(model.folder) == TAKEN and (tmp_path / "victim").exists()
