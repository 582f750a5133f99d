"""How the pictures of the examples look, and where they go."""

import sys
from pathlib import Path
from typing import Any

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

OUT = Path(__file__).parent / "out"


def tidy(axes: Any, **labels: Any) -> None:
    """Set labels and scales, a light grid and no frame."""
    axes.set(**labels)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write the picture, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"picture        {path}")
