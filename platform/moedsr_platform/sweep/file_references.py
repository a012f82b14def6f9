"""What a sweep file only names, model variants and data, looked up before anything starts."""

import itertools
from pathlib import Path

from moedsr.config_file import YamlSource
from moedsr.errors import InputError
from moedsr_platform.cluster.preparation import check_data
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.sweep_file.search_space import data_settings, grid_points, involved, override


def check_variants(sweep: SweepFile, file: Path) -> None:
    """Names that the configuration cannot check itself, in the base and among the values searched over.

    Raises:
        InputError: an unknown router backbone or kind of expert, with its line in the file.
    """
    from moedsr.models.experts import EXPERTS
    from moedsr.models.router.router import ROUTERS
    from moedsr.models.variants import choose

    own = {"router.backbone": sweep.base.router.backbone, "expert.kind": sweep.base.expert.kind}
    for key, known in (("router.backbone", ROUTERS), ("expert.kind", EXPERTS)):
        searched = sweep.search[key].values if key in sweep.search else ()
        for name in (own[key], *searched):
            try:
                choose(known, str(name), key)
            except InputError as error:
                source = YamlSource(file)
                base = ("base",) if "base" in source.data else ()
                path = (*base, *key.split(".")) if name == own[key] else ("search", key)
                raise InputError(f"{source.where(path)}: {error}") from None
    _check_kinds(sweep, file)


def _check_kinds(sweep: SweepFile, file: Path) -> None:
    """Models of the kinds of experts that refuse some configurations, one for each that may be refused."""
    from moedsr.models.experts import EXPERTS
    from moedsr.models.moedsr import MoEDSR

    for point in itertools.islice(grid_points(involved(sweep.search, SHAPES)), MOST_MODELS):
        config = override(sweep.base, point)
        if not EXPERTS[config.expert.kind].refuses:
            continue
        few = config.expert.model_copy(update={"count": config.gate.top_k})
        try:
            MoEDSR(config.model_copy(update={"expert": few}), 1)
        except InputError as error:
            source = YamlSource(file)
            base = ("base",) if "base" in source.data else ()
            values = ", ".join(f"{key} {value}" for key, value in point.items())
            path = ("search", list(point)[-1]) if point else (*base, "expert", "kind")
            raise InputError(
                f"{source.where(path)}: {f'{values} can meet, but then ' if point else ''}{error}"
            ) from None


SHAPES = (
    "router.backbone", "router.l_max", "router.protein_features", "expert.kind", "expert.harmonic_channels",
    "expert.hidden_size", "expert.latent_size",
)  # fmt: skip
"""Keys by which a kind of expert may refuse a configuration."""
MOST_MODELS = 30
"""That are made for it; what is wrong with one behind them is the reason of the trial that fails by it."""


def check_data_of(sweep: SweepFile, file: Path) -> None:
    """What cannot be found is said before Ray takes its seconds to start.

    Raises:
        InputError: neither a store nor its source is there, with the line in the file.
    """
    for data in data_settings(sweep.base, sweep.search):
        try:
            check_data(data)
        except InputError as error:
            source = YamlSource(file)
            base = ("base",) if "base" in source.data else ()
            where = source.where((*base, "data", "store" if data.source is None else "source"))
            raise InputError(f"{where}: {error}") from None
