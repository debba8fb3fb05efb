from prefect import get_run_logger


def plausible(levels: dict[str, float]) -> dict[str, float]:
    """Leave out what no river can have."""
    logger = get_run_logger()
    good = {}
    for gauge, level in levels.items():
        if 0 < level < 2000:
            good[gauge] = level
        else:
            logger.warning("gauge %s left out: %s cm", gauge, level)
    return good
