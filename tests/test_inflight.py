from srv.inflight import InFlight


def test_bytes_in_flight_are_counted():
    in_flight = InFlight(10)

    assert in_flight.take(10)
    assert not in_flight.fits(1)
    in_flight.give_back(4)
    assert in_flight.fits(4)
    assert not in_flight.take(5)
