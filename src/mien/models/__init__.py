"""Torch networks, one readable file each.

May import core; third party: torch.
Start with `judge_net.py`, the network that ships.
"""
