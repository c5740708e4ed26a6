"""How a run goes: from a recipe to a trained student."""
