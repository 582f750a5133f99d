"""A straight line through noisy points in ten dimensions, with PyTorch: the usual five lines of a training loop."""

from __future__ import annotations

import torch

import pyadam.torch

EPOCHS = 100


def main() -> None:
    """Train and print the loss of every epoch."""
    torch.manual_seed(0)
    x = torch.randn(1000, 10)
    y = x @ torch.linspace(-1, 1, 10).unsqueeze(1) + 0.1 * torch.randn(1000, 1)

    model = torch.nn.Linear(10, 1)
    loss_fn = torch.nn.MSELoss()
    optimizer = pyadam.torch.Adam(model.parameters(), lr=0.01)
    losses = []
    for epoch in range(EPOCHS):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        print(f"epoch {epoch + 1:3d}  loss {losses[-1]:.4f}")

    assert losses[-1] * 8 <= losses[0], "the loss should fall by at least eight times"
    print(f"the loss fell {losses[0] / losses[-1]:.1f} times")


if __name__ == "__main__":
    main()
