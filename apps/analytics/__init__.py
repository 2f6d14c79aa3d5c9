"""Learn: call records, roll-ups, dashboards' figures, explanations."""
