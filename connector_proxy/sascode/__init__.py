"""The SAS side as text: what an administrator installs, compares and checks without SAS."""
