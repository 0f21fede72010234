"""CI 360 is told how a delivery ended, by an external event."""
