"""The soak: a simulated district for an hour, with faults; nothing may grow, lag, be lost or come twice."""
