"""Measurements that the project's claims of speed and memory rest on."""
