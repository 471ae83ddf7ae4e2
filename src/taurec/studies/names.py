"""Names of users and items in outputs: their ids, or hashes of them."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from taurec.errors import UsageError

LENGTH = 10
"""Letters of a hashed id: 50 bits, so that of a million ids two are equal with a chance of 1 in 2,000."""

NOTE = (
    "Ids are replaced by salted hashes. Numbers are not hidden: a reader who knows how often an item was taken, or a "
    "few items of a user's history, may still recognise the item or the user."
)
"""The note on a page with hashed ids."""


class Names:
    """What to write for ids: the ids as they are in the log."""

    def user(self, raw: str) -> str:
        """The text for a user id."""
        return self._of("user", raw)

    def item(self, raw: str) -> str:
        """The text for an item id."""
        return self._of("item", raw)

    def users(self, raw: Iterable[str]) -> list[str]:
        """The texts for user ids, in their order."""
        return [self.user(r) for r in raw]

    def items(self, raw: Iterable[str]) -> list[str]:
        """The texts for item ids, in their order."""
        return [self.item(r) for r in raw]

    def _of(self, kind: Literal["user", "item"], raw: str) -> str:
        return raw


@dataclass(frozen=True)
class Hashed(Names):
    """Replaces ids by short texts that are equal for equal ids and reveal nothing else about them.

        hashed = base32( BLAKE2b(id, key = salt, person = kind) )[:10]

    The same id has the same text in all outputs of one object, or of one given salt; users and items are hashed
    separately. Without the salt nobody can find an id by hashing guesses, so a salt that is stored must be kept secret.

    Hashing does not hide the content of the outputs: counts, popularity, which user has which (hashed) items. A reader
    who knows some of that from another source may recognise a user or an item.

    Args:
        salt: 1 to 64 bytes as UTF-8; by default random from the system and forgotten with the object. This one draw
            is not reproducible on purpose: a salt that follows from a seed could be guessed.
    Raises: UsageError for a salt that is empty or too long.

    >>> names = Hashed("a secret")
    >>> names.user("196"), names.item("196"), names.user("196") == names.user("197")
    ('user-e3cu5urnwo', 'item-wno7x2n5to', False)
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.salt.encode()) <= 64:
            raise UsageError(f"the salt needs 1 to 64 bytes, got {len(self.salt.encode())}")

    def _of(self, kind: Literal["user", "item"], raw: str) -> str:
        key, person = self.salt.encode(), kind.encode()
        digest = hashlib.blake2b(raw.encode("utf-8", "surrogatepass"), key=key, person=person, digest_size=10).digest()
        return f"{kind}-{base64.b32encode(digest).decode().lower()[:LENGTH]}"
