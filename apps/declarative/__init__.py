"""The declarative file: the platform as YAML or JSON, read (``reader``), made true (``applying``) and written (``exporting``)."""
