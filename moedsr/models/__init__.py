"""The networks: router, gate, experts, and the mixture of them."""
