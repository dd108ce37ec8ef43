"""Models of a hub, brought to a folder: pinned, resumed, checked to the last byte. Torch-free.

Nothing here runs by itself: :func:`pull` is what ``tessera models pull`` calls. What a hub lists is hostile
until its hash agrees; of its files only weights in safetensors, JSON and tokenizers are ever written, so that
no pickle and no code of a model reaches the disk.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.api import EngineError, ModelUnavailable
from engine.models.family import PIPELINES
from engine.profile import is_component, trusted
from engine.weights import PICKLES

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

MANIFEST = "tessera-hub.json"
"""Lies in a pulled folder: where it came from, and the size and hash of every file of it."""
SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})
"""Of files that are taken, weights and what belongs to tokenizers; everything else stays where it is."""
CHECKER = "safety_checker"
"""Component of a gigabyte that only the picture check of that name wants."""
TIMEOUT_S = 30.0
SLOWEST = 1 << 10
"""Bytes a second, on average over ``TIMEOUT_S``, below which a line counts as dead."""
MOST_FILES = 10_000
"""Of a repository; a listing without end is no model's."""
KEPT = 1 << 16
"""Bytes that are written at a time: a cut line loses fewer than these."""
_CHUNK = 1 << 20
_NAME = re.compile(r"\w[\w.+-]{0,200}", re.ASCII)
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|model|pytorch_model)(?:\.(?P<early>\w+))?(?:-\d{5}-of-\d{5})?"
    r"(?:\.(?P<late>\w+))?\.safetensors(?:\.index(?:\.(?P<index>\w+))?\.json)?"
)


class DownloadFailed(EngineError):
    """A model could not be brought here whole; names the file, the reason, and what to type."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository at one commit, and the folder that takes it. ``token`` goes to the first mirror alone."""

    name: str
    repo: str
    """``owner/name``."""
    revision: str
    """The commit, 40 hex digits."""
    folder: Path
    mirrors: tuple[str, ...]
    """Addresses of hubs, tried in this order for every file."""
    token: str | None = field(default=None, repr=False)
    variant: str = ""
    """``fp16`` takes weights of that variant where there are such; else those without one."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Hashes by file, which go before what a mirror says of itself."""
    checker: bool = False
    """Bring the model's safety checker too."""

    @property
    def arriving(self) -> Path:
        """Where files gather until all are there, beside the folder and on the same disk."""
        return self.folder.with_name(f"{self.folder.name}.part")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as a mirror lists it: its path in the repository, bytes, and ``sha256:`` or ``git:`` digest."""

    path: str
    size: int
    digest: str


def pull(model: HubModel, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> int:
    """Bring the model whole into its folder; returns the bytes it holds. Goes on where it was cut off.

    ``free`` tells the bytes left on a folder's disk. DownloadFailed leaves what has arrived, and the folder
    of an earlier pull, as they are.
    """
    _refuse_foreign(model)
    try:
        with _alone(model):
            if check(model):
                _gather(model, free)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadFailed(_full(model)) from error
        place = error.filename or model.folder
        raise DownloadFailed(f"{place} cannot be written: {error.strerror or error}.") from error
    return _size(model.folder)


def check(model: HubModel) -> list[str]:
    """What is wrong with a pulled folder, a sentence per file; reads every byte. Empty when all is well."""
    held = _manifest(model.folder)
    if held is None or not held["files"]:
        return [f"Model {model.name!r} is not downloaded yet; {_again(model)}"]
    faults = []
    if any(held[key] != value for key, value in _identity(model).items()):
        told = f"{held['hub']} at {held['revision'][:12]}"
        faults.append(f"{model.folder} holds {told}, which is no longer what is configured; {_again(model)}")
    for listed in held["files"]:
        file = _pinned(model, RemoteFile(**listed))
        if (fault := _wrong(model.folder / file.path, file)) is not None:
            faults.append(f"{model.folder / file.path} {fault}; {_again(model)}")
    return faults


def remove(model: HubModel) -> int:
    """Delete what :func:`pull` brought, whole or in part; returns the bytes that became free.

    What the operator put beside it stays. EngineError when there is nothing of ours.
    """
    _refuse_foreign(model)
    if not model.folder.is_dir() and not model.arriving.is_dir():
        raise EngineError(f"Model {model.name!r} is not downloaded; there is nothing to remove.")
    with _alone(model):
        before = _size(model.folder) + _size(model.arriving)
        if model.arriving.is_dir():
            shutil.rmtree(model.arriving)
        if model.folder.is_dir():
            _clear(model.folder)
        if model.folder.is_dir():
            _write_manifest(model, model.folder, ())  # still a folder for the next pull
        return before - _size(model.folder)


def _refuse_foreign(model: HubModel) -> None:
    """EngineError when the folder is one that we did not make, or leads elsewhere."""
    linked = model.folder.is_symlink() or model.arriving.is_symlink()
    if linked or (model.folder.exists() and _manifest(model.folder) is None):
        raise EngineError(
            f"{model.folder} was not pulled by Tessera; delete or move it by hand, or set "
            f"[models.{model.name}] path to another folder."
        )


def _gather(model: HubModel, free: Callable[[Path], int]) -> None:
    """List, choose, look for room, fetch each file, and only then put the folder in its place."""
    mirrors, listed = _listing(model)
    index = _fetched_index(model, mirrors, listed)
    files = [_pinned(model, file) for file in _chosen(model, index, listed)]
    _refuse_idle_pins(model, files)
    _room(model, files, free)
    for file in files:
        _fetch(model, mirrors, file)
    for stray in model.arriving.rglob(f"*{_GROWING}"):
        stray.unlink()
    _write_manifest(model, model.arriving, files)
    if model.folder.exists():
        _clear(model.folder)
        _move_rest(model.folder, model.arriving)
    model.arriving.rename(model.folder)


def _clear(folder: Path) -> None:
    """Delete the files of the manifest, the manifest last, and the folders that are empty then. What lies in
    another place by now, behind a link of the operator's, stays there.
    """
    held = _manifest(folder) or {"files": []}
    for listed in held["files"]:
        path = folder / listed["path"]
        if path.parent.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not inner.is_symlink() and not any(inner.iterdir()):
            inner.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()


def _move_rest(folder: Path, target: Path) -> None:
    """What the operator put into a folder moves along when a new pull takes its place."""
    if not folder.exists():
        return
    for path in [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]:
        place = target / path.relative_to(folder)
        if place.is_dir():
            continue  # a link to what has been pulled anew
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    shutil.rmtree(folder)


@contextmanager
def _alone(model: HubModel) -> Iterator[None]:
    """One process works on a model's folder at a time."""
    from filelock import FileLock, Timeout

    model.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(model.folder.with_name(f".{model.folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DownloadFailed(f"Another process is at work on model {model.name!r}; wait for it.") from None
    try:
        yield
    finally:
        lock.release()


def _listing(model: HubModel) -> tuple[tuple[str, ...], dict[str, RemoteFile]]:
    """The mirrors that know the commit, and the files of it as the first of them lists them."""
    known, files, said = [], None, []
    for mirror in model.mirrors:
        try:
            listed = _list(model, mirror)
        except Exception as error:
            said.append(f"{mirror}: {_reason(error)}")
            continue
        known.append(mirror)
        files = files or listed
    if files is None:
        raise DownloadFailed(
            f"Model {model.name!r}: no mirror lists {model.repo} at {model.revision[:12]} "
            f"({'; '.join(said)}). Mend its hub and revision, or add a mirror to [hub] mirrors."
        )
    return tuple(known), files


def _list(model: HubModel, mirror: str) -> dict[str, RemoteFile]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    _connect(mirror)
    tree = HfApi(endpoint=mirror, token=_token(model, mirror)).list_repo_tree(
        model.repo, recursive=True, revision=model.revision
    )
    files = {}
    for entry in tree:
        if isinstance(entry, RepoFile):
            digest = f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git:{entry.blob_id}"
            files[_safe(entry.path)] = RemoteFile(entry.path, _sized(entry.path, entry.size), digest)
            if len(files) > MOST_FILES:
                raise DownloadFailed(f"it lists more than {MOST_FILES:,} files")
    return files


def _sized(path: str, size: object) -> int:
    if not isinstance(size, int) or size < 0:
        raise DownloadFailed(f"it lists {path[:80]!r} without a size")
    return size


def _fetched_index(
    model: HubModel, mirrors: tuple[str, ...], listed: Mapping[str, RemoteFile]
) -> Mapping[str, Any]:
    """``model_index.json``, which says what else is needed, and that no code of the model's own is."""
    if "model_index.json" not in listed:
        raise DownloadFailed(
            f"{model.repo} has no model_index.json, so it is not a diffusers model; choose another hub name."
        )
    index = _json(_fetch(model, mirrors, _pinned(model, listed["model_index.json"])))
    for name, value in index.items():
        library = value[0] if is_component(value) else None
        if library is not None and not trusted(library) and name != CHECKER:
            raise DownloadFailed(
                f"{model.repo} wants code from {library!r} for its {name}; "
                "only diffusers and transformers are trusted. Choose another model."
            )
    if (kind := str(index.get("_class_name"))) not in PIPELINES:
        _refuse_unknown(model, kind, index)
    return index


def _refuse_unknown(model: HubModel, kind: str, index: Mapping[str, Any]) -> None:
    """DownloadFailed where not even diffusers has a pipeline that paints with it."""
    from engine.models.unlisted import unlisted

    try:
        unlisted(kind, Path("model_index.json"), index)
    except ModelUnavailable as fault:
        raise DownloadFailed(f"{model.repo} cannot be run here: {fault} Choose another model.") from None


def _chosen(
    model: HubModel, index: Mapping[str, Any], listed: Mapping[str, RemoteFile]
) -> Iterator[RemoteFile]:
    """The files that loading needs: JSON and tokenizers of every component, its weights in one variant."""
    yield from (listed[name] for name in ("model_index.json", "tessera.json") if name in listed)
    for component, value in index.items():
        if not is_component(value):
            continue
        if component == CHECKER and not model.checker:
            continue
        files = [file for path, file in listed.items() if _inside(path, component)]
        variants = {_variant(file.path) for file in files} - {None}
        _refuse_pickled(model, component, listed, bool(variants))
        if not variants and f"{component}/config.json" in listed:
            raise DownloadFailed(
                f"{model.repo} has no weights in safetensors for its {component}; choose another revision or "
                "model."
            )
        wanted = next((name for name in (model.variant, "", "fp16") if name in variants), None)
        yield from (file for file in files if _variant(file.path) in (None, wanted))


def _refuse_pickled(
    model: HubModel, component: str, listed: Mapping[str, RemoteFile], has_weights: bool
) -> None:
    """DownloadFailed before anything large comes for a component that nothing here would load."""
    pickled = [path for path in map(PurePosixPath, listed) if path.suffix in PICKLES]
    found = next((path for path in pickled if str(path.parent) == component), None)
    if found and not has_weights:
        raise DownloadFailed(
            f"{found} of {model.repo} is a pickle, which is never loaded, and its {component} has no other "
            "weights; choose a revision or a model with safetensors."
        )


def _inside(path: str, component: str) -> bool:
    parts = PurePosixPath(path)
    return str(parts.parent) == component and parts.suffix in SUFFIXES and bool(_NAME.fullmatch(parts.name))


def _variant(path: str) -> str | None:
    """``""`` or the variant of a file of weights or its index; None for any other file.

    Weights of names that no library loads by itself (``flux-dev.safetensors``) have a variant of their own.
    """
    name = PurePosixPath(path).name
    if ".safetensors" not in name:
        return None
    found = _WEIGHTS.fullmatch(name)
    return next((part for part in found.groups() if part), "") if found else name


def _refuse_idle_pins(model: HubModel, files: Sequence[RemoteFile]) -> None:
    """DownloadFailed for a hash that would hold nothing, since its file does not come."""
    idle = sorted(set(model.sha256) - {file.path for file in files})
    if idle:
        raise DownloadFailed(
            f"[models.{model.name}] sha256 names {idle[0]!r}, which is none of the files that are fetched: "
            f"{', '.join(file.path for file in files)}. Mend its name, or leave it out."
        )


def _room(model: HubModel, files: Iterable[RemoteFile], free: Callable[[Path], int]) -> None:
    """DownloadFailed before the first byte when the disk cannot hold the rest."""
    rest = 0
    for file in files:
        target, held = model.arriving / file.path, model.folder / file.path
        rest += max(0, file.size - max(map(_bytes, (target, held, _growing(target)))))
    left = free(model.folder.parent)
    if rest > left:
        raise DownloadFailed(
            f"Model {model.name!r} needs {_gigabytes(rest)} more, and the disk of {model.folder.parent} has "
            f"{_gigabytes(left)}; free some space, or set [models.{model.name}] path to another disk."
        )


def _fetch(model: HubModel, mirrors: Sequence[str], file: RemoteFile) -> Path:
    """The file, whole; from the first mirror that has it, going on from what an earlier one sent."""
    target = model.arriving / file.path
    if _wrong(target, file) is None:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if _linked(model.folder / file.path, target, file):
        return target
    said = []
    for mirror in mirrors:
        if (fault := _from_mirror(model, mirror, file, _growing(target))) is None:
            _growing(target).replace(target)
            return target
        said.append(f"{mirror}: {fault}")
    raise DownloadFailed(
        f"{file.path} of {model.repo} could not be fetched ({'; '.join(said)}). What has arrived is kept; "
        f"type `tessera models pull {model.name}` again, or add a mirror to [hub] mirrors."
    )


def _linked(held: Path, target: Path, file: RemoteFile) -> bool:
    """Whether an earlier pull (of another revision, or damaged since) held the file and lends it."""
    if _wrong(held, file) is not None:
        return False
    try:
        os.link(held, target)
    except OSError:
        return False  # a disk without links
    return True


def _from_mirror(model: HubModel, mirror: str, file: RemoteFile, growing: Path) -> str | None:
    """Why this mirror could not bring ``growing`` to the whole file; None when it could.

    A beginning that an earlier attempt left is gone on with; where that ends wrong, it is begun anew.
    """
    for begun in [True, False] if growing.exists() else [False]:
        try:
            _receive(model, mirror, file, growing, begun)
        except Exception as error:
            if isinstance(error, OSError) and error.errno:
                raise  # the disk's fault, not the mirror's
            return _reason(error)
        if (fault := _wrong(growing, file)) is None:
            return None
        growing.unlink()  # nothing of it can be trusted
    return f"what it sent {fault}"


def _receive(model: HubModel, mirror: str, file: RemoteFile, growing: Path, begun: bool) -> None:
    """Append the rest of a file; the library asks by Range and tries again when the line is cut."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    _connect(mirror)
    size = min(_bytes(growing), file.size) if begun else 0
    with _Bounded(growing, file.size) as stream:
        stream.truncate(size)
        http_get(
            hf_hub_url(model.repo, file.path, revision=model.revision, endpoint=mirror),
            stream,
            resume_size=size,
            headers={
                **build_hf_headers(token=_token(model, mirror) or False),
                "Accept-Encoding": "identity",
            },
            expected_size=file.size,
            displayed_filename=file.path,
        )
        stream.flush()
        os.fsync(stream.fileno())


class _Bounded(io.BufferedWriter):
    """A file to append to that does not grow beyond what was listed, whatever a mirror sends."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._most = most

    def write(self, chunk: Buffer) -> int:
        """DownloadFailed for what is too much."""
        if self.tell() + memoryview(chunk).nbytes > self._most:
            raise DownloadFailed("sent more than it lists")
        return super().write(chunk)


def _connect(mirror: str) -> None:
    """An http client that does not wait for ever and keeps the secret; progress is for people only."""
    import httpx2
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, logging

    huggingface_hub.set_client_factory(
        lambda: httpx2.Client(
            follow_redirects=True,
            timeout=TIMEOUT_S,
            event_hooks={"request": [partial(_keep_secret, mirror)], "response": [_refuse_drips]},
        )
    )
    constants.DOWNLOAD_CHUNK_SIZE = KEPT  # of its 10 MB a cut line would lose whatever is not full
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()


def _keep_secret(mirror: str, request: Any) -> None:
    """A mirror's listing may say that its next page lies with somebody else."""
    if _origin(str(request.url)) != _origin(mirror):
        request.headers.pop("Authorization", None)


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port


def _refuse_drips(response: Any) -> None:
    """ReadTimeout for a body that comes drop by drop: such a line is never silent for long enough."""
    import httpx2

    inner = response.stream

    class Watched(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            began, arrived = time.monotonic(), 0
            for part in inner:
                yield part
                arrived += len(part)
                if (passed := time.monotonic() - began) > TIMEOUT_S:
                    if arrived < SLOWEST * passed:
                        raise httpx2.ReadTimeout("too slow")
                    began, arrived = time.monotonic(), 0

        def close(self) -> None:
            inner.close()

    response.stream = Watched()


def _token(model: HubModel, mirror: str) -> str | bool:
    """The secret for the first mirror, by an encrypted line (or on this machine); none for all others.

    False also keeps the library from sending one that it finds by itself.
    """
    address = urlsplit(mirror)
    private = address.scheme == "https" or address.hostname in ("localhost", "127.0.0.1", "::1")
    return model.token if model.token and mirror == model.mirrors[0] and private else False


def _reason(error: Exception) -> str:
    """Why a mirror did not serve, in few words of our own: an error's own may hold signed addresses."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    match error:
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return (
                f"answered {error.response.status_code}: there is no such model, or it is gated; accept its "
                "terms on its page and set HF_TOKEN"
            )
        case HfHubHTTPError():
            return f"answered {error.response.status_code}"
        case httpx2.ConnectError():
            return "cannot be reached"
        case httpx2.TimeoutException():
            return "did not answer in time"
        case httpx2.TransportError():
            return "cut the connection"
        case DownloadFailed():
            return str(error)
        case OSError() if "Consistency check" in str(error):
            return "sent a file of another size"
        case _:
            return f"sent something that is no answer of a hub ({type(error).__name__})"


def _safe(path: str) -> str:
    """The path itself; DownloadFailed when it could lead out of the model's folder."""
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise DownloadFailed(f"it lists a file {path[:80]!r}, which would lie outside of the model's folder")
    return path


def _pinned(model: HubModel, file: RemoteFile) -> RemoteFile:
    """The file with the operator's hash, where there is one."""
    given = model.sha256.get(file.path)
    return RemoteFile(file.path, file.size, f"sha256:{given.lower()}") if given else file


def _wrong(path: Path, file: RemoteFile) -> str | None:
    """What is wrong with a file on the disk, or None."""
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != file.size:
        return f"has {size:,} bytes in place of {file.size:,}"
    kind, _, expected = file.digest.partition(":")
    if _digest(path, kind, file.size) != expected:
        return f"has another {'SHA-256' if kind == 'sha256' else 'hash'} than expected"
    return None


def _digest(path: Path, kind: str, size: int) -> str:
    """SHA-256 of the content, or git's SHA-1 of a blob (https://git-scm.com/book/en/v2/Git-Internals)."""
    digest = (
        hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    )
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_GROWING = ".growing"


def _growing(path: Path) -> Path:
    return path.with_name(path.name + _GROWING)


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DownloadFailed(f"{path.name} of the model is no JSON object; choose another model.")
    return content


def _identity(model: HubModel) -> dict[str, Any]:
    """What decides on the files of a folder."""
    return {"hub": model.repo, "revision": model.revision, "variant": model.variant, "checker": model.checker}


def _write_manifest(model: HubModel, folder: Path, files: Sequence[RemoteFile]) -> None:
    listed = [{"path": file.path, "size": file.size, "digest": file.digest} for file in files]
    content = {**_identity(model), "files": listed}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _manifest(folder: Path) -> dict[str, Any] | None:
    """What was pulled into the folder; None for a folder that is not ours."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [RemoteFile(**listed) for listed in content["files"]]
        whole = {"hub", "revision", "variant", "checker"} <= content.keys()
        whole = whole and all(_sized(_safe(file.path), file.size) >= 0 for file in files)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError, DownloadFailed):
        return None
    return content if whole else None


def _again(model: HubModel) -> str:
    return f"type: tessera models pull {model.name}"


def _full(model: HubModel) -> str:
    return (
        f"The disk of {model.folder.parent} is full. What has arrived is kept; free some space and type "
        f"`tessera models pull {model.name}` again."
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
