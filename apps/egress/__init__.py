"""Where the platform's calls may lead, for both planes: what no call may ever reach (``addresses``), what a tenant's may
(``rules``), and the one HTTP client of the control plane (``outbound``). Knows no other room; ``addresses`` and ``rules`` need
nothing but the standard library.
"""
