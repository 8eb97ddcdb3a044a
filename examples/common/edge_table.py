"""The page on the kept models: sizes, accuracies, memory, and what int8 costs."""
