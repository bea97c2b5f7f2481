"""Metrics of stylised pictures, as the paper's authors compute them."""
