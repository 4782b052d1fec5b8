"""What the labels of published data sets mean, in the order of their numbers."""
from __future__ import annotations


def parse_names(text: str) -> tuple[str, ...]:
    """"sky, tree" -> ("sky", "tree"). Raises ValueError for an empty name or one that comes twice."""
    names = tuple(name.strip() for name in text.split(","))
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"Names of regions look like sky,tree,house, all different; got {text!r}.")
    return names


# SceneParse150, the 150 classes of the ADE20K challenge of 2016; its files count them from 1.
ADE20K = parse_names("""
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
    earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
    mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
    base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
    refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
    river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
    palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
    truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track,
    apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
    fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall,
    tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal,
    bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
    ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag""")

# Ids 0..33 occur in the files. Licence plates are -1 there and are not drawn; SPADE counts them all the same.
CITYSCAPES = parse_names("""
    unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
    parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup,
    traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan,
    trailer, train, motorcycle, bicycle, license plate""")
