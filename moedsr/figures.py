"""How figures become files. They are built as objects and drawn by Agg: no window system, no global pyplot state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path) -> None:
    """A PNG, written to a temporary name in the same folder, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    FigureCanvasAgg(figure).print_png(str(temporary))
    temporary.replace(path)
