"""Print the results table of predictions files.

python run_results_table.py [FILES or FOLDER] [--format markdown|latex|csv]
"""

from options import run
from evaluate.table import TableConfig, print_table

run(TableConfig, print_table)
