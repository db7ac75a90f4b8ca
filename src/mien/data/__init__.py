"""Data sets as lists of `Sample`, batches of them, and degradations with known strength.

May import core; third party: numpy and Pillow.
Start with `sample.py`, then one adapter (`kadid10k.py`) and the table of all (`registry.py`), then `samplers.py` and
`degradations.py`. A data set that nobody knows is read by `table.py`.
"""
