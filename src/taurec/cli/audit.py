"""``taurec audit``: what a log and a model are like."""

from __future__ import annotations

import typer

from taurec.cli import audit_fairness, audit_fix, audit_log, audit_noise, audit_temperature

app = typer.Typer(
    no_args_is_help=True,
    help="What your log and your models are like: noise, fairness, temperature.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("log")(audit_log.log)
app.command("fix")(audit_fix.fix)
app.command("noise")(audit_noise.noise)
app.command("fairness")(audit_fairness.fairness)
app.command("temperature")(audit_temperature.temperature)
