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
    "a lion",
    "an owl",
    "a whale",
    "a t-rex",
    "a unicorn",
    "a snail",
    "a bee",
    "a crab",
    "一个汉堡",
    "一个生日蛋糕",
    "一辆自行车",
    "一列火车",
    "一架直升机",
    "一把吉他",
    "一个闹钟",
    "一条龙",
    "a red cat on a blue background",
    "a blue car on a yellow background",
    "a green heart on a white background",
    "a purple rocket on an orange background",
    "一座粉色的房子，青色背景",
    "一只黑猫，红色背景",
    "一只白色的兔子，绿色背景",
    "一颗黄色的星星，黑色背景",
    "two apples",
    "three stars on a purple background",
    "two cats on a green background",
    "three red balloons",
    "a cat and a dog",
    "an apple and a banana",
    "一座房子和一棵树",
    "一枚火箭和一个月亮",
    "a fox, flat style",
    "a castle, flat style",
    "an airplane, flat style",
    "two flat donuts",
    "一只企鹅，扁平风格",
    "一碗面条，扁平风格",
    "三朵玫瑰",
    "a cat with sunglasses",
)
TILE, GAP, COLUMNS = 128, 6, 8
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def lettering(size: int) -> Font:
    """A font with Chinese letters where the machine has one (Debian: fonts-noto-cjk), else Pillow's own."""
    try:
        return ImageFont.truetype("NotoSansCJK-Regular.ttc", size)
    except OSError:
        return ImageFont.load_default(size)


def fitting(prompt: str, font: Font) -> str:
    """As much of a prompt as is no wider than a tile."""
    while font.getlength(prompt) > TILE:
        prompt = prompt[:-1]
    return prompt


def write(path: Path, pictures: NDArray[np.float32]) -> None:
    """Write (64, h, w, 3) pictures in 0..1 as a sheet of 8 by 8, each with its prompt."""
    caption = 16
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + GAP + caption) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), lettering(9)
    for index, picture in enumerate(pictures):
        x = GAP + index % COLUMNS * (TILE + GAP)
        y = GAP + index // COLUMNS * (TILE + GAP + caption)
        tile = Image.fromarray((picture * 255).round().clip(0, 255).astype(np.uint8))
        canvas.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        pen.text((x, y + TILE + 2), fitting(PROMPTS[index], font), fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, optimize=True)
