"""The verbs that turn signals into cases, responses and numbers, and the loop that runs them."""
