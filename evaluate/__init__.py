"""Prompt files to predictions to a table.

`evaluate` is also the name of a package on PyPI. This one is found first because it is a package in the folder that the
scripts run from; nothing here imports the other, and it must never be installed beside this project.

docs/architecture.md has the map.
"""
