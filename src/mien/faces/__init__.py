"""Faces in a picture: find them, align them, judge them, measure them, hold them against a policy.

May import: core, runtime; numpy and Pillow. What needs torch (AdaFace) is handed in as a function.
Start with find.py (a picture in, faces out), then scorer.py (a row for each), measures.py (numbers with units) and
policy.py (the verdict).
"""
