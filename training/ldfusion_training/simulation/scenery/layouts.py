"""The layout of each kind of scene."""

from collections.abc import Callable

from ldfusion_training.simulation.scenery import indoors, outdoors
from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.routes import Layout
from ldfusion_training.simulation.scenery.things import Random

LAYOUTS: dict[str, Callable[[Random, Climate, float], Layout]] = {
    'street': outdoors.street,
    'parking_lot': outdoors.parking_lot,
    'campus_path': outdoors.campus_path,
    'warehouse_aisle': indoors.warehouse_aisle,
    'corridor': indoors.corridor,
    'tunnel': indoors.tunnel,
}
"""Each takes random numbers, the climate and the seconds that the rig drives."""
