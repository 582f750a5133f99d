"""A small transformer learns the text of Python's own help, one character at a time, with two optimizers.

It trains two models that are equal at first, one with `torch.optim.AdamW(fused=True)` and one with
`pyadam.torch.AdamW`, on the same batches, and compares the losses and the time of the optimizer's steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from pydoc_data.topics import topics
from time import perf_counter
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import trange

import pyadam.torch

CONTEXT, WIDTH, HEADS, LAYERS, BATCH_SIZE = 64, 128, 4, 3, 16
LR, WEIGHT_DECAY = 1e-3, 0.1


class Transformer(nn.Module):
    """Predicts the next character from those before it."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.scores = nn.Linear(WIDTH, characters)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return a score for every character that may follow each of `text`."""
        length = text.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.characters(text) + self.places.weight[:length]
        return self.scores(self.layers(x, mask=mask, is_causal=True))


def encoded_topics() -> tuple[torch.Tensor, int]:
    """Return the text as numbers of its characters, and how many characters there are."""
    text = "\n".join(topics[name] for name in sorted(topics))
    characters = sorted(set(text))
    number = {character: i for i, character in enumerate(characters)}
    return torch.tensor([number[character] for character in text]), len(characters)


class Run:
    """A model in training with one optimizer, its losses and the seconds of the optimizer's steps."""

    def __init__(self, characters: int, optimizer: Any) -> None:
        torch.manual_seed(0)
        self.model = Transformer(characters)
        self.optimizer = optimizer(self.model.parameters())
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self, text: torch.Tensor, following: torch.Tensor) -> None:
        """Train on a batch."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(text).flatten(0, 1), following.flatten())
        loss.backward()
        start = perf_counter()
        self.optimizer.step()
        self.seconds.append(perf_counter() - start)
        self.losses.append(loss.item())


def train(steps: int) -> dict[str, Run]:
    """Train one model with each optimizer, a step in turn."""
    text, characters = encoded_topics()
    options: dict[str, Any] = {"lr": LR, "weight_decay": WEIGHT_DECAY}
    runs = {
        "torch.optim.AdamW(fused=True)": Run(characters, lambda p: torch.optim.AdamW(p, **options, fused=True)),
        "pyadam.torch.AdamW": Run(characters, lambda p: pyadam.torch.AdamW(p, **options)),
    }
    generator = torch.Generator().manual_seed(0)
    with trange(steps, unit="step") as progress:
        for _ in progress:
            starts = torch.randint(len(text) - CONTEXT, (BATCH_SIZE, 1), generator=generator)
            windows = text[starts + torch.arange(CONTEXT + 1)]
            for run in runs.values():
                run.step(windows[:, :-1], windows[:, 1:])
            progress.set_postfix(loss=f"{run.losses[-1]:.3f}")
    return runs


def plot(runs: dict[str, Run], path: Path) -> None:
    """Draw the loss curves on top of each other, and the times of the steps."""
    figure = Figure(figsize=(9, 3.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.08, "width_ratios": (3, 2)})
    for (name, run), width, alpha in zip(runs.items(), (4, 1), (0.4, 1), strict=True):  # a thin line upon a broad one
        left.plot(range(1, len(run.losses) + 1), run.losses, label=name, linewidth=width, alpha=alpha)
    times = [[1e3 * seconds for seconds in run.seconds[1:]] for run in runs.values()]
    boxes = right.boxplot(times, showfliers=False, widths=0.5, patch_artist=True, medianprops={"color": "black"})
    for box, color in zip(boxes["boxes"], ("C0", "C1"), strict=True):
        box.set(facecolor=color, alpha=0.6)
    right.set_xticks([1, 2], [name.replace("AdamW", "\nAdamW") for name in runs])
    left.set(xlabel="step", ylabel="loss (nats per character)")
    left.legend(frameon=False, loc="upper right")
    right.set(ylabel="time of optimizer.step() (ms)", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Read the command line, train, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="steps of each optimizer, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="30 steps, to check that all works")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out/torch_text.png", help="the picture")
    args = parser.parse_args()
    runs = train(30 if args.quick else args.steps)

    theirs, ours = runs.values()
    for name, run in runs.items():
        mean = np.mean(run.losses[-10:])
        time = f"{1e6 * np.median(run.seconds[1:]):.0f} us"
        print(f"{name:<30} median step {time:>8}   loss {run.losses[0]:.3f} to {mean:.3f}")
    difference = np.abs(np.subtract(ours.losses, theirs.losses)).max()
    print(f"the losses differ by at most {difference:.2g}")
    assert np.mean(ours.losses[-10:]) < 0.8 * ours.losses[0], "the loss should fall"
    plot(runs, args.out)
    print(f"picture {args.out}")


if __name__ == "__main__":
    main()
