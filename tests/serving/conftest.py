"""What tests of the real service share."""
import pytest

from support.gateway import Gateway


@pytest.fixture
def serve(tmp_path):
    """Starts gateways on state directories of their own; none of them outlives the test."""
    started = []

    def start(*options, **more):
        gateway = Gateway(tmp_path / f"state{len(started)}", *options, **more)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.close()
