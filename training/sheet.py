"""The contact sheet: 64 fixed prompts, in reading order, as the model paints them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PROMPTS = (
    "a red apple",
    "a cat",
    "a dog",
    "a rocket",
    "a castle",
    "a sunflower",
    "a pizza",
    "a strawberry",
    "a crown",
    "a heart",
    "a star",
    "a moon",
    "a smiling sun",
    "a rainbow",
    "a cloud",
    "a snowman",
    "a tree",
    "a cactus",
    "a mushroom",
    "a house",
    "a lighthouse in a storm",
    "a car",
    "a balloon",
    "a ghost",
    "a rabbit",
    "a panda",
    "a penguin",
    "a fish",
    "a butterfly",
    "a banana",
    "a carrot",
    "an ice cream",
    "a red cat on a blue background",
    "a blue car on a yellow background",
    "a green heart on a white background",
    "a purple rocket on an orange background",
    "a pink house on a cyan background",
    "a black cat on a red background",
    "a white rabbit on a green background",
    "a yellow star on a black background",
    "two apples",
    "three stars on a purple background",
    "two cats on a green background",
    "three red balloons",
    "a cat and a dog",
    "an apple and a banana",
    "a house and a tree",
    "a rocket and a moon",
    "一个红苹果",
    "一只猫",
    "一只狗",
    "一枚火箭",
    "一座城堡",
    "一朵向日葵",
    "一颗草莓",
    "一顶皇冠",
    "两个苹果，绿色背景",
    "三颗星星",
    "一只蓝色的猫，黄色背景",
    "一辆绿色的汽车",
    "一个雪人，粉色背景",
    "一座灯塔",
    "一只猫和一只狗",
    "一条龙",
)
TILE, GAP, COLUMNS = 128, 6, 8


def write(path: Path, pictures: NDArray[np.float32]) -> None:
    """Write (64, h, w, 3) pictures in 0..1 as a sheet of 8 by 8, with the English prompts."""
    caption = 16
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + GAP + caption) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(9)
    for index, picture in enumerate(pictures):
        x = GAP + index % COLUMNS * (TILE + GAP)
        y = GAP + index // COLUMNS * (TILE + GAP + caption)
        tile = Image.fromarray((picture * 255).round().clip(0, 255).astype(np.uint8))
        canvas.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        prompt = PROMPTS[index]
        if prompt.isascii():
            pen.text((x, y + TILE + 2), prompt[:28], fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, optimize=True)
