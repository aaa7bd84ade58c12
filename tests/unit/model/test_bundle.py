"""Saving and loading: equal scores, nothing half-written, nothing changed unnoticed."""

import errno
import itertools
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests import tiny
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.history import text
from ulvspark.model.bundle import bundle, golden_results, golden_users
from ulvspark.model.bundle import files as bundle_files
from ulvspark.model.bundle.checksums import sha256
from ulvspark.model.bundle.files import BundleFiles, open_bundle, verify
from ulvspark.model.bundle.loading import build_scorer, load_event_encoder, load_scorer
from ulvspark.model.bundle.manifest import MANIFEST, BundleFacts, Manifest, bundle_version, read_manifest
from ulvspark.model.encoder.tokenizing import load_tokenizer
from ulvspark.model.inference.reader import build_reader
from ulvspark.model.parts.parts import Parts


@pytest.fixture
def copied(tiny_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def save(folder: Path, base: Path, about: BundleFacts | None = None) -> Manifest:
    return read_manifest(tiny.bundle_folder(folder, base, about))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_bundle_is_a_folder_of_known_files_without_pickle(tiny_bundle: Path) -> None:
    assert files(tiny_bundle) == [
        "README.md", "encoder/config.json", "encoder/model.safetensors", "encoder/tokenizer.json",
        "encoder/tokenizer_config.json", "encoder/vector.safetensors", "golden.parquet", "heads.safetensors", MANIFEST,
    ]  # fmt: skip
    card = (tiny_bundle / "README.md").read_text()
    assert "an association, not the effect of a discount" in card
    assert "| spearman | 0.5 |" in card


def test_what_was_saved_scores_the_same_when_loaded(tiny_bert: Path, tmp_path: Path) -> None:
    about = tiny.facts()
    network, tokenizer = tiny.network(about, tiny_bert), load_tokenizer(tiny_bert)
    manifest = bundle.save(tmp_path / "b", network.train(), tokenizer, about)
    assert network.training, "saving leaves the network as it was"
    loaded = bundle.load(tmp_path / "b")
    assert loaded.manifest == manifest
    assert not loaded.network.training
    state = loaded.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    users = golden_users.make_users(about.history)
    before = build_reader(network.eval(), tokenizer, about.text)
    after = build_reader(loaded.network, loaded.tokenizer, about.text)
    assert golden_results.inputs(users, before) == golden_results.inputs(users, after)
    made = golden_results.scores(
        users, golden_results.vectors(users, before), build_scorer(network.decider, about, Parts())
    )
    judge = build_scorer(loaded.network.decider, loaded.manifest, loaded.parts)
    assert golden_results.scores(users, golden_results.vectors(users, after), judge) == made


@pytest.mark.parametrize(
    "name",
    [
        "README.md", "encoder/config.json", "encoder/model.safetensors", "encoder/tokenizer.json",
        "encoder/tokenizer_config.json", "encoder/vector.safetensors", "golden.parquet", "heads.safetensors",
    ],
)  # fmt: skip
def test_a_flipped_byte_is_noticed(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ExpectedError, match=f"{name}: corrupted"):
        bundle.load(copied)


def test_a_flipped_byte_anywhere_in_the_manifest_is_noticed_or_harmless(copied: Path) -> None:
    original = (copied / MANIFEST).read_bytes()
    for place in range(0, len(original), 7):
        content = bytearray(original)
        content[place] ^= 1
        (copied / MANIFEST).write_bytes(content)
        try:
            read_manifest(copied)
        except ExpectedError:
            continue
        assert json.loads(content) == json.loads(original)


def test_missing_and_unknown_files_are_named(copied: Path) -> None:
    (copied / "encoder/extra.bin").write_bytes(b"")
    with pytest.raises(ExpectedError, match=r"encoder/extra\.bin: not part of the bundle"):
        bundle.load(copied)
    (copied / "encoder/extra.bin").unlink()
    (copied / "heads.safetensors").unlink()
    with pytest.raises(ExpectedError, match=r"heads\.safetensors: missing"):
        bundle.load(copied)
    (copied / MANIFEST).unlink()
    with pytest.raises(ExpectedError, match=r"manifest\.json: no such file"):
        bundle.load(copied)


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(1, r"run model_training\.finetune .* again"), (99, "use the version of ulvspark"), (None, "use the version")],
)
def test_another_format_is_refused_before_anything_else(copied: Path, version: int | None, remedy: str) -> None:
    (copied / MANIFEST).write_text(json.dumps({"format_version": version, "novelty": True}))
    with pytest.raises(ExpectedError, match=f"format version {version}, this code reads 3; {remedy}"):
        bundle.load(copied)


def change_manifest(folder: Path, **changes: object) -> None:
    content = json.loads((folder / MANIFEST).read_text()) | changes
    content["version"] = bundle_version(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_numbers_in_another_order_are_refused(copied: Path) -> None:
    names = list(read_manifest(copied).numbers)
    assert names == list(HistorySpec().numbers)
    names[1], names[2] = names[2], names[1]
    change_manifest(copied, numbers=names)
    message = f"bundle .* has {names[1]} as number 2 of a user, where this code computes {names[2]}; .* train a new"
    with pytest.raises(ExpectedError, match=message):
        bundle.load(copied)


def test_numbers_by_other_formulas_are_refused(copied: Path) -> None:
    change_manifest(copied, numbers_version=99)
    with pytest.raises(ExpectedError, match="version 99 of their formulas, and this code computes version 1; score"):
        open_bundle(copied)


def test_a_manifest_cannot_reach_out_of_its_folder(tiny_bundle: Path) -> None:
    content = read_manifest(tiny_bundle).model_dump()
    with pytest.raises(ValueError, match="leaves the folder"):
        Manifest.model_validate({**content, "files": {"../elsewhere": "0"}})


@pytest.mark.parametrize("kind", ["os", "safetensors"])
def test_a_full_disk_leaves_nothing(
    kind: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    errors = {
        "os": OSError(errno.ENOSPC, "No space left on device"),
        "safetensors": SafetensorError('I/O error: Os { code: 28, message: "No space left on device" }'),
    }

    def full(*_: object) -> None:
        raise errors[kind]

    about = tiny.facts()
    monkeypatch.setattr(bundle, "save_file" if kind == "safetensors" else "model_card", full)
    with pytest.raises(ExpectedError, match="no space left on disk while saving the bundle"):
        bundle.save(tmp_path / "b", tiny.network(about, tiny_bert), load_tokenizer(tiny_bert), about)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_overwritten(tiny_bert: Path, copied: Path) -> None:
    before = verify(copied)
    with pytest.raises(ExpectedError, match="exists and is not overwritten; give another folder or remove it first"):
        save(copied, tiny_bert)
    with pytest.raises(ExpectedError, match="exists and is not overwritten"):
        bundle.extend(copied, copied, tiny.facts(), Parts())
    assert verify(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


FILE_SYSTEM_EVENTS = ("open", "os.mkdir", "os.rename", "os.chmod", "os.remove", "os.rmdir", "shutil.rmtree")


def die_at_file_system_step(last: int, save: Callable[[], object]) -> bool:
    """Run ``save`` in a process that is gone before its ``last``-th step; whether it came to its end."""
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)
        sys.addaudithook(lambda event, _: os._exit(9) if event in FILE_SYSTEM_EVENTS and next(steps) == last else None)
        save()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_kill_at_any_step_leaves_a_whole_bundle_or_none(tiny_bert: Path, tmp_path: Path) -> None:
    about = tiny.facts(NetworkSpec(use_text=False, hidden_size=2))
    network, folder = tiny.network(about, tiny_bert), tmp_path / "b"
    whole = []
    for step in itertools.count(1):
        finished = die_at_file_system_step(step, lambda: bundle.save(folder, network, None, about))
        whole.append(folder.exists())
        if folder.exists():
            verify(folder)
            shutil.rmtree(folder)
        if finished:
            break
    assert len(whole) > 5, "the steps were counted"
    assert whole == sorted(whole), "once it is there it stays"
    assert not whole[0]
    assert whole[-1]


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    hashed: Counter[str] = Counter()

    def counted(path: Path) -> str:
        hashed[path.name] += 1
        return sha256(path)

    monkeypatch.setattr(bundle_files, "sha256", counted)
    return hashed


def test_a_worker_hashes_each_file_once(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tiny.facts(NetworkSpec(unit="event", vector_size=16))
    folder = tiny.bundle_folder(tmp_path / "b", tiny_bert, about)
    hashed, files = count_hashes(monkeypatch), open_bundle(folder)
    load_scorer(files)
    assert hashed == {"heads.safetensors": 1}, "what is not read is not hashed"
    load_event_encoder(files)
    assert hashed == {"heads.safetensors": 1, "vector.safetensors": 1}
    bundle.load_opened(files)
    load_scorer(files)
    assert hashed == dict.fromkeys([Path(name).name for name in files.manifest.files], 1)


@pytest.mark.parametrize(("load", "name"), [(load_scorer, "heads"), (load_event_encoder, "encoder/vector")])
def test_light_loads_notice_a_flipped_byte(
    load: Callable[[BundleFiles], object], name: str, tiny_bert: Path, tmp_path: Path
) -> None:
    about = tiny.facts(NetworkSpec(unit="event", vector_size=16))
    folder = tiny.bundle_folder(tmp_path / "b", tiny_bert, about)
    content = bytearray((folder / f"{name}.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / f"{name}.safetensors").write_bytes(content)
    with pytest.raises(ExpectedError, match=f"{name}.safetensors: corrupted"):
        load(open_bundle(folder))


def test_the_encoder_version_covers_what_shapes_a_vector_and_nothing_else(tiny_bert: Path, tmp_path: Path) -> None:
    about = tiny.facts()

    def version(**changes: object) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return save(folder, tiny_bert, about.model_copy(update=changes)).user_encoder_version

    first = version()
    heads = NetworkSpec(unit="history", vector_size=16, hidden_size=9, heads=("churn",))
    assert version(metrics={"auc": 0.9}, horizon_days=30, data_versions={}, network=heads) == first
    assert version(history=HistorySpec(windows_days=(7,))) == first
    others = [
        version(seed=8),
        version(text=TextSpec(max_tokens=48)),
        version(network=NetworkSpec(unit="history", vector_size=16, pooling="cls")),
        version(history=HistorySpec(recent_events=8)),
    ]
    assert len({first, *others}) == 5


@pytest.mark.parametrize("unit", ["history", "event"])
def test_the_encoder_versions_change_with_the_renderer(
    unit: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tiny.facts(NetworkSpec.model_validate({"vector_size": 16, "unit": unit}))
    first = save(tmp_path / "a", tiny_bert, about)
    monkeypatch.setattr(text, "RENDERER_VERSION", text.RENDERER_VERSION + 1)
    second = save(tmp_path / "b", tiny_bert, about)
    assert first.files == second.files, "no golden user shows the change"
    assert first.user_encoder_version != second.user_encoder_version
    assert (first.text_encoder_version == second.text_encoder_version) == (unit == "history")


def test_using_a_tokenizer_does_not_change_the_version(tiny_bert: Path, tmp_path: Path) -> None:
    about, tokenizer = tiny.facts(), load_tokenizer(tiny_bert)
    network = tiny.network(about, tiny_bert)
    first = bundle.save(tmp_path / "a", network, tokenizer, about)
    tokenizer("some text", truncation=True, max_length=3, padding="max_length")
    assert bundle.save(tmp_path / "b", network, tokenizer, about).files == first.files


def test_weights_of_another_shape_are_named(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "heads.safetensors")
    weights["feature_mean"] = weights["feature_mean"][:-1].clone()
    save_file(weights, copied / "heads.safetensors")
    manifest = read_manifest(copied)
    from ulvspark.model.bundle.manifest import EncoderVersions, write_manifest

    facts = BundleFacts.model_validate({name: getattr(manifest, name) for name in BundleFacts.model_fields})
    write_manifest(copied, facts, EncoderVersions(manifest.text_encoder_version, manifest.user_encoder_version))
    with pytest.raises(ExpectedError, match=r"heads\.safetensors: does not fit this code's network"):
        bundle.load(copied)
