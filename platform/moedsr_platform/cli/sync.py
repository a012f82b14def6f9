"""`moedsr sync`: send what a tracking server has not got yet."""

import click

from moedsr.errors import InputError, JobError


@click.command()
@click.option("--timeout", default=60, show_default=True, help="Give up after so many seconds without any progress.")
def sync(timeout: int) -> None:
    """Send what sweeps could not: metrics, files and models that wait on disk because the server was away.

    Runs that are shown as running though the driver of their sweep was killed are closed.

    Looks through $MOEDSR_HOME or ./results, and sends in the order in which things happened. A sweep that runs
    sends by itself, and so does `moedsr sweep FILE --resume`.
    """
    from moedsr_platform.sweep.abandoned import close_abandoned, is_abandoned
    from moedsr_platform.sweep.folder import all_folders
    from moedsr_platform.tracking.journal import is_waiting
    from moedsr_platform.tracking.store import store_uri, without_password
    from moedsr_platform.tracking.tracker import Tracker

    failed, closed = [], 0
    for folder in filter(is_abandoned, all_folders()):
        try:
            count = close_abandoned(folder)
        except InputError as error:
            failed.append(f"{folder.sweep_id}: {error}")
            continue
        if count:
            closed += count
            click.echo(f"{folder.sweep_id}: its driver was killed; {count} runs are closed until --resume goes on")
    folders = [folder for folder in all_folders() if is_waiting(folder.tracking)]
    if not folders and not closed and not failed:
        click.echo("nothing waits to be sent")
    for folder in folders:
        try:
            with Tracker.open(folder=folder.tracking) as tracker:
                sent = tracker.drain(timeout)
        except InputError as error:
            failed.append(f"{folder.sweep_id}: {error}")
            continue
        if sent:
            click.echo(f"{folder.sweep_id}: {tracker.found} requests sent to {without_password(store_uri())}")
        else:
            failed.append(f"{folder.sweep_id}: the server went away again, {tracker.waiting} requests wait")
    if failed:
        raise JobError("; ".join(failed))
