"""What a log and a model are like: noise, fairness, temperature. Results are plain values; ``report`` shows them."""
