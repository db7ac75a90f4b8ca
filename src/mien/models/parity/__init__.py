"""Proof that a network equals its official code: fixtures of deterministic weights, inputs and expected numbers.

May import core and models; third party: numpy, torch.
Start with `verify.py`; `fixture.py` makes weights and inputs, `cases/` calls each network as its authors do.
"""
