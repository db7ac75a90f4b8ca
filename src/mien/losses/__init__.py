"""Losses as plain torch functions: tensors in, a scalar out; one file for each family, named as in the papers.

May import core; third party: torch.
Start with `regression.py`; then `ranking.py` and `fidelity.py` (pairs), `scenes.py` (inside scenes),
`global_correlation.py` (with a memory), `degradation_contrast.py` (unlabelled pictures), `weighting.py` (several terms
at once), `boxes.py` (where a face is).

What torch has is not wrapped here. The papers' other terms are, with `F = torch.nn.functional`:

    MSE of Efficient-FIQA, UIQA, BDVQA, MoNet       F.mse_loss(predicted, target)
    MAE of HyperIQA and its descendants             F.l1_loss(predicted, target)
    Huber loss of SAR, parameter 0.2                F.huber_loss(predicted, target, delta=0.2)
    scene classification of MoNet, SAR, SEM         F.cross_entropy(logits, scene); `scenes.scene_cross_entropy` where
                                                    some scenes are unknown
    LIQE's scene term, several labels a picture     fidelity.fidelity_loss(probability, label), both (n, classes)
"""
