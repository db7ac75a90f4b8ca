"""What people read before they begin. The owner of a study edits both texts; these are what `mien study new` writes."""

from __future__ import annotations

from mien.apps.study.settings import PAIRWISE, Settings

_CONSENT = """\
You are asked for your opinion on pictures of people. There are no right and wrong answers.

We keep your answers, how long each took, how large your window is, and how you did in the viewing check{check}. We do
not ask for your name, and we keep no address of your computer. A random code stands for you.

Taking part is voluntary. You can pause at any time and go on later on the same link, or stop without giving a reason.
What you have answered until then is kept under your code; tell the person who sent you the link your code if you want
it to be deleted.
"""
_PLATES = ", which has a short test of colour vision"

_ACR = """\
You will see one picture at a time. Say how good it looks to you, from 5 (excellent) to 1 (bad).

Judge the picture, not the person: how clear, natural and well exposed it is, and whether anything in it disturbs you.
"""
_DCR = """\
You will see two pictures at a time: a reference and a version of it. Say how much the difference disturbs you, from
5 (imperceptible) to 1 (very annoying).

The reference is always the one that is called so.
"""
_PAIRWISE = """\
You will see two pictures at a time. Choose the one that looks better to you{tie}.

Judge the pictures, not the people in them: how clear, natural and well exposed they are, and whether anything disturbs
you.
"""
_TIE = "; if you cannot see any difference, say so"
_CLOSE = """
Sit as you usually do in front of this screen, and look at it straight on. Go with your first impression; a few seconds
are enough.{traps}
"""
_TRAPS = (
    " Now and then a card says in words which answer to give, to show that somebody is reading: give the answer that "
    "it asks for."
)


def consent(settings: Settings) -> str:
    """What people agree to."""
    return _CONSENT.format(check=_PLATES if settings.colour_plates else "")


def instructions(settings: Settings) -> str:
    """What people are asked to do."""
    task = {"acr": _ACR, "dcr": _DCR, PAIRWISE: _PAIRWISE}[settings.method].format(tie=_TIE if settings.ties else "")
    return task + _CLOSE.format(traps=_TRAPS if settings.traps else "")
