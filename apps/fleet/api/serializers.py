"""Gateway workers as the REST API shows them."""

from rest_framework import serializers

from apps.rest.fields import Measured


class GatewaySerializer(serializers.Serializer):
    """One gateway worker, as it last said of itself."""

    worker = serializers.CharField(help_text="Its name among all workers.")
    node = serializers.CharField()
    number = serializers.IntegerField()
    pid = serializers.IntegerField()
    version = serializers.CharField()
    incarnation = serializers.IntegerField()
    epoch = serializers.IntegerField(help_text="The last change of configuration that it has applied.")
    lag = serializers.IntegerField(help_text="Changes that it is behind.")
    purge_clock = serializers.IntegerField()
    lease_left = Measured(help_text="Seconds that its trust lease still runs.")
    in_flight = serializers.IntegerField(help_text="Calls that it is answering.")
    since = serializers.DateTimeField(help_text="When it started.")
    heard = serializers.DateTimeField(help_text="When it last spoke.")
    alive = serializers.BooleanField(help_text="It spoke within the last seconds.")
    troubled = serializers.ListField(child=serializers.CharField(), help_text="Upstreams that it can't reach.")
    refused = serializers.IntegerField(help_text="Values that it refused because their seal is broken.")
