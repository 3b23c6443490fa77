"""What the server sends out: messages to customers, and requests for what clients name."""
