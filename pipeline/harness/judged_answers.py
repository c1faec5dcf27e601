"""What every stage makes of the evaluation images, as its answers are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.harness.embedding_cosines import EmbeddingCosines
from pipeline.harness.map_counts import MapCounts
from pipeline.harness.session import HarnessSession

if TYPE_CHECKING:
    from pipeline.harness.campaign import Campaign


def judge_answers(session: HarnessSession, campaign: Campaign) -> None:
    """Puts labels, or what takes their place, into a campaign that knows how many it asks for."""
    images = campaign.evaluated
    match session.deployment.judged_by:
        case "label":
            campaign.predictions = session.accuracy(images)
        case "dense":
            campaign.maps = session.judged("maps", MapCounts, images)
        case "embedding":
            campaign.embeddings = session.judged("embeddings", EmbeddingCosines, images)
