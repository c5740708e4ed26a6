"""Loading with Hugging Face's ``datasets``, an optional extra; see :mod:`bpkd.datasets.hub`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bpkd.datasets.images import Encoded
from bpkd.errors import UserError
from bpkd.support.extras import extra
from bpkd.support.messages import one_line


def load(root: str, split: str, config: str | None, revision: str | None, streaming: bool) -> Any:
    """A data set of the ``datasets`` library, with random access or as a stream.

    Args:
        root: name on the hub, or a folder or file here: see :class:`~bpkd.datasets.hub.Hub`.
        split: one, a sum or a slice.
        config: configuration, where there are several.
        revision: branch, tag or commit on the hub.
        streaming: whether to have a stream.

    Raises:
        UserError: the library is not installed, or cannot load it.
    """
    datasets = extra("datasets", f"data set {root!r}", "datasets")
    local = Path(root).expanduser()
    try:
        if (local / "dataset_dict.json").is_file() or (local / "state.json").is_file():
            return _saved(local, split, streaming)
        if local.is_file():
            files = {"data_files": {_first_part(split): str(local)}}
            return datasets.load_dataset("parquet", split=split, streaming=streaming, **files)
        where = str(local) if local.is_dir() else root
        return datasets.load_dataset(
            where, config, split=split, revision=revision, streaming=streaming
        )
    except UserError:
        raise
    # Its loaders meet a wrong name, split or file with a score of kinds of exceptions.
    except Exception as error:
        raise UserError(
            f"data set {root!r}, split {split!r}: cannot be loaded: {one_line(error)}"
        ) from None


def _saved(folder: Path, split: str, streaming: bool) -> Any:
    """What ``save_to_disk`` wrote: a dict of splits, or one split alone."""
    import datasets  # noqa: PLC0415 - an optional extra

    found = datasets.load_from_disk(str(folder))
    if not isinstance(found, datasets.DatasetDict):
        found = datasets.DatasetDict({_first_part(split): found})
    parts = split.split("+")
    if absent := [part for part in parts if part not in found]:
        raise UserError(f"{folder} has no split {absent[0]!r}: expected {', '.join(found)}")
    joined = datasets.concatenate_datasets([found[part] for part in parts])
    return joined.to_iterable_dataset() if streaming else joined


def _first_part(split: str) -> str:
    """A file or folder that is one split alone goes by the name it is asked for."""
    return re.split(r"[+\[]", split)[0]


def declared_names(feature: Any) -> list[str] | None:
    """The names of the classes, where the label column's own feature has them.

    Args:
        feature: of the column, such as nested lists of a ClassLabel; or None.
    """
    while feature is not None and not hasattr(feature, "names"):
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return None if feature is None else list(feature.names)


def samples(loaded: Any, columns: Mapping[str, str], count: int | None, root: str) -> Any:
    """The samples, with image files encoded as they are; those of a stream are fetched.

    Args:
        loaded: what :func:`load` returned.
        columns: argument that names a column -> the column.
        count: the first so many; None takes all.
        root: for messages.

    Raises:
        UserError: there is no such column.
    """
    import datasets  # noqa: PLC0415 - an optional extra

    known = loaded.column_names or list(next(iter(loaded), {}))
    for argument, column in columns.items():
        if column not in known:
            raise UserError(
                f"{root} has no column {column!r}: it has {', '.join(known)}; name the right one "
                f"in `{argument}`"
            )
    loaded = loaded.select_columns(list(columns.values()))
    for column, feature in (loaded.features or {}).items():
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.Image(decode=False))
    if isinstance(loaded, datasets.IterableDataset):
        return [_fetched(sample, root) for sample in itertools.islice(loaded, count)]
    return loaded if count is None else loaded.select(range(min(count, len(loaded))))


def _fetched(sample: Mapping[str, Any], root: str) -> dict[str, Any]:
    """A sample of a stream with its files in memory."""
    return {
        column: encoded_file(value, f"{root}, column {column!r}")
        if isinstance(value, dict)
        else value
        for column, value in sample.items()
    }


def encoded_file(value: Any, where: str) -> Encoded:
    """The file that an entry of an image column is: in memory, on the disk or in a remote place.

    Raises:
        UserError: it is no file, or cannot be read.

    >>> str(encoded_file({"bytes": b"...", "path": None}, "sample 3"))
    'sample 3'
    """
    if isinstance(value, Encoded | bytes):
        return Encoded(value.data if isinstance(value, Encoded) else value, where)
    if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
        raise UserError(f"{where} holds no image: name the column of the images in `image`")
    if value.get("bytes"):
        return Encoded(value["bytes"], where)
    import fsspec  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the extra

    try:
        with fsspec.open(value["path"], "rb") as file:
            return Encoded(file.read(), f"{where} ({value['path']})")
    except OSError as error:
        raise UserError(f"{where}: {value['path']} cannot be read: {error}") from None
