"""Training a judge: views -> teacher features -> teacher -> student -> calibration -> ONNX and card.

May import core, data, models, losses, evaluation; third party: torch. Stages talk through files in one work folder.
Start with `views.py`; `recipes/embedded_judge.py` runs the stages in order.
"""
