"""Forms of the console. They parse and label; what is allowed is the services' to say."""
