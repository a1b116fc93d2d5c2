"""Score several draws of demonstrations, and print mean, standard deviation and worst accuracy of each method.

torchrun --nproc_per_node 1 run_sweep.py --ckpt_dir 7B --k 1,4 --seed 1,2,3,4,5
"""

from options import run
from evaluate.sweep import SweepConfig, sweep

run(SweepConfig, sweep)
