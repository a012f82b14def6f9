"""`python -m moedsr_platform` is the `moedsr` command."""

from moedsr_platform.cli import main

main(prog_name="moedsr")
