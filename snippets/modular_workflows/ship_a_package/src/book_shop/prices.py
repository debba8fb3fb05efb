def net(gross: float) -> float:
    return round(gross / 1.07, 2)
