"""Data sets as lists of `Sample`, and degradations with known strength.

May import core; third party: numpy and Pillow.
Start with `sample.py`, then one adapter (`biq2021.py`), then `degradations.py`.
"""
