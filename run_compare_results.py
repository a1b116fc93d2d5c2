"""Print, for every pair of results on the same examples, whether their difference is more than chance.

python run_compare_results.py [FILES or FOLDER] [--format markdown|latex|csv]
"""

from options import run
from evaluate.comparison import CompareConfig, print_comparison

run(CompareConfig, print_comparison)
