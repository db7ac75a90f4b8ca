"""Scoring with onnxruntime: the embedded judge, sessions, batches.

May import: core; onnxruntime. Nothing else of mien.
Start reading at scorer.py (pictures in, rows out), then judge.py (a network and its card).
"""
