"""Who belongs to whom: the best pairing of two lists."""
from __future__ import annotations

import numpy as np
from torch import Tensor


def assign(similarity: Tensor, minimum: float = 0.0) -> list[tuple[int, int]]:
    """Pairs (row, column), in the order of rows, of the largest total of `similarity` [R,C].

    Pairs at or below `minimum` neither count nor appear. Equal totals: lower numbers first. Exact: the
    Hungarian method with potentials (Kuhn 1955, Jonker and Volgenant 1987), O(R^2 C) for R <= C.
    """
    gain = np.where(similarity.cpu() > minimum, similarity.cpu().double(), 0)        # [R,C]
    if gain.shape[0] > gain.shape[1]:
        return sorted((row, column) for column, row in assign(similarity.T, minimum))
    columns = _hungarian(-gain)
    return [(row, int(column)) for row, column in enumerate(columns) if gain[row, column] > minimum]


def _hungarian(cost: np.ndarray) -> np.ndarray:
    """[R] the column of every row at the least total cost; `cost` [R,C] with R <= C."""
    rows, columns = cost.shape
    # One column more, the last, holds the row that is looking for a place.
    owner = np.full(columns + 1, -1)
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    for row in range(rows):
        owner[columns], column = row, columns
        slack, previous = np.full(columns, np.inf), np.full(columns, columns)
        used = np.zeros(columns + 1, dtype=bool)
        while owner[column] >= 0:                          # grows a tree of tight edges to a free column
            used[column] = True
            reduced = cost[owner[column]] - row_price[owner[column]] - column_price[:columns]
            better = (reduced < slack) & ~used[:columns]
            slack[better], previous[better] = reduced[better], column
            nearest = int(np.where(used[:columns], np.inf, slack).argmin())
            step = slack[nearest]
            row_price[owner[used]] += step
            column_price[used] -= step
            slack[~used[:columns]] -= step
            column = nearest
        while column != columns:                           # everybody on the way moves one place on
            owner[column], column = owner[previous[column]], previous[column]
    return np.argsort(owner[:columns], kind="stable")[columns - rows:]
