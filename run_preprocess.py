"""Write the prompt file of a data set that a YAML file describes, for the direct or the channel method.

python run_preprocess.py --config samples/datasets/sst2.yaml --method direct
"""

from options import run
from preprocess.tables import PreprocessConfig, preprocess_config

run(PreprocessConfig, preprocess_config)
