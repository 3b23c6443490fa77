"""What can go wrong between the server and its store.

StoreError
├── Unavailable   nothing happened, and the call may be made again
├── Uncertain     the write may have happened; the same call again gives the same answer
└── StoreBug      the procedure itself failed; calling again does not help

StoreStartError   the private Tarantool could not be started
NodeError         the nodes of a replicated store are not as an operator's command needs them
"""


class StoreError(Exception):
    """Base of everything that a store call raises; expected outcomes are values instead."""


class Unavailable(StoreError):
    """The store did not take the call: nothing happened."""


class Uncertain(StoreError):
    """The answer was lost: the write may have happened."""


class StoreBug(StoreError):
    """A procedure raised an error of its own."""


class StoreStartError(Exception):
    """The private Tarantool could not be started; the message is one sentence for an operator."""


class NodeError(Exception):
    """What an operator asked of the nodes cannot be; the message is one sentence for them."""
