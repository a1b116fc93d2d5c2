"""Count what a data set of pages holds, before a model is trained on it.

python run_explore_pages.py --dataset doclaynet --dataset_path samples/doclaynet --output_dir results/exploration
"""

from options import run
from finetune.exploration import ExploreConfig, explore

run(ExploreConfig, explore)
