"""Who asks for codes: honest customers, and what the attackers do."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Operator ranges of the home country. The attacker's numbers lie in some of them.
PREFIXES: Final = tuple(f"+79{10 + number}" for number in range(20))
CARRIERS: Final = 2
CUSTOMERS_PER_CARRIER: Final = 2_500  # behind one /24 of addresses
OWN_NUMBERS: Final = 0.8  # of a carrier's customers
CARRIER_ADDRESSES: Final = 128  # in use of each /24
HOME_NETWORKS: Final = 250
CUSTOMERS_PER_HOME: Final = 4
STRANGERS: Final = 0.05  # of the honest: the first sign-in
WITH_DEVICE: Final = 0.5  # of the returning customers
CONVERSION: Final = {True: 0.80, False: 0.95}  # of strangers, and of the others
NEW_HOMES: Final = 0.02  # networks of which no customer has ever come


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a message at `at` seconds; `answers_after` None never types the code."""

    at: float
    phone: str
    address: str
    honest: bool
    stranger: bool
    answers_after: float | None
    device: bool = False
    solves: bool = True  # the proof of work, if one is wanted

    @property
    def network(self) -> str:
        """The /24."""
        return self.address.rpartition(".")[0] + ".0/24"

    @property
    def prefix(self) -> str:
        """What the watch counts the number with."""
        return self.phone[:5]


@dataclass(frozen=True, slots=True)
class Strategy:
    """How an attacker asks, from `begins` to the end of the simulated time."""

    name: str
    seconds: int
    begins: int
    per_second: float
    prefixes: int
    networks: int
    converts: float = 0.0
    solves: float = 0.5
    modems: int = 8  # exact addresses that it shares with customers behind their carriers' NAT
    modems_share: float = 0.05
    homes: int = 20  # customers' home networks in which it has a machine
    homes_share: float = 0.05


STRATEGIES: Final = (
    Strategy("one prefix", 3_600, 1_200, 4.0, prefixes=1, networks=3_000),
    Strategy("many prefixes", 3_600, 1_200, 4.0, prefixes=400, networks=3_000),
    Strategy("slow", 24 * 3_600, 3_600, 0.1, prefixes=20, networks=3_000, modems=2, homes=6),
    Strategy("converting", 3_600, 1_200, 4.0, prefixes=5, networks=3_000, converts=0.2),
)

# What the store cannot tell from customers.
BEYOND: Final = (
    Strategy(
        "customers' homes",
        3_600,
        1_200,
        4.0,
        prefixes=400,
        networks=3_000,
        modems_share=0,
        homes=250,
        homes_share=1,
    ),
    Strategy("answering", 3_600, 1_200, 4.0, prefixes=5, networks=3_000, converts=0.7),
)


class Honest:
    """The customers, the same in every strategy."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._numbers: dict[str, int] = {}
        self.people: list[tuple[str, str, bool]] = []  # phone, address, stranger
        self.former: list[tuple[str, str]] = []  # who has signed in the day before
        for carrier in range(CARRIERS):
            for _ in range(CUSTOMERS_PER_CARRIER):
                address = f"100.64.{carrier}.{rng.randrange(CARRIER_ADDRESSES)}"
                # Most customers of a carrier have its own numbers.
                own = PREFIXES[carrier * 8 : carrier * 8 + 8]
                self._add(rng.choice(own if rng.random() < OWN_NUMBERS else PREFIXES), address)
            self.former += [
                (self.phone(rng.choice(PREFIXES)), f"100.64.{carrier}.{host}")
                for host in range(CARRIER_ADDRESSES)
                for _ in range(2)
            ]
        for home in range(HOME_NETWORKS):
            network = f"95.{home // 256}.{home % 256}"
            for _ in range(CUSTOMERS_PER_HOME):
                self._add(rng.choice(PREFIXES), f"{network}.{rng.randrange(1, 255)}")
            if rng.random() >= NEW_HOMES:
                self.former += [
                    (self.phone(rng.choice(PREFIXES)), f"{network}.{rng.randrange(1, 255)}")
                    for _ in range(4)
                ]

    def phone(self, prefix: str) -> str:
        """A number that nobody has yet."""
        number = self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{number:07}"

    def _add(self, prefix: str, address: str) -> None:
        self.people.append((self.phone(prefix), address, self._rng.random() < STRANGERS))

    def asks(self, seconds: int) -> Iterator[Ask]:
        """Each customer once, at any time."""
        rng = self._rng
        for phone, address, stranger in self.people:
            converts = rng.random() < CONVERSION[stranger]
            after = 8 + rng.expovariate(1 / 22) if converts else None
            device = not stranger and rng.random() < WITH_DEVICE
            yield Ask(
                at=rng.uniform(0, seconds),
                phone=phone,
                address=address,
                honest=True,
                stranger=stranger,
                answers_after=after,
                device=device,
            )


def attack(strategy: Strategy, rng: random.Random) -> Iterator[Ask]:
    """What the attacker asks for, with many numbers, each of which it uses again and again."""
    own = [f"+7{(910 + number) % 1_000:03}" for number in range(strategy.prefixes)]
    prefixes = [PREFIXES[3]] if strategy.prefixes == 1 else own
    numbers = [f"{rng.choice(prefixes)}{rng.randrange(5_000_000, 9_999_999)}" for _ in range(8_000)]
    converting = set(rng.sample(numbers, int(strategy.converts * len(numbers))))
    modems = [
        f"100.64.{index % CARRIERS}.{rng.randrange(CARRIER_ADDRESSES)}"
        for index in range(strategy.modems)
    ]
    homes = rng.sample(range(HOME_NETWORKS), strategy.homes)
    at = float(strategy.begins)
    while at < strategy.seconds:
        at += rng.expovariate(strategy.per_second)
        place = rng.random()
        if place < strategy.modems_share:
            address = rng.choice(modems)
        elif place < strategy.modems_share + strategy.homes_share:
            home = rng.choice(homes)
            address = f"95.{home // 256}.{home % 256}.{rng.randrange(1, 255)}"
        else:
            network = rng.randrange(strategy.networks)
            address = f"{11 + network // 65_536}.{network // 256 % 256}.{network % 256}.9"
        phone = rng.choice(numbers)
        after = rng.uniform(3, 20) if phone in converting else None
        yield Ask(
            at=at,
            phone=phone,
            address=address,
            honest=False,
            stranger=True,
            answers_after=after,
            solves=rng.random() < strategy.solves,
        )
