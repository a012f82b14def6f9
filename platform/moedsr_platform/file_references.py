"""What a sweep file only names, model variants and data, looked up before anything starts."""

from pathlib import Path

from moedsr.config_file import YamlSource
from moedsr.errors import InputError
from moedsr_platform.preparation import check_data
from moedsr_platform.search_space import data_settings
from moedsr_platform.sweep_file import SweepFile


def check_variants(sweep: SweepFile, file: Path) -> None:
    """Names that the configuration cannot check itself, in the base and among the values searched over.

    Raises:
        InputError: an unknown router backbone or kind of expert, with its line in the file.
    """
    from moedsr.models.experts import EXPERTS
    from moedsr.models.router import ROUTERS
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
