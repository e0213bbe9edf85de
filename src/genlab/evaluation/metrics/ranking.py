"""The place of a row in the ranking, which the stage `rank` computes for the whole study."""

from __future__ import annotations

from genlab.evaluation.metrics import TOO_FEW, Cells, Column, Metric, RowRecord

NOT_RANKED = "not ranked"


class Ranking(Metric):
    """FDr over all spaces, tier, and the interval of the rank."""

    columns = (
        Column("fdr", "FDr", better="lower", interval=True, over_seeds=False, reference="held-out"),
        Column("tier", "tier", over_seeds=False),
        Column("rank", "rank", text=True, over_seeds=False),
    )
    order = 5
    needs = ("samples",)
    explanation = (
        "Fréchet distance to the held-out images, divided by that of as many other real images, "
        "in the geometric mean over feature spaces that no model of the study trained on: 1 is "
        "what real images reach. Where there are fewer other real images than samples, only that "
        "many samples are compared. It is the geometric mean over seeds, the same in all rows of "
        "one model and sampler. Rows of one tier can't be told apart; “2 to 5” is the interval of "
        "the rank (Holm's correction over all pairs, 95 % for all rows together)."
    )

    def read(self, row: RowRecord) -> Cells:
        place = row.ranking
        if place is None:
            return self.empty(TOO_FEW)
        cells: Cells = {name: place[name] for name in ("fdr", "fdr_low", "fdr_high")}
        if "tier" not in place:
            return cells | {"tier": NOT_RANKED, "rank": NOT_RANKED}
        low, high = place["rank_low"], place["rank_high"]
        return cells | {
            "tier": place["tier"],
            "rank": f"{low}" if low == high else f"{low} to {high}",
        }
