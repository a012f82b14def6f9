"""`moedsr ui`: the MLflow UI on the store in use."""

import contextlib
import os
import socket
import sys

import click

from moedsr.errors import InputError


@click.command()
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0 lets other machines in: there is no password.",
)
def ui(port: int, host: str) -> None:
    """Open the MLflow UI on the tracking store in use; stop it with Ctrl-C.

    The store is $MLFLOW_TRACKING_URI, else mlflow.db in $MOEDSR_HOME or ./results. Sweeps are runs with
    trials below them; a sweep's page shows its result table, a trial's its curves, routing/ and surfaces/.
    """
    from moedsr_platform.sweep.abandoned import close_abandoned, has_more_to_say
    from moedsr_platform.sweep.folder import all_folders
    from moedsr_platform.tracking.store import artifact_folder, check_store, store_uri

    uri = store_uri()
    check_store(uri, create=False)
    if uri.startswith("http"):
        click.echo(f"The store in use is a server with its own UI: {uri}")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"--port {port} on {host}: {error.strerror}; try --port {port + 1}") from error
    folder = artifact_folder(uri)
    for sweep in filter(has_more_to_say, all_folders()):
        # its driver was killed before it had said all; where somebody else is just saying it, the pages need not wait
        with contextlib.suppress(InputError):
            close_abandoned(sweep)
    click.echo(f"MLflow UI on {uri} (Ctrl-C stops it)\n  http://{host}:{port}/#{_first_page(uri)}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--registry-store-uri", uri]
    command += ["--default-artifact-root", folder.as_uri()] if folder else []
    command += ["--uvicorn-opts", "--log-level=warning"]  # not a line for every picture that a browser asks for
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of MLflow's own libraries
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # seven processes that only chat traces need
    os.execv(sys.executable, command)


def _first_page(uri: str) -> str:
    """The trials of the latest sweep, best first, with what was searched over; else the list of our runs.

    MLflow's own first page is about chat traces.
    """
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.run_names import KEY_TAG, experiment_name
    from moedsr_platform.tracking.sweep_page import MODE, VIEW_TAG, view_address

    client = connect(uri, create=False)
    experiment = client.get_experiment_by_name(experiment_name())
    if experiment is None:
        return f"/experiments?{MODE}"
    sweeps = client.search_runs(
        [experiment.experiment_id], "tags.`moedsr.kind` = 'sweep'", max_results=1, order_by=["start_time DESC"]
    )
    views = [run.data.tags[KEY_TAG] for run in sweeps if f"{VIEW_TAG}{run.data.tags.get(KEY_TAG)}" in experiment.tags]
    if views:
        return view_address(experiment.experiment_id, views[0])
    return f"/experiments/{experiment.experiment_id}/runs?{MODE}"
