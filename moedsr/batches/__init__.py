"""What training draws from a store, and a protein as the model sees it."""
