"""Ratings and votes of people → scores with intervals: screening, observers, power. Tables in, numbers out.

May import core; third party: numpy, scipy, threadpoolctl. Each published method is one file.
Start with `scale.py` (which method needs what), then `mos.py` for ratings and `pairs.py` for votes. `sampling.py` says
which pair to ask next.
"""
