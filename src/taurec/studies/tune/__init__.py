"""The search for the settings of a trained model."""
