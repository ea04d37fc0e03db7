"""How one task stands, for the people of a site who wait for it: a signed token, and a JSON view.

Whoever has the token may ask, and nobody else.
"""

from .token import make_token

__all__ = ["make_token"]
