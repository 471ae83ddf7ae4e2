"""The audit of a model's temperature: its effect on the weights of negatives."""
