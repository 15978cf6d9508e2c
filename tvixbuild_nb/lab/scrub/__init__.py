"""scrub: what is another every time a notebook is executed is taken out of it, so that what stays can be compared.

``rules`` is what a rule is, ``standard`` the ordered list of them with the reason of each; ``marked`` handles what our
own views mark as volatile in their HTML, ``ids`` the host's subordinate ids; ``reading`` is HTML as the text that
somebody reads; ``notebook`` puts a whole notebook through all of it. Everything is pure, and doing it twice is doing it
once.
"""

from tvixbuild_nb.lab.scrub.notebook import scrub_notebook
from tvixbuild_nb.lab.scrub.reading import html_text
from tvixbuild_nb.lab.scrub.rules import Mark, Numbers, Rule
from tvixbuild_nb.lab.scrub.standard import MARKS, RULES, Place, host_rules

__all__ = ["MARKS", "RULES", "Mark", "Numbers", "Place", "Rule", "host_rules", "html_text", "scrub_notebook"]
