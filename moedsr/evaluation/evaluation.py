"""Scores of a model on whole proteins, always beside what needs no learning."""

import logging
from collections.abc import Callable, Mapping, Sequence

from moedsr.batches.protein_input import ProteinInput
from moedsr.batches.training_frames import code_row, spread, training_frames
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation.baselines import BASELINES, BaselineSettings
from moedsr.evaluation.model_predictor import ModelPredictor
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scores import UNFITTED, EnsembleScore, Evaluation, FrameScore
from moedsr.evaluation.scoring import score
from moedsr.evaluation.target import Target
from moedsr.inference.protein_field import ProteinField, UnseenCode, can_fit_code, protein_field
from moedsr.models.moedsr import MoEDSR
from moedsr.store.store import SurfaceStore
from moedsr.training import distributed

logger = logging.getLogger(__name__)

Progress = Callable[[str, str], None]
"""Told the protein and the predictor that was just scored on it."""

QUICK = ("naive", "random", "oracle")
"""Baselines beside a model while it trains: those that cost next to nothing."""

KEPT_BYTES = 1 << 30
"""Of true surfaces that are kept between evaluations; beyond, they are made again."""


class Evaluator:
    """Scores models on the same proteins, frames, grid and points; baselines are scored once.

    Memory: one protein at a time, about 11 MB a frame on the whole grid of 128³ nodes whatever the protein's size, and
    up to KEPT_BYTES of proteins that were scored before.

    Args:
        store: where the truth lies.
        names: proteins to score; under data parallelism each worker takes every so-manyth.
        config: ``evaluation`` says how.
        baselines: names in BASELINES.
        settings: what those are made with.
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
        baselines: Sequence[str] = QUICK,
        settings: BaselineSettings | None = None,
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
        settings = settings or BaselineSettings()
        self._baselines: list[Predictor] = [BASELINES[name](settings) for name in baselines]
        self._thorough = "ensemble" in baselines
        self._unfitted = unfitted
        self._targets: dict[str, Target] = {}
        self._scored: dict[str, tuple[list[FrameScore], list[EnsembleScore]]] = {}  # of the baselines
        self._codes: Mapping[str, int] = {}  # of the model scored last
        self._fields: dict[tuple[str, int], ProteinField] = {}  # of the same, by protein and row of the codes

    def evaluate(self, model: MoEDSR, codes: Mapping[str, int], *, progress: Progress = lambda *_: None) -> Evaluation:
        """Score a model in evaluation mode, beside the baselines; ``codes`` has the row of each latent code by name."""
        self._codes, self._fields = codes, {}
        frames: list[FrameScore] = []
        ensembles: list[EnsembleScore] = []
        for name in self._mine:
            target = self.target(name)
            scored, whole = self._baselines_of(name, progress)
            frames += scored
            ensembles += whole
            for predictor, wanted in self._models(target, model):
                if wanted:
                    scored, one = score(target, predictor, wanted)
                    frames += scored
                    ensembles.append(one)
                progress(name, predictor.name)
        return self._gathered(frames, ensembles)

    def baselines(self, *, progress: Progress = lambda *_: None) -> Evaluation:
        """The scores of what needs no learning."""
        parts = [self._baselines_of(name, progress) for name in self._mine]
        return self._gathered([s for frames, _ in parts for s in frames], [s for _, whole in parts for s in whole])

    def field(self, name: str, frame: int) -> ProteinField:
        """Of the model scored last, with the latent code of one frame of one of this worker's proteins."""
        return self._fields[name, self._row(name, frame)]

    def frames(self, name: str) -> list[int]:
        """Those of a protein that are scored."""
        target = self.target(name)
        if self.config.evaluation.scope == "trained":
            return spread(training_frames(target.protein, self.config), self.config.evaluation.frames)
        return spread(target.frames, self.config.evaluation.frames)

    def target(self, name: str) -> Target:
        """One protein, with its true surfaces once they were made."""
        if name not in self._targets:
            evaluation = self.config.evaluation
            protein = self.store.protein(name)
            kept = 0
            for other in reversed(list(self._targets)):
                kept += self._targets[other].bytes_kept
                if kept > KEPT_BYTES:
                    del self._targets[other]
            self._targets[name] = Target(
                protein,
                self.store.settings,
                stride=evaluation.grid_stride,
                surface_samples=evaluation.surface_samples,
                thorough=self._thorough,
            )
        return self._targets[name]

    def _baselines_of(self, name: str, progress: Progress) -> tuple[list[FrameScore], list[EnsembleScore]]:
        if name not in self._scored:
            target, frames = self.target(name), self.frames(name)
            if not frames:
                raise InputError(f"{name}: has no frame to score besides P0")
            scored: list[FrameScore] = []
            whole: list[EnsembleScore] = []
            for predictor in self._baselines:
                if predictor.fits(target):
                    try:
                        own, one = score(target, predictor, frames)
                    except InputError as error:
                        if predictor.name not in ("elastic", "md"):
                            raise
                        logger.warning("%s is left out: %s", predictor.name, error)
                    else:
                        scored += own
                        whole.append(one)
                progress(name, predictor.name)
            self._scored[name] = scored, whole
        return self._scored[name]

    def _models(self, target: Target, model: MoEDSR) -> list[tuple[Predictor, list[int]]]:
        """The model as it is scored on one protein, with its frames: as it is, and without a fitted code."""
        stored, name = target.protein, target.protein.name
        frames = self.frames(name)
        given, initial = ProteinInput.of(stored, model.config), stored.frame(0)
        for row in {self._row(name, frame) for frame in frames}:
            self._fields[name, row] = protein_field(model, given, initial, code_index=row)
        predictors: list[tuple[Predictor, list[int]]] = [(ModelPredictor("model", self.field), frames)]
        if self._unfitted and model.config.evaluation.unseen_code == "fit" and can_fit_code(model):
            # training without code dropout has never met a code of zero
            code: UnseenCode = "zero" if model.config.training.latent_dropout else "mean"
            without = protein_field(model, given, initial, unseen_code=code)
            unseen = [frame for frame in frames if self._row(name, frame) < 0]
            predictors.insert(0, (ModelPredictor(UNFITTED[code], lambda *_: without), unseen))
        return predictors

    def _row(self, name: str, frame: int) -> int:
        return code_row(self._codes, name, int(self.target(name).protein.replicas[frame]))

    def _gathered(self, frames: list[FrameScore], ensembles: list[EnsembleScore]) -> Evaluation:
        order = {name: place for place, name in enumerate(self.names)}
        parts = distributed.gather((frames, ensembles))
        every = [score for part, _ in parts for score in part]
        whole = [score for _, part in parts for score in part]
        return Evaluation(
            sorted(every, key=lambda s: (order[s.protein], s.frame)), sorted(whole, key=lambda s: order[s.protein])
        )
