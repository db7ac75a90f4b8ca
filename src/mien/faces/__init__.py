"""Faces in pictures: find them, set them upright, judge them one by one.

May import core and runtime; numpy and Pillow at import time, no torch anywhere.
Start reading at scorer.py (a row for each face); find.py finds them, align.py sets them upright.
"""
