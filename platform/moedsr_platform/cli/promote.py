"""`moedsr promote`: choose the registered version that users get."""

import click

CHOSEN_BY = ("val/iou", "naive/iou", "oracle/iou", "val/gap_closed")
"""Metrics of the version that are shown; all of them are its tags in the registry."""


@click.command()
@click.argument("model")
@click.option("--alias", default="champion", show_default=True, help="The alias to set.")
@click.option("--force", is_flag=True, help="Also where it is worse than the present one, or cannot be compared.")
def promote(model: str, alias: str, force: bool) -> None:
    """Give a version of a registered MODEL an alias, so that `models:/moe-dsr@champion` means it.

    MODEL is a name (its candidate, the best trial of the last sweep), name/VERSION, name@ALIAS, a models:/
    URI, or the id of a run whose model is registered. It must be no worse than the version that has the alias
    now, by what `moedsr evaluate --split val` kept of both, else by the scores that they were chosen by.
    """
    from moedsr_platform.tracking.promotion import promote as set_alias

    done = set_alias(model, alias, force=force)
    before = f" (was version {done.previous})" if done.previous and done.previous != done.version else ""
    before = " (as before)" if done.previous == done.version else before
    shown = {name: done.metrics[name] for name in CHOSEN_BY if name in done.metrics}
    scores = ", ".join(f"{name} {float(value):.3f}" for name, value in shown.items())
    chosen_by = f": {scores}" if scores else ""
    click.echo(f"models:/{done.model}@{done.alias} is now version {done.version}{before}{chosen_by}")
    if done.comparison:
        click.echo(f"  {done.comparison}")
    click.echo(f"Use it: moedsr predict models:/{done.model}@{done.alias} FILE.pdb --times -1:1:5 --out surfaces")
