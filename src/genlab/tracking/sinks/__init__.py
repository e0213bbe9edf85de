"""Tracking services, one per file: a module here, found by its name, holds one `Sink`."""
