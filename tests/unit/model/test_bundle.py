"""Saving and loading: equal scores, nothing half-written, nothing changed unnoticed."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests import tiny
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.model.bundle import bundle, golden_users
from ulvspark.model.bundle.loading import scorer
from ulvspark.model.bundle.manifest import MANIFEST, BundleFacts, Manifest, read_manifest, verify
from ulvspark.model.encoder.tokenizing import load_tokenizer
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
    before = bundle.reader(network.eval(), tokenizer, about.text)
    after = bundle.reader(loaded.network, loaded.tokenizer, about.text)
    assert golden_users.readings(users, before) == golden_users.readings(users, after)
    made = golden_users.scores(users, golden_users.vectors(users, before), scorer(network.decider, about, Parts()))
    judge = scorer(loaded.network.decider, loaded.manifest, loaded.parts)
    assert golden_users.scores(users, golden_users.vectors(users, after), judge) == made


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


def test_another_format_is_refused_before_anything_else(copied: Path) -> None:
    (copied / MANIFEST).write_text(json.dumps({"format_version": 99, "novelty": True}))
    with pytest.raises(ExpectedError, match="format version 99, this code reads 1"):
        bundle.load(copied)


def test_a_manifest_cannot_reach_out_of_its_folder(tiny_bundle: Path) -> None:
    content = read_manifest(tiny_bundle).model_dump()
    with pytest.raises(ValueError, match="leaves the folder"):
        Manifest.model_validate({**content, "files": {"../elsewhere": "0"}})


@pytest.mark.parametrize("kind", ["os", "safetensors"])
def test_a_full_disk_leaves_the_old_bundle_whole(
    kind: str, tiny_bert: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    errors = {
        "os": OSError(errno.ENOSPC, "No space left on device"),
        "safetensors": SafetensorError('I/O error: Os { code: 28, message: "No space left on device" }'),
    }

    def full(*_: object) -> None:
        raise errors[kind]

    before = verify(copied)
    about = tiny.facts()
    monkeypatch.setattr(bundle, "save_file" if kind == "safetensors" else "model_card", full)
    with pytest.raises(ExpectedError, match="no space left on disk while saving the bundle"):
        bundle.save(copied, tiny.network(about, tiny_bert), load_tokenizer(tiny_bert), about)
    assert verify(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_a_new_bundle_takes_the_place_of_the_old_one(tiny_bert: Path, copied: Path) -> None:
    before = read_manifest(copied)
    after = save(copied, tiny_bert, tiny.facts().model_copy(update={"seed": 11}))
    assert verify(copied) == after
    assert after.version != before.version
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_the_encoder_version_covers_what_shapes_a_vector_and_nothing_else(tiny_bert: Path, tmp_path: Path) -> None:
    about = tiny.facts()

    def version(**changes: object) -> str:
        return save(tmp_path / "b", tiny_bert, about.model_copy(update=changes)).user_encoder_version

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
