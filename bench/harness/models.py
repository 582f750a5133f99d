"""The parameters of real models, as lists of shapes. The tests compare their numbers with the published ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

Shape = tuple[int, ...]


def resnet50() -> Iterator[Shape]:
    """Yield what torchvision's resnet50 lists: He et al., 2016, arXiv:1512.03385, table 1; batch normalisation."""

    def convolution(outputs: int, inputs: int, size: int) -> Iterator[Shape]:
        yield from ((outputs, inputs, size, size), (outputs,), (outputs,))

    yield from convolution(64, 3, 7)
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            yield from convolution(width, inputs, 1)
            yield from convolution(width, width, 3)
            yield from convolution(4 * width, width, 1)
            if block == 0:
                yield from convolution(4 * width, inputs, 1)
            inputs = 4 * width
    yield from ((1000, inputs), (1000,))


def gpt2_small(width: int = 768) -> Iterator[Shape]:
    """Yield the parameters of the published model 'gpt2': Radford et al., 2019; 12 layers, tied embeddings."""
    norm = ((width,), (width,))
    yield from ((50257, width), (1024, width))
    for _ in range(12):
        yield from (*norm, (width, 3 * width), (3 * width,), (width, width), (width,))
        yield from (*norm, (width, 4 * width), (4 * width,), (4 * width, width), (width,))
    yield from norm


def mlp() -> Iterator[Shape]:
    """Yield a perceptron from 784 pixels over five hidden layers of 1,024 to 10 classes."""
    sizes = (784, *[1024] * 5, 10)
    for inputs, outputs in pairwise(sizes):
        yield from ((inputs, outputs), (outputs,))


MODELS = {"6-layer MLP": tuple(mlp()), "ResNet-50": tuple(resnet50()), "GPT-2 small": tuple(gpt2_small())}
