"""`moedsr doctor`: what works on this machine, and what to do where it does not."""

import click

from moedsr.errors import JobError


@click.command()
def doctor() -> None:
    """Check versions, devices, Ray, the tracking store, disk and cache; say what to do about each that fails.

    Exit code 1 when something that a sweep needs does not work.
    """
    from moedsr_platform.checks import CHECKS, run_check
    from moedsr_platform.display.terminal import output

    console = output()
    failed = []
    for name, check in CHECKS.items():
        finding = run_check(check)
        mark = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[red]bad [/]"}[finding.level]
        console.print(f"{mark} [bold]{name:<15}[/]", end="")
        console.print(finding.text, markup=False, soft_wrap=True)
        if finding.advice:
            console.print(f"{'':<21}→ {finding.advice}", markup=False, soft_wrap=True)
        if finding.level == "bad":
            failed.append(name)
    if failed:
        raise JobError(f"does not work here: {', '.join(failed)}")
