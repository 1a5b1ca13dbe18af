"""A table as a folder in the layout of model hubs: config.json, model.safetensors and a card, README.md."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .. import __version__
from .. import _disk as disk
from .._errors import TableError
from .manifest import check_format
from .table import EmbeddingTable
from .tensors import read_safetensors, write_safetensors

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1


def write_folder(table: EmbeddingTable, path: str | os.PathLike[str], *, card: str | None = None) -> None:
    """Write a new folder that Hugging Face's and other hubs take as it is, completely or not at all.

    It holds the whole table: ids, vectors, context vectors, arrays and metadata. `card` : the text of README.md, in
    Markdown; None writes a short one. TableError where `path` exists or can't be written.
    """
    config = {
        "library_name": "traitcore", "library_version": __version__, "format": FORMAT, "model_type": "embedding_table",
        "n_rows": len(table), "dimension": table.dimension, "id_kind": table.id_kind,
        "fingerprint": table.fingerprint, "table": table.name, "version": table.version, "metadata": table.metadata,
    }
    with disk.whole_folder(path, "a folder") as folder:
        (folder / CONFIG).write_text(json.dumps(config, indent=1, allow_nan=False) + "\n", encoding="ascii")
        (folder / CARD).write_text(_card(table) if card is None else card, encoding="utf-8")
        write_safetensors(table, folder / TENSORS, arrays=True)


def read_folder(path: str | os.PathLike[str]) -> EmbeddingTable:
    """The table that `write_folder` wrote, whole.

    TableError where files are missing or cut short, or where ids or vectors aren't those of the fingerprint. That isn't
    of further arrays and metadata: `TableStore` checks every byte.
    """
    folder = Path(path)
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{folder / CONFIG} can't be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"{folder / CONFIG} is not JSON: {error}.") from error
    if not isinstance(config, dict) or config.get("library_name") != "traitcore":
        raise TableError(f"{folder} is not the folder of a traitcore table.")
    check_format(config, folder / CONFIG, FORMAT)
    found = read_safetensors(folder / TENSORS)
    if config.get("fingerprint") != found.fingerprint:
        raise TableError(f"{folder / TENSORS} is not of the table that {CONFIG} describes: their fingerprints differ.")
    return EmbeddingTable(
        found.ids, found.vectors, context_vectors=found.context_vectors, arrays=found.arrays,
        metadata=config.get("metadata"),
    )


def _card(table: EmbeddingTable) -> str:
    what = f"{table.name} {table.version}" if table.version else "a table in memory"
    return f"""---
library_name: traitcore
tags:
- embeddings
- recommendation
---
# {table.name or "Embeddings"}

{len(table):,} rows under {table.id_kind} ids, {table.dimension} dimensions, from {what}. Fingerprint:
`{table.fingerprint}`.

```python
from traitcore.serving.hub_folder import read_folder

table = read_folder(".")
table.most_similar(table.ids[0])
```

`model.safetensors` holds "vectors"{', "context_vectors"' if table.context_vectors is not None else ""} and the ids
({"a tensor" if table.id_kind == "int64" else "a JSON list in its metadata"}); `config.json` the rest.
"""
