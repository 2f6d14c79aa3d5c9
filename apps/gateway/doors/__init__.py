"""Where calls come in. Doors are thin: they make an exchange of what came, and send what the pipeline answers."""
