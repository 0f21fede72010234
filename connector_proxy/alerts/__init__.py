"""Alerts: what is told (``course.py``, ``words.py``), what is seen (``sights.py``), and how it gets
to people (``teller.py``, ``mail.py``, ``webhook.py``)."""
