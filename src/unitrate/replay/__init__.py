"""What is done by folding a store's log again: verify, simulate, correct."""
