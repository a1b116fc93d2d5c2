"""Prompt files to predictions to a table.

`evaluate` is also the name of a package on PyPI. This one takes precedence because it is in the folder that the scripts
run from. The other one is never imported, and must not be installed with this project.

docs/architecture.md maps the modules.
"""
