"""Train a tiny object detector on a `coco` export: a start to copy and to change.

    styleid-ray export out/run --to out/coco --format coco --mix 4:1
    python examples/train_detector.py out/coco --val instances_val.json photos/val --steps 5000

The export holds annotations.json and images/, for stylised pictures and the originals that --mix
adds. The detector is anchor-free, after CenterNet (Zhou et al., Objects as Points, 2019): per class
a heatmap of box centres, and a box at each centre. Recall is reported for originals and stylised
pictures apart, and for new pictures with --val. For average precision, use pycocotools.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

STRIDE = 8  # pixels per cell of the heatmap
BEST = 20  # boxes per picture that recall looks at
MOST_EVALUATED = 500  # pictures of a kind that recall is measured on


class CocoBoxes(Dataset):
    """Pictures of a COCO file, each in a square of `size` pixels, with the boxes of objects."""

    def __init__(self, path: Path, folder: Path, size: int, ids: list[int] | None = None) -> None:
        """Args: ids: the model's categories in its order; None takes those of the file."""
        coco = json.loads(path.read_bytes())
        self.folder, self.size, self.images = folder, size, coco["images"]
        self.ids = ids or sorted(category["id"] for category in coco.get("categories", []))
        self.boxes: dict[int, list[tuple[int, list[float]]]] = defaultdict(list)
        number = {id: n for n, id in enumerate(self.ids)}
        for one in coco["annotations"]:
            # A crowd's box holds many objects: it has no centre. Captions have no box at all.
            skip = one.get("iscrowd") or "bbox" not in one or min(one["bbox"][2:]) <= 0
            if not skip and one["category_id"] in number:
                self.boxes[one["image_id"]].append((number[one["category_id"]], one["bbox"]))
        if not self.boxes:
            raise SystemExit(f"error: {path} holds no boxes of the categories to be learnt")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        pixels, classes, boxes = self.load(i, flip=bool(torch.rand(()) < 0.5))
        return pixels, *targets(classes, boxes, len(self.ids), -(-self.size // STRIDE))

    def load(self, i: int, flip: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """A picture [3, size, size], its objects' classes [N] and boxes [N, 4] as x, y, w, h."""
        with Image.open(self.folder / self.images[i]["file_name"]) as image:
            # Originals are copied byte for byte, so their EXIF rotation is still to be applied.
            picture = ImageOps.exif_transpose(image).convert("RGB")
        # The picture keeps its shape and lies at the top left, so boxes need a factor alone.
        scale = self.size / max(picture.size)
        square = ImageOps.pad(picture, (self.size, self.size), centering=(0, 0))
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1
        objects = self.boxes.get(self.images[i]["id"], [])
        classes = torch.tensor([number for number, _ in objects], dtype=torch.long)
        boxes = torch.tensor([box for _, box in objects]).reshape(-1, 4) * scale
        if flip:
            pixels, boxes[:, 0] = pixels.flip(-1), self.size - boxes[:, 0] - boxes[:, 2]
        return pixels, classes, boxes


def targets(classes: Tensor, boxes: Tensor, count: int, cells: int) -> tuple[Tensor, Tensor]:
    """The heatmap [count, cells, cells], 1 at each centre and falling off around it, and the box
    [4, cells, cells] at each centre: its place in the cell and the logarithm of its size."""
    heat, box = torch.zeros(count, cells, cells), torch.full((4, cells, cells), torch.nan)
    at = torch.arange(cells)
    # Of two objects with their centres in one cell, the smaller is written last and stays.
    for i in boxes[:, 2:].prod(1).argsort(descending=True).tolist():
        corner, size = (boxes[i] / STRIDE).split(2)
        centre = corner + size / 2
        x, y = cell = centre.long().clamp(0, cells - 1)
        # Cells near a centre would give nearly the same box, so they are punished less: by a
        # Gaussian as wide and as high as the box (TTFNet, Liu et al. 2020).
        spread = (size * 0.54 / 6).clamp(min=0.3)
        exponents = ((at - x) / spread[0]) ** 2 + (((at - y) / spread[1]) ** 2)[:, None]
        heat[classes[i]] = torch.maximum(heat[classes[i]], torch.exp(-exponents / 2))
        box[:, y, x] = torch.cat([centre - cell, size.log()])
    return heat, box


def make_model(classes: int) -> nn.Module:
    """Convolutions down to stride 8, then dilated ones, with which a cell sees large objects."""
    layers, widths = list[nn.Module](), (3, 32, 64, 128, 128, 128, 128)
    for i, dilation in enumerate((1, 1, 1, 2, 4, 8)):
        stride = 2 if i < 3 else 1
        layers.append(nn.Conv2d(widths[i], widths[i + 1], 3, stride, dilation, dilation))
        layers += [nn.GroupNorm(8, widths[i + 1]), nn.ReLU()]
    head = nn.Conv2d(widths[-1], classes + 4, 1)
    # Nearly all cells hold no centre: begin at a probability of 0.1 (Lin et al. 2017).
    nn.init.constant_(head.bias[:classes], -2.19)  # pyright: ignore
    return nn.Sequential(*layers, head)


def losses_of(output: Tensor, heat: Tensor, true_box: Tensor) -> Tensor:
    """Focal loss of the heatmap (Objects as Points, eq. 1) and L1 of boxes, per object."""
    logits, box = output[:, :-4], output[:, -4:]
    p, centres = logits.sigmoid(), ~true_box[:, 0].isnan()
    positive = -((1 - p) ** 2) * F.logsigmoid(logits)
    negative = -((1 - heat) ** 4) * p**2 * F.logsigmoid(-logits)
    differences = (box - true_box).movedim(1, -1)[centres]
    sums = [torch.where(heat == 1, positive, negative).sum(), differences.abs().sum()]
    return torch.stack(sums) / centres.sum().clamp(min=1)


def train(model: nn.Module, data: CocoBoxes, options: Namespace) -> None:
    """Trains for a number of steps and prints the mean losses since the last line."""
    # One pass over the sampler is all of the training: it shuffles again each time round.
    sampler = RandomSampler(data, num_samples=options.steps * options.batch)
    loader = DataLoader(data, options.batch, sampler=sampler, num_workers=options.workers)
    optimizer = torch.optim.AdamW(model.parameters(), options.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, options.steps)
    every, recent = max(1, options.steps // 20), []
    for step, batch in enumerate(loader, 1):
        pixels, heat, box = (tensor.to(options.device) for tensor in batch)
        losses = losses_of(model(pixels), heat, box)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        schedule.step()
        recent.append(losses.detach())
        if step % every == 0 or step == options.steps:
            heat, box = torch.stack(recent).mean(0).tolist()
            parts = f"heatmap {heat:.3f}  box {box:.3f}"
            print(f"step {step:5}  loss {heat + box:.3f}  {parts}", flush=True)
            recent = []


def detect(model: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The classes [N] and boxes [N, 4] of the BEST highest peaks in a picture's heatmaps."""
    logits, box = model(pixels[None])[0].cpu().tensor_split([-4])
    peaks = torch.where(logits == F.max_pool2d(logits, 3, 1, 1), logits, -torch.inf)
    at = peaks.flatten().topk(min(BEST, peaks.numel())).indices
    classes, y, x = torch.unravel_index(at, peaks.shape)
    place, size = box[:2, y, x].T + torch.stack([x, y], 1), box[2:, y, x].T.exp()
    return classes, torch.cat([place - size / 2, size], 1) * STRIDE


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4], whose shapes broadcast."""
    (a, a_size), (b, b_size) = a.split(2, -1), b.split(2, -1)
    shared = torch.minimum(a + a_size, b + b_size) - torch.maximum(a, b)
    area = shared.clamp(min=0).prod(-1)
    return area / (a_size.prod(-1) + b_size.prod(-1) - area)


@torch.no_grad()
def print_recall(model: nn.Module, data: CocoBoxes, name: str, device: str) -> None:
    """How many objects have a box of their class, in originals and in stylised pictures."""
    for kind, which in (("original", True), ("stylised", False)):
        best = []
        chosen = [i for i, one in enumerate(data.images) if one.get("original", True) == which]
        for pixels, classes, boxes in map(data.load, chosen[:: len(chosen) // MOST_EVALUATED + 1]):
            found, where = detect(model, pixels.to(device))
            best.append((iou(boxes[:, None], where) * (classes[:, None] == found)).amax(1))
        if len(ious := torch.cat(best or [torch.zeros(0)])):
            recall, mean = (ious >= 0.5).float().mean(), ious.mean()
            print(f"{name}, {kind}: recall at IoU 0.5 {recall:.1%}, mean IoU {mean:.2f}")


def find_export(dataset: Path) -> tuple[Path, Path]:
    """The annotation file and the pictures of an export, or of its training split."""
    for root in (dataset / "train", dataset):
        for path in (root / "annotations.json", *sorted(root.glob("annotations/instances*.json"))):
            if path.is_file():
                return path, root / "images"
    raise SystemExit(
        f"error: {dataset} is no coco export (it has no annotations.json): make one with "
        "styleid-ray export RUN --to DATASET --format coco --mix 4:1"
    )


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="folder of the export, or of its splits")
    add("--val", type=Path, nargs=2, metavar=("JSON", "DIR"), help="originals to validate on")
    add("--steps", type=int, default=2000, help="optimizer steps (2000)")
    add("--batch", type=int, default=16, help="pictures per step (16)")
    add("--size", type=int, default=256, help="pixels per side (256)")
    add("--lr", type=float, default=1e-3, help="highest learning rate (0.001)")
    add("--workers", type=int, default=2, help="processes that read pictures (2)")
    add("--seed", type=int, default=0, help="on a CPU, same seed, same result (0)")
    add("--device", default="auto", help="such as cpu or cuda:1 (auto)")
    add("--save", type=Path, metavar="FILE", help="write weights and category ids")
    options = parser.parse_args(argv)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options.device = device if options.device == "auto" else options.device
    torch.manual_seed(options.seed)
    data = CocoBoxes(*find_export(options.dataset), options.size)
    # Read before training, so that a wrong --val does not waste it.
    val = options.val and CocoBoxes(options.val[0], options.val[1], options.size, data.ids)
    originals = sum(image.get("original", True) for image in data.images)
    print(f"{len(data) - originals:,} stylised and {originals:,} original pictures")
    model = make_model(len(data.ids)).to(options.device)
    train(model, data, options)
    print_recall(model, data, "training", options.device)
    if val:
        print_recall(model, val, "validation", options.device)
    if options.save:
        saved = {"model": model.state_dict(), "ids": data.ids, "size": options.size}
        options.save.parent.mkdir(parents=True, exist_ok=True)
        torch.save(saved, options.save)


if __name__ == "__main__":
    main()
