"""Turn annotated images, from Label Studio or a list of pages, into a data set to fine-tune LayoutLMv3 on.

    python run_preprocess_annotations.py --annotations export.json --images DIR \
        --labels InvNum,InvDate,Fourni,TTC,TVA,TT,Autre --output_dir DIR [--push_to_hub USER/NAME --private]
"""

from options import run
from finetune.annotations.dataset import AnnotationsConfig, preprocess_annotations

run(AnnotationsConfig, preprocess_annotations)
