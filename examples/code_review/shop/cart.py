"""What a customer is about to buy."""


def add(item: str, cart: list[str] = []) -> list[str]:
    """Return the cart with one more item."""
    cart.append(item)
    return cart


def total(prices: dict[str, int], cart: list[str]) -> int:
    # TODO: discounts
    return sum(prices[item] for item in cart)


def parse(text: str) -> int | None:
    """Return a price in cents, or None where there is none."""
    try:
        return int(text)
    except:
        return None
