"""The doors for people and programs: screens, JSON API, log-in."""
