from book_shop.prices import net


def test_net():
    assert net(10.7) == 10.0
