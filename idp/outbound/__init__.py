"""What the server sends out: messages to customers."""
