"""How well predictions agree with people: tables in, numbers out.

May import core, data, subjective; third party: scipy.
Start with `correlation.py`; `detection.py` is for finders.
"""
