"""How the authors call each network: one file per network file, `run(net, case, inputs) -> outputs`.

May import core, models; third party: numpy, torch.
Start with `efficient_fiqa.py`; the contract stands in `../verify.py`.
"""
