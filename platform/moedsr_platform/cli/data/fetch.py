"""`moedsr data fetch`: entries of the ATLAS database, for training or as they are."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError, InterruptedJobError, JobError

if TYPE_CHECKING:
    from moedsr.structures.atlas.catalogue import Tier
    from moedsr_platform.display.meter import Meter


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Holds a folder for each entry.")
@click.option("--list", "listed", type=click.Path(path_type=Path), help="File of ids, one a line.")
@click.option("--all", "everything", is_flag=True, help="All 1,390 entries of 2022-06-13.")
@click.option(
    "--tier",
    type=click.Choice(["analysis", "protein"]),
    default="analysis",
    show_default=True,
    help="Frames 100 ps apart (77 GB in all) or 10 ps (750 GB).",
)
@click.option("--archive", type=click.Path(path_type=Path), help="Folder of archives; nothing is downloaded then.")
@click.option(
    "--connections", type=click.IntRange(1, 8), default=2, show_default=True, help="ATLAS asks for two at most."
)
@click.option("--retries", type=click.IntRange(0, 100), default=6, show_default=True, help="In a row without progress.")
@click.option("--server", help="Another address of the same layout.")
@click.option("--unlisted", is_flag=True, help="Also ids newer than the list of 2022-06-13.")
def fetch(
    ids: tuple[str, ...],
    out: Path,
    listed: Path | None,
    everything: bool,
    tier: "Tier",
    archive: Path | None,
    connections: int,
    retries: int,
    server: str | None,
    unlisted: bool,
) -> None:
    """Fetch entries of ATLAS into OUT: P0 and three replicas each. Licence of ATLAS: CC BY-NC 4.0.

    Can be stopped at any moment: the same command goes on, and keeps what is complete.

    \b
    moedsr data fetch 1k5n_A 5e3e_A --out atlas
    moedsr data fetch --all --tier protein --out atlas
    moedsr data prepare atlas --out store
    """
    from moedsr.structures.atlas.catalogue import MEAN_BYTES, SERVER, pinned_ids, read_ids, require_known
    from moedsr.structures.atlas.fetch import FetchOrder, archives_in, is_complete
    from moedsr.structures.atlas.fetch import fetch as fetch_entries
    from moedsr_platform.display.meter import meter

    if archive is not None and not archive.is_dir():
        raise InputError(f"--archive {archive}: no such folder")
    names = [*ids, *(read_ids(listed) if listed else ()), *(pinned_ids() if everything else ())]
    if not names and archive is not None:
        names = archives_in(archive, tier)
    if not names:
        raise InputError("which entries? give ids, --list FILE or --all")
    require_known(names, unlisted=unlisted)
    order = FetchOrder(tier=tier, server=server or SERVER, archives=archive, connections=connections, retries=retries)
    wanted = [name for name in dict.fromkeys(names) if not is_complete(out, name, tier)]
    expected = len(wanted) * MEAN_BYTES[tier]
    if archive is None and wanted:
        click.echo(f"{len(wanted)} of {len(set(names))} entries to fetch, about {expected / 1e9:.3g} GB")
    with meter("fetched", 0, lambda rate: f"{rate / 1e6:.3g} MB/s") as shown:
        report = FetchReport(shown, wanted, MEAN_BYTES[tier])
        try:
            summary = fetch_entries(names, out, order, report)
        except KeyboardInterrupt as error:
            raise InterruptedJobError("interrupted; the same command goes on where it stopped", *error.args) from error
    click.echo(f"{len(summary.fetched)} fetched, {len(summary.present)} already complete, {len(summary.failed)} failed")
    for name, reason in sorted(summary.failed.items()):
        click.echo(f"  {name}: {reason}")
    if summary.failed:
        raise JobError(
            f"{len(summary.failed)} of {len(set(names))} entries could not be fetched, for the reasons above; "
            "the same command tries them again"
        )


class FetchReport:
    """Bytes of several entries at once, as one amount. The size of an archive is a guess until its server tells it."""

    def __init__(self, meter: "Meter", names: list[str], mean: int) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._sizes: dict[str, float] = dict.fromkeys(names, mean)
        self._here: dict[str, int] = {}
        self._ended = 0
        meter.total = sum(self._sizes.values())

    def received(self, name: str, here: int, total: int | None, before: bool) -> None:
        """Some bytes of an archive."""
        with self._lock:
            new = here - self._here.get(name, 0)
            self._here[name] = here
            self._resize(name, max(here, total or self._sizes[name]))
            if before:
                self._meter.skip(new)
            else:
                self._meter.advance(new, self._entries())

    def ended(self, name: str, failure: str | None) -> None:
        """An entry is there or given up; either way, no more of it will come."""
        with self._lock:
            self._ended += 1
            self._resize(name, self._here.get(name, 0))
            self._meter.advance(0, self._entries())

    def _resize(self, name: str, size: float) -> None:
        self._meter.total += size - self._sizes[name]
        self._sizes[name] = size

    def _entries(self) -> str:
        return f"{self._ended}/{len(self._sizes)} entries"
