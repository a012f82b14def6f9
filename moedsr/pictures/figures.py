"""How figures become files. They are built as objects and drawn by Agg: no window system, no global pyplot state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moedsr.files import make_folder, written_whole


def save_figure(figure: Figure, path: Path) -> None:
    """A PNG, written to a temporary name in the same folder, then renamed."""
    make_folder(path.parent)
    with written_whole(path) as aside:
        FigureCanvasAgg(figure).print_png(str(aside))
