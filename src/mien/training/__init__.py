"""Training a judge.

Any table with a recipe of a published system or of mien's own: `train.py` (table → parts → loop → model and card);
`recipe.py` says what a recipe is, `loop.py` runs it, `self_training.py` chains teacher, pseudo-labels and student.
The judge that ships: ladders -> feed of views -> teacher -> student -> calibration -> ONNX and card (`ladders.py`,
`feed.py`, `teacher.py`, `student.py`, `calibrate.py`, `export.py`; `recipes/embedded_judge.py` runs them in order).

May import core, data, models, losses, evaluation; third party: torch. Stages talk through files in one work folder.
Start with `recipes/efficient_fiqa.py`, then `loop.py`.
"""
