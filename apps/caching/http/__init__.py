"""HTTP caching as pure decisions (RFC 9111): no input or output, no clock, no Django. Everything is passed in.

A call goes through it like this; the gateway's part is between the arrows::

    plan_request(request, policy, identity)          -> RequestPlan          may we look, and where
        store.find(plan)                                                     look
    on_entry(plan, stored, now)                      -> Serve | Revalidate | Fetch | GatewayTimeout
        ask the upstream                                                     forward
    on_response(plan, stored, head, times, birth)    -> Store | NoStore | Refreshed | Serve | Refetch
    on_error(plan, stored, failure, now)             -> Serve | Failed
    answer_from(stored, plan, now)                   -> Answer               200, 206, 304, 416, HEAD
    on_unsafe(request, policy, head)                 -> tags to purge
"""
