"""The router: surface features, the message network, the gate."""
