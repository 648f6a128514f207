"""Observers: events, metrics and traces of what has already been answered; they change no answer."""
