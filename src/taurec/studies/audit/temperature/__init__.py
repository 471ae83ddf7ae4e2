"""What the temperature of a model does to its negatives."""
