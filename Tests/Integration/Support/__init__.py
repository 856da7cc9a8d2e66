"""What the integration tests stand on: the gateway as a process, peers that misbehave on purpose, strict readers."""
