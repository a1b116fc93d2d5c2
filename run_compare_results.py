"""Test, for every pair of methods on the same examples, whether they differ significantly.

python run_compare_results.py [FILES or FOLDER] [--format markdown|latex|csv]
"""

from options import run
from evaluate.comparison import CompareConfig, print_comparison

run(CompareConfig, print_comparison)
