"""Distribution of configuration: turns rows into what gateways read, numbers each change, and collects receipts."""
