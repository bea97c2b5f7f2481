"""The README.md of a run: what its folder holds, and how to read it as a dataset."""

from __future__ import annotations

from styleid_ray.batch.folder.output import Output

README = "README.md"
# The header tells Hugging Face datasets which of the run's files are the dataset.
_TEXT = """---
configs:
- config_name: default
  data_files: data/*.parquet
---

# Stylised pictures

`data/` has one row per finished pair, `errors/` one per failed pair. `_run/` is for styleid-ray.

```python
from datasets import load_dataset

pictures = load_dataset("PATH OF THIS FOLDER", split="train")
```

A PyTorch `DataLoader` takes the columns that a training loop needs, of pictures of one size:

```python
from torch.utils.data import DataLoader

columns = pictures.select_columns(["image", "style"]).with_format("torch")
batch = next(iter(DataLoader(columns, batch_size=8)))  # image: uint8 [8, 3, H, W]
```

pandas and pyarrow read the folder `data/`: `pandas.read_parquet("data")`.
"""


def write_readme(output: Output) -> None:
    """Writes README.md beside the run's data, unless it exists."""
    try:
        output.read(README)
    except FileNotFoundError:
        output.write(README, _TEXT.encode())
