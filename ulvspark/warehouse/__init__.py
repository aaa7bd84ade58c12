"""Tables out: session, pinned reads and idempotent writes, verification, publication."""
