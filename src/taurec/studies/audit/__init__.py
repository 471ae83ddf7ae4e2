"""Audits of a log, of the fairness of models, of their robustness to noise, and of their temperature."""
