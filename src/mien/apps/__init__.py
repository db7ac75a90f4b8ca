"""What people run: the command line and the report.

May import everything of mien; nothing of mien imports it. Each app brings its own third parties, inside its functions.
Start reading at `cli.py`; each verb is one function elsewhere (`score_command.score_pictures`).
"""
