"""The demo origin's goods, and the work that an answer costs: comparing one product, or one question, with all the others.

Nothing here sleeps. Comparing the three-letter pieces of a few thousand products in plain Python takes some 50 to 150 ms
on an ordinary core, which is what makes a cache worth looking at.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

PRODUCTS = 6_000
DELIVERY = 500  # of a product that was sold out

_ADJECTIVES = (
    "light sturdy folding waterproof silent warm compact solar woven padded steel bamboo vintage slim modular".split()
)
_NOUNS = (
    "tent lantern backpack kettle jacket bicycle stove hammock compass boots bottle blanket radio ladder bench".split()
)
_USES = (
    "camping commuting gardening sailing hiking travelling cooking reading fishing running climbing painting".split()
)
_TRAITS = "recycled repairable insulated adjustable stackable washable rustproof quiet refillable handmade".split()
CATEGORIES = ("outdoor", "home", "mobility", "garden")
LANGUAGES = ("en", "de")
_PHRASE = {"en": "{} {} for {}", "de": "{} {} zum {}"}


@dataclass
class Product:
    """One thing on sale. ``version`` grows with every order of it."""

    number: int
    words: tuple[str, str, str]
    traits: tuple[str, ...]
    category: str
    price: int  # cents
    stock: int
    version: int = 1
    weights: Mapping[str, float] = field(default_factory=dict)

    def name(self, language: str) -> str:
        """What it is called."""
        return _PHRASE[language].format(*self.words).capitalize()

    def described(self, language: str) -> dict[str, object]:
        """The fields of an answer."""
        return {
            "id": self.number,
            "name": self.name(language),
            "category": self.category,
            "traits": list(self.traits),
            "price": self.price / 100,
            "stock": self.stock,
        }


def _pieces(text: str) -> Counter[str]:
    """The three-letter pieces of a text, so that "tents" is found for "tent"."""
    padded = f" {text.lower()} "
    return Counter(padded[place : place + 3] for place in range(len(padded) - 2))


def _cosine(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    shared = left.keys() & right.keys()
    if not shared:
        return 0.0
    dot = sum(left[piece] * right[piece] for piece in shared)
    return dot / math.sqrt(sum(w * w for w in left.values()) * sum(w * w for w in right.values()))


class Catalogue:
    """All products, the same ones at every start."""

    def __init__(self, size: int = PRODUCTS) -> None:
        chance = random.Random(1871)  # noqa: S311 - reproducible goods, no secret
        self.products = [self._product(number, chance) for number in range(1, size + 1)]
        self.orders = 0
        self.version = 1
        pieces = [_pieces(" ".join([*product.words, *product.traits])) for product in self.products]
        seen = Counter(piece for found in pieces for piece in found)
        self._rarity = {piece: math.log(size / count) + 0.1 for piece, count in seen.items()}
        for product, found in zip(self.products, pieces, strict=True):
            product.weights = self._weigh(found)

    @staticmethod
    def _product(number: int, chance: random.Random) -> Product:
        return Product(
            number=number,
            words=(chance.choice(_ADJECTIVES), chance.choice(_NOUNS), chance.choice(_USES)),
            traits=tuple(sorted(chance.sample(_TRAITS, 4))),
            category=chance.choice(CATEGORIES),
            price=chance.randrange(500, 30_000),
            stock=chance.randrange(5, 500),
        )

    def _weigh(self, pieces: Counter[str]) -> dict[str, float]:
        return {piece: count * self._rarity.get(piece, 1.0) for piece, count in pieces.items()}

    def find(self, number: int) -> Product | None:
        """The product with this number."""
        return self.products[number - 1] if 1 <= number <= len(self.products) else None

    def similar(self, product: Product, count: int = 5) -> list[Product]:
        """The products most like this one."""
        ranked = sorted(self.products, key=lambda other: (-_cosine(product.weights, other.weights), other.number))
        return [other for other in ranked if other is not product][:count]

    def search(self, question: str, count: int = 20) -> list[tuple[Product, float]]:
        """What answers a question best, with its score; nothing that hardly resembles it."""
        weights = self._weigh(_pieces(question))
        scored = ((product, _cosine(weights, product.weights)) for product in self.products)
        best = sorted(((p, score) for p, score in scored if score > 0.1), key=lambda pair: (-pair[1], pair[0].number))
        return best[:count]

    def bestsellers(self, category: str, language: str, count: int = 12) -> list[dict[str, object]]:
        """The category's products by how much of it resembles them: a stand-in for a recommender, and as slow."""
        pool = [product for product in self.products if not category or product.category == category]
        candidates, sample = pool[:: max(1, len(pool) // 60)], pool[:: max(1, len(pool) // 120)]
        ranked = sorted(
            candidates, key=lambda p: (-sum(_cosine(p.weights, other.weights) for other in sample), p.number)
        )
        return [product.described(language) for product in ranked[:count]]

    def order(self, product: Product, quantity: int) -> dict[str, int]:
        """Sell, and restock what is sold out. Raises ``ValueError`` when there is less in stock."""
        if not 1 <= quantity <= product.stock:
            raise ValueError(f"{product.stock} left")
        product.stock = product.stock - quantity or DELIVERY
        product.version += 1
        self.version += 1
        self.orders += 1
        return {"order": self.orders, "item": product.number, "quantity": quantity}
