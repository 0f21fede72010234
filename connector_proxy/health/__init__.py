"""Named checks: before the service starts (``start.py``), and while it runs (``running.py``)."""
