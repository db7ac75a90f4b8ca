"""Losses as plain torch functions: tensors in, a scalar out.

May import core; third party: torch.
Start with `regression.py`.
"""
