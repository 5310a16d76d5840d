"""What raters are asked, and on which scale: the two papers' user studies."""

from __future__ import annotations

from dataclasses import dataclass

from visemix.report.quoted import ATTENDEES, VOLUNTEERS, Quoted

LIP_SYNC, IMAGE_QUALITY, VIDEO_REALISM = "lip_sync", "image_quality", "video_realism"


@dataclass(frozen=True)
class Protocol:
    """Questions by the key that answers carry, a scale with a word for each step, and the paper's own outcome."""

    name: str
    about: str
    scale: dict[int, str]
    questions: dict[str, str]
    quoted: Quoted


GSMOOTHFACE = Protocol(
    "gsmoothface",
    "GSmoothFace, Section V-C: five degrees from −2 (very bad) to 2 (very good); the paper had 18 raters and 20 videos",
    {-2: "very bad", -1: "bad", 0: "neither", 1: "good", 2: "very good"},
    {
        LIP_SYNC: "How well do the lips fit what is heard?",
        IMAGE_QUALITY: "How good are the pictures: are they like photographs?",
        VIDEO_REALISM: "How real is the video as a whole?",
    },
    VOLUNTEERS,
)
MOS = Protocol(
    "mos",
    "GeneFace, Section 4.4: mean opinion score from 1 to 5; the paper had 20 raters, 10 clips (words: ITU-T P.800)",
    {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "excellent"},
    {
        LIP_SYNC: "How accurately do the lips fit what is heard?",
        VIDEO_REALISM: "How real is the video?",
        IMAGE_QUALITY: "How good is the quality of the pictures?",
    },
    ATTENDEES,
)
PROTOCOLS = {protocol.name: protocol for protocol in (GSMOOTHFACE, MOS)}
