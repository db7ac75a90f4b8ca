"""Faces in a picture: find them, align them, measure them, hold them against a policy.

May import: core, runtime; numpy and Pillow. What needs torch (AdaFace) is handed in as a function.
Start reading at align.py (five points to a square), then measures.py (numbers with units) and policy.py (the verdict).
"""
