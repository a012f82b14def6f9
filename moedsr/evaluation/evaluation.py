"""Scores of a model on whole proteins, always beside what needs no learning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moedsr.batches.protein_input import ProteinInput
from moedsr.batches.training_frames import code_row, spread, training_frames
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation.baselines import leave_one_out_levels, metric_grid_mesh, other_frames
from moedsr.evaluation.metrics import compare_meshes
from moedsr.evaluation.scores import UNFITTED, Evaluation, FrameScore
from moedsr.evaluation.smoothed_baseline import fit_width, smoothed_initial
from moedsr.geometry.level_set import values_on_metric_grid
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.occupancy import iou
from moedsr.geometry.surface import FINE_SPACING, SolventExcludedSurface, solvent_excluded_surface
from moedsr.inference.protein_field import ProteinField, UnseenCode, can_fit_code, protein_field
from moedsr.models.moedsr import MoEDSR
from moedsr.store.conformation import SurfaceFrame
from moedsr.store.protein_file import StoredProtein
from moedsr.store.store import SurfaceStore
from moedsr.structures.radii import bondi_radii
from moedsr.training import distributed
from moedsr.training.trainer import training_proteins

Levels = NDArray[np.floating]
"""(n, n, n), negative inside, on the strided metric grid."""

Progress = Callable[[str, int, int], None]
"""Called with the protein, frames done, frames in all."""


@dataclass(frozen=True)
class _Truth:
    """One protein to score: its frames, and what is known of them."""

    protein: StoredProtein
    frames: list[int]  # to score
    occupancies: list[NDArray[np.bool_]]  # of those, on the strided grid
    meshes: list[Mesh]  # of those, normalised
    baselines: list[FrameScore]


class Evaluator:
    """Scores models on the same proteins, frames, grid and samples; the truth and the baselines are computed once.

    Args:
        store: where the truth lies.
        names: proteins to score; under data parallelism each worker takes every so-manyth.
        config: ``evaluation`` says how.
        smoothed: whether to fit and score the smoothed baseline too, which takes longer.
        unfitted: whether to score a model that fits latent codes without a fit too, which takes twice as long.

    Raises:
        InputError: no protein to score.
    """

    def __init__(
        self,
        store: SurfaceStore,
        names: Sequence[str],
        config: Config,
        *,
        smoothed: bool = False,
        unfitted: bool = False,
    ) -> None:
        if not names:
            raise InputError(
                f"{store.path}: no protein to score; its {config.evaluation.split} split is empty "
                f"(train {len(store.names('train'))}, val {len(store.names('val'))}, test {len(store.names('test'))})"
            )
        self.store, self.config = store, config
        self.names = list(names)
        self._mine = self.names[distributed.rank() :: distributed.world_size()]
        self._codes: Mapping[str, int] = {}  # of the model scored last
        self._fields: dict[tuple[str, int], ProteinField] = {}  # of the same, by protein and row of the codes
        self._truths: dict[str, _Truth] = {}
        self._smoothed, self._unfitted = smoothed, unfitted
        self._width: float | None = None

    def evaluate(self, model: MoEDSR, codes: Mapping[str, int], *, progress: Progress = lambda *_: None) -> Evaluation:
        """Score a model in evaluation mode, beside the baselines; ``codes`` has the row of each latent code by name."""
        self._codes, self._fields = codes, {}
        scores: list[FrameScore] = []
        for name in self._mine:
            truth = self.truth(name)
            scores += truth.baselines
            protein, initial = ProteinInput.of(truth.protein, model.config), truth.protein.frame(0)
            for row in {self._row(name, frame) for frame in truth.frames}:
                self._fields[name, row] = protein_field(model, protein, initial, code_index=row)
            unfitted = self._without_fit(model, protein, initial)
            for place, frame in enumerate(truth.frames):
                scores.append(self._score_field("model", self.field(name, frame), truth, place))
                if unfitted is not None and self._row(name, frame) < 0:
                    scores.append(self._score_field(*unfitted, truth, place))
                progress(name, place + 1, len(truth.frames))
        return self._gathered(scores)

    def baselines(self) -> Evaluation:
        """The scores of what needs no learning."""
        return self._gathered([score for name in self._mine for score in self.truth(name).baselines])

    def field(self, name: str, frame: int) -> ProteinField:
        """Of the model scored last, with the latent code of one frame of one of this worker's proteins."""
        return self._fields[name, self._row(name, frame)]

    def _without_fit(
        self, model: MoEDSR, protein: ProteinInput, initial: SurfaceFrame
    ) -> tuple[str, ProteinField] | None:
        """The model as it is for a new protein without a fitted code, and its name; None where no code is fitted."""
        if not self._unfitted or model.config.evaluation.unseen_code != "fit" or not can_fit_code(model):
            return None
        # training without code dropout has never met a code of zero
        code: UnseenCode = "zero" if model.config.training.latent_dropout else "mean"
        return UNFITTED[code], protein_field(model, protein, initial, unseen_code=code)

    def _row(self, name: str, frame: int) -> int:
        return code_row(self._codes, name, int(self.truth(name).protein.replicas[frame]))

    def _gathered(self, scores: list[FrameScore]) -> Evaluation:
        everyone = [score for part in distributed.gather(scores) for score in part]
        return Evaluation(sorted(everyone, key=lambda s: (self.names.index(s.protein), s.frame)))

    def _score_field(self, predictor: str, field: ProteinField, truth: _Truth, place: int) -> FrameScore:
        frame = truth.frames[place]
        values = values_on_metric_grid(field.at(float(truth.protein.times[frame])), self._nodes, self._stride)
        return self._score(predictor, truth.protein, frame, values, truth, place)

    def truth(self, name: str) -> _Truth:
        """What is known of one protein."""
        if name not in self._truths:
            self._truths[name] = self._prepare(name)
        return self._truths[name]

    @property
    def _nodes(self) -> int:
        return self.store.settings.occupancy_grid

    @property
    def _stride(self) -> int:
        return self.config.evaluation.grid_stride

    def _prepare(self, name: str) -> _Truth:
        protein = self.store.protein(name)
        if self.config.evaluation.scope == "trained":
            candidates = training_frames(protein, self.config)
        else:
            candidates = list(range(1, len(protein)))
        frames = spread(candidates, self.config.evaluation.frames)
        every = range(1, len(protein))
        occupancies = {i: self._strided(protein.occupancy(i)) for i in sorted({0, *every, *frames})}
        meshes = {i: self.surface(protein, i).mesh().moved(scale=1 / protein.scale) for i in sorted({0, *frames})}
        truth = _Truth(protein, frames, [occupancies[i] for i in frames], [meshes[i] for i in frames], [])
        for place, frame in enumerate(frames):
            truth.baselines.append(self._score("naive", protein, frame, (occupancies[0], meshes[0]), truth, place))
        if len(frames) > 1:
            for place, other in enumerate(other_frames(len(frames), np.random.default_rng(0))):
                predicted = truth.occupancies[other], truth.meshes[other]
                truth.baselines.append(self._score("random", protein, frames[place], predicted, truth, place))
        if len(every) > 1:
            levels = leave_one_out_levels([occupancies[i] for i in every])
            for frame, level in zip(every, levels, strict=True):
                if frame in frames:
                    place = frames.index(frame)
                    truth.baselines.append(self._score("oracle", protein, frame, level, truth, place))
        if self._smoothed:
            values = smoothed_initial(self.surface(protein, 0), protein.scale, self._nodes, self._stride, self.width)
            for place, frame in enumerate(frames):
                truth.baselines.append(self._score("smoothed", protein, frame, values, truth, place))
        return truth

    @property
    def width(self) -> float:
        """Å, of the smoothed baseline, fitted on the training proteins."""
        if self._width is None:
            proteins = [self.store.protein(name) for name in training_proteins(self.config, self.store)]
            surfaces = [self.surface(protein, 0) for protein in proteins]
            self._width = fit_width(proteins, surfaces, self._nodes, max(self._stride, 2))
        return self._width

    def surface(self, protein: StoredProtein, frame: int) -> SolventExcludedSurface:
        """The true surface of one frame, rebuilt from its atoms; Å about the centre."""
        settings = self.store.settings
        return solvent_excluded_surface(
            protein.frame_atoms(frame),
            bondi_radii(protein.elements),
            probe_radius=settings.probe_radius,
            spacing=min(settings.grid_spacing, FINE_SPACING),
            keep_cavities=settings.keep_cavities,
        )

    def _strided(self, occupancy: NDArray[np.bool_]) -> NDArray[np.bool_]:
        step = self._stride
        return np.ascontiguousarray(occupancy[::step, ::step, ::step])

    def _score(
        self,
        predictor: str,
        protein: StoredProtein,
        frame: int,
        predicted: Levels | tuple[NDArray[np.bool_], Mesh],
        truth: _Truth,
        place: int,
    ) -> FrameScore:
        if isinstance(predicted, tuple):
            inside, mesh = predicted
        else:
            inside, mesh = predicted < 0, metric_grid_mesh(predicted, self._stride * 2.0 / (self._nodes - 1))
        surfaces = compare_meshes(
            truth.meshes[place],
            mesh,
            scale=protein.scale,
            samples=self.config.evaluation.surface_samples,
            rng=np.random.default_rng(frame),
        )
        values: dict[str, Any] = {"iou": iou(inside, truth.occupancies[place]), **surfaces.as_dict()}
        return FrameScore(
            protein=protein.name,
            frame=frame,
            time=float(protein.times[frame]),
            predictor=predictor,
            values=values,
        )
