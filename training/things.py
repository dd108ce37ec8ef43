"""What the sketch model can paint: things and colours, with their English and Chinese names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    """One thing: emoji code point (or '' for one drawn here), names, and its natural colour's name or ''.

    `measure` is the Chinese measure word; `en` and `zh` hold aliases beside the first, canonical name.
    """

    key: str
    code: str
    measure: str
    natural: str
    en: tuple[str, ...]
    zh: tuple[str, ...]


def _rows(table: str) -> tuple[Thing, ...]:
    """Read `key|code|measure|natural|en, en|zh, zh` lines."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return tuple(
        Thing(key, code, measure, natural, _names(en), _names(zh))
        for key, code, measure, natural, en, zh in rows
    )


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in cell.split(","))


THINGS = _rows("""
apple|1f34e|个|red|apple|苹果
banana|1f34c|根|yellow|banana|香蕉
strawberry|1f353|颗|red|strawberry|草莓
cherry|1f352|颗|red|cherry, pair of cherries|樱桃
carrot|1f955|根|orange|carrot|胡萝卜, 萝卜
pizza|1f355|块|yellow|pizza, slice of pizza|披萨, 比萨
ice cream|1f366|个||ice cream, ice cream cone|冰淇淋, 冰激凌
cat|1f431|只|yellow|cat, kitten, kitty|猫, 小猫, 猫咪
dog|1f436|只|brown|dog, puppy|狗, 小狗, 狗狗
rabbit|1f430|只|white|rabbit, bunny|兔子, 小兔子, 白兔
panda|1f43c|只||panda|熊猫, 大熊猫
fox|1f98a|只|orange|fox|狐狸, 小狐狸
frog|1f438|只|green|frog, toad|青蛙
bird|1f426|只|red|bird|鸟, 小鸟
penguin|1f427|只||penguin|企鹅
fish|1f41f|条|blue|fish|鱼, 小鱼
octopus|1f419|只||octopus|章鱼
butterfly|1f98b|只||butterfly|蝴蝶
tree|1f333|棵|green|tree, oak|树, 大树
cactus|1f335|棵|green|cactus|仙人掌
sunflower|1f33b|朵|yellow|sunflower|向日葵
tulip|1f337|朵|pink|tulip, flower|郁金香, 花, 花朵
mushroom|1f344|个|red|mushroom, toadstool|蘑菇
car|1f697|辆|red|car, automobile|汽车, 车, 小汽车
rocket|1f680|枚||rocket, spaceship|火箭, 飞船
boat|26f5|艘||boat, sailboat, ship|船, 帆船
house|1f3e0|座||house, home, cottage|房子, 小屋, 房屋
castle|1f3f0|座||castle|城堡
lighthouse||座||lighthouse|灯塔
sun|1f31e|个|orange|sun, smiling sun|太阳
moon|1f319|个|yellow|moon, crescent moon|月亮, 弯月
star|2b50|颗|yellow|star|星星, 星
cloud|2601|朵|white|cloud|云, 云朵, 白云
rainbow|1f308|道||rainbow|彩虹
snowman|26c4|个||snowman|雪人
heart|2764|颗|red|heart|心, 爱心, 红心
crown|1f451|顶||crown|皇冠, 王冠
balloon|1f388|个|red|balloon|气球
umbrella|2602|把|purple|umbrella|雨伞, 伞
robot|1f916|个||robot|机器人
ghost|1f47b|个|white|ghost|鬼, 幽灵
circle||个||circle, ball|圆, 圆形, 球
square||个||square|方块, 正方形
triangle||个||triangle|三角形
""")

FIXED_COLOUR = frozenset({"rainbow"})  # recolouring would take away what it is
PLAIN_SHAPES = frozenset({"circle", "square", "triangle"})  # these have no colour of their own

PLURALS = {
    "cherry": "cherries",
    "strawberry": "strawberries",
    "fish": "fish",
    "octopus": "octopuses",
    "butterfly": "butterflies",
    "cactus": "cacti",
    "snowman": "snowmen",
    "bunny": "bunnies",
    "puppy": "puppies",
    "kitty": "kitties",
    "fox": "foxes",
    "pair of cherries": "pairs of cherries",
    "slice of pizza": "slices of pizza",
    "cup of coffee": "cups of coffee",
    "gift box": "gift boxes",
}


def plural(name: str) -> str:
    """English plural of a thing's name."""
    return PLURALS.get(name, name + "s")


@dataclass(frozen=True)
class Colour:
    """A colour: sRGB in 0..255, English and Chinese names; `zh` names stand before the noun as they are."""

    key: str
    rgb: tuple[int, int, int]
    en: tuple[str, ...]
    zh: tuple[str, ...]


COLOURS = (
    Colour("red", (226, 42, 48), ("red", "crimson", "scarlet"), ("红", "红色", "大红")),
    Colour("orange", (250, 138, 28), ("orange",), ("橙", "橙色", "橘色")),
    Colour("yellow", (252, 212, 42), ("yellow", "golden"), ("黄", "黄色", "金色")),
    Colour("green", (52, 168, 72), ("green",), ("绿", "绿色")),
    Colour("cyan", (72, 202, 212), ("cyan", "turquoise", "teal"), ("青", "青色", "天蓝色")),
    Colour("blue", (40, 98, 222), ("blue",), ("蓝", "蓝色")),
    Colour("purple", (134, 66, 196), ("purple", "violet"), ("紫", "紫色")),
    Colour("pink", (250, 140, 190), ("pink",), ("粉", "粉色", "粉红色")),
    Colour("brown", (130, 84, 50), ("brown",), ("棕", "棕色", "褐色")),
    Colour("black", (36, 36, 42), ("black",), ("黑", "黑色")),
    Colour("white", (242, 242, 244), ("white",), ("白", "白色")),
    Colour("gray", (142, 144, 150), ("gray", "grey"), ("灰", "灰色")),
)

ALL = range(len(THINGS))

THING_INDEX = {thing.key: index for index, thing in enumerate(THINGS)}
COLOUR_INDEX = {colour.key: index for index, colour in enumerate(COLOURS)}
NO_COLOUR = len(COLOURS)  # the class "not said", and a thing's natural colours


def held_out(thing: int, colour: int) -> bool:
    """Whether this pair is never shown in training: the composition test (about one pair in nine)."""
    natural = THINGS[thing].natural == COLOURS[colour].key
    return not natural and (thing * 5 + colour * 7) % 9 == 0
