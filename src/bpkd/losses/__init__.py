"""Distillation losses: one file a method, its formula a pure function, its Module beside it."""
