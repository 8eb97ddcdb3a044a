"""The commands of `python -m tfspecnorm`, one module each."""

from tfspecnorm._commands import export, fold, inspect, report

COMMANDS = (report, fold, export, inspect)
