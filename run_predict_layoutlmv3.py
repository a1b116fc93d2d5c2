"""Label the words of one page with a fine-tuned LayoutLMv3.

python run_predict_layoutlmv3.py --model runs/funsd --image page.png --words words.json --output_path predictions.json
"""

from options import run
from finetune.layoutlmv3.prediction import PredictionConfig, predict_layoutlmv3

run(PredictionConfig, predict_layoutlmv3)
