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
monkey|1f435|只||monkey|猴子, 小猴
wolf|1f43a|只|gray|wolf|狼
raccoon|1f99d|只|gray|raccoon|浣熊
lion|1f981|头||lion|狮子
tiger|1f42f|只||tiger|老虎, 虎
horse|1f434|匹||horse, pony|马, 小马
unicorn|1f984|只||unicorn|独角兽
zebra|1f993|匹|gray|zebra|斑马
deer|1f98c|头||deer, stag|鹿, 小鹿
cow|1f42e|头||cow|奶牛, 牛
pig|1f437|头|pink|pig, piglet|猪, 小猪
sheep|1f411|只|white|sheep, lamb|绵羊, 羊
camel|1f42b|头|orange|camel|骆驼
giraffe|1f992|只|orange|giraffe|长颈鹿
elephant|1f418|头|gray|elephant|大象, 象
rhino|1f98f|头|gray|rhino, rhinoceros|犀牛
mouse|1f42d|只||mouse|老鼠
hamster|1f439|只||hamster|仓鼠
squirrel|1f43f|只||squirrel, chipmunk|松鼠
hedgehog|1f994|只||hedgehog|刺猬
bat|1f987|只|brown|bat|蝙蝠
bear|1f43b|只|brown|bear|熊, 小熊
koala|1f428|只|gray|koala|考拉
sloth|1f9a5|只||sloth|树懒
otter|1f9a6|只|brown|otter|水獭
kangaroo|1f998|只|orange|kangaroo|袋鼠
llama|1f999|只|white|llama, alpaca|羊驼
chicken|1f414|只|white|chicken, hen|鸡, 母鸡
rooster|1f413|只||rooster|公鸡
chick|1f424|只|yellow|chick, baby chick|小鸡
dove|1f54a|只|white|dove, pigeon|鸽子
eagle|1f985|只||eagle, hawk|老鹰, 鹰
duck|1f986|只||duck|鸭子
swan|1f9a2|只|white|swan|天鹅
owl|1f989|只||owl|猫头鹰
flamingo|1f9a9|只|pink|flamingo|火烈鸟
peacock|1f99a|只||peacock|孔雀
parrot|1f99c|只||parrot|鹦鹉
crocodile|1f40a|条||crocodile, alligator|鳄鱼
turtle|1f422|只||turtle, tortoise|乌龟, 海龟
snake|1f40d|条||snake|蛇
dragon|1f432|条||dragon|龙
dinosaur|1f995|只||dinosaur, brontosaurus|恐龙, 雷龙
t-rex|1f996|只|green|t-rex, tyrannosaurus|霸王龙
whale|1f433|头||whale|鲸鱼, 鲸
dolphin|1f42c|只|cyan|dolphin|海豚
seal|1f9ad|只|gray|seal|海豹
shark|1f988|条|gray|shark|鲨鱼
seashell|1f41a|个||seashell, shell|贝壳, 海螺
jellyfish|1fabc|只|blue|jellyfish|水母
crab|1f980|只||crab|螃蟹
lobster|1f99e|只|red|lobster|龙虾
shrimp|1f990|只|red|shrimp, prawn|虾
snail|1f40c|只|brown|snail|蜗牛
caterpillar|1f41b|条||caterpillar, worm|毛毛虫, 虫子
ant|1f41c|只|black|ant|蚂蚁
bee|1f41d|只||bee, honeybee|蜜蜂
ladybug|1f41e|只||ladybug, ladybird|瓢虫
spider|1f577|只|black|spider|蜘蛛
scorpion|1f982|只|brown|scorpion|蝎子
rose|1f339|朵|red|rose|玫瑰, 玫瑰花
cherry blossom|1f338|朵|pink|cherry blossom|樱花
lotus|1fab7|朵||lotus|莲花, 荷花
daisy|1f33c|朵|white|daisy|雏菊, 小黄花
bouquet|1f490|束||bouquet, bunch of flowers|花束
pine tree|1f332|棵|green|pine tree, pine, fir|松树
palm tree|1f334|棵||palm tree, palm|棕榈树, 椰子树
seedling|1f331|棵||seedling, sprout|幼苗, 小苗
potted plant|1fab4|盆||potted plant, houseplant|盆栽
clover|1f340|片|green|clover, four leaf clover|四叶草
maple leaf|1f341|片||maple leaf|枫叶
leaf|1f343|片|green|leaf|叶子, 树叶
grapes|1f347|串|purple|grapes, bunch of grapes|葡萄
watermelon|1f349|块||watermelon, slice of watermelon|西瓜
tangerine|1f34a|个||tangerine, mandarin|橘子, 桔子
lemon|1f34b|个|yellow|lemon|柠檬
pineapple|1f34d|个||pineapple|菠萝
mango|1f96d|个||mango|芒果
pear|1f350|个|yellow|pear|梨, 梨子
peach|1f351|个||peach|桃子, 桃
kiwi|1f95d|个||kiwi, kiwi fruit|猕猴桃, 奇异果
tomato|1f345|个|red|tomato|西红柿, 番茄
avocado|1f951|个||avocado|牛油果, 鳄梨
eggplant|1f346|个|purple|eggplant, aubergine|茄子
potato|1f954|个||potato|土豆
corn|1f33d|根||corn, ear of corn|玉米
chili|1f336|个|red|chili, chili pepper, hot pepper|辣椒
cucumber|1f952|根|green|cucumber|黄瓜
broccoli|1f966|棵|green|broccoli|西兰花
onion|1f9c5|个||onion|洋葱
bread|1f35e|块||bread, loaf of bread|面包
croissant|1f950|个||croissant|羊角面包, 可颂
pretzel|1f968|个|orange|pretzel|椒盐卷饼
pancake|1f95e|份||pancake, pancakes|煎饼, 松饼
waffle|1f9c7|块||waffle|华夫饼
cheese|1f9c0|块|yellow|cheese|奶酪, 芝士
chicken leg|1f357|只||chicken leg, drumstick|鸡腿
hamburger|1f354|个||hamburger, burger|汉堡, 汉堡包
french fries|1f35f|份||french fries, fries|薯条
hot dog|1f32d|个|orange|hot dog, hotdog|热狗
sandwich|1f96a|个||sandwich|三明治
taco|1f32e|个||taco|墨西哥卷饼, 塔可
egg|1f95a|个||egg|鸡蛋, 蛋
fried egg|1f373|个||fried egg|煎蛋, 煎鸡蛋
popcorn|1f37f|桶||popcorn|爆米花
rice ball|1f359|个||rice ball, onigiri|饭团
rice|1f35a|碗||rice, bowl of rice|米饭, 饭
noodles|1f35c|碗|red|noodles, ramen|面条, 拉面
sushi|1f363|个||sushi|寿司
dumpling|1f95f|个|orange|dumpling|饺子
moon cake|1f96e|个||moon cake, mooncake|月饼
donut|1f369|个|brown|donut, doughnut|甜甜圈
cookie|1f36a|块||cookie, biscuit|饼干, 曲奇
birthday cake|1f382|个||birthday cake, cake|生日蛋糕, 蛋糕
slice of cake|1f370|块||slice of cake, shortcake|蛋糕块, 草莓蛋糕
cupcake|1f9c1|个||cupcake, muffin|纸杯蛋糕
pie|1f967|个||pie|馅饼, 派
chocolate|1f36b|块||chocolate, chocolate bar|巧克力
candy|1f36c|颗|red|candy, sweet|糖果, 糖
lollipop|1f36d|根||lollipop|棒棒糖
pudding|1f36e|个||pudding, flan|布丁
honey|1f36f|罐||honey, honey pot|蜂蜜
milk|1f95b|杯|white|milk, glass of milk|牛奶
coffee|2615|杯||coffee, cup of coffee|咖啡
teapot|1fad6|个|red|teapot|茶壶
wine|1f377|杯||wine, glass of wine|红酒, 葡萄酒
cocktail|1f378|杯|white|cocktail, martini|鸡尾酒
beer|1f37a|杯||beer, mug of beer|啤酒
bubble tea|1f9cb|杯||bubble tea, milk tea|珍珠奶茶, 奶茶
mountain|26f0|座||mountain|山, 高山
volcano|1f30b|座||volcano|火山
island|1f3dd|座||island, desert island|小岛, 岛
earth|1f30d|个||earth, globe, planet earth|地球
school|1f3eb|座||school|学校
hospital|1f3e5|座||hospital|医院
factory|1f3ed|座|gray|factory|工厂
office building|1f3e2|栋|gray|office building, skyscraper|大楼, 办公楼, 高楼
church|26ea|座||church|教堂
tent|26fa|顶|green|tent|帐篷
ferris wheel|1f3a1|座||ferris wheel|摩天轮
fountain|26f2|座||fountain|喷泉
tower|1f5fc|座||tower, tokyo tower|铁塔, 塔, 东京塔
statue of liberty|1f5fd|座|cyan|statue of liberty, statue|自由女神像, 雕像
train|1f686|列||train|火车
locomotive|1f682|辆||locomotive, steam train|蒸汽火车, 火车头
bus|1f68c|辆||bus|公交车, 巴士
ambulance|1f691|辆||ambulance|救护车
fire truck|1f692|辆||fire truck, fire engine|消防车
police car|1f693|辆||police car|警车
taxi|1f695|辆||taxi, cab|出租车
truck|1f69a|辆||truck, lorry|卡车, 货车
tractor|1f69c|辆||tractor|拖拉机
race car|1f3ce|辆||race car, racing car|赛车
motorcycle|1f3cd|辆||motorcycle, motorbike|摩托车
scooter|1f6f5|辆|red|scooter, motor scooter|电动车, 踏板车
bicycle|1f6b2|辆||bicycle, bike|自行车, 单车
skateboard|1f6f9|块|black|skateboard|滑板
cruise ship|1f6f3|艘||cruise ship, ocean liner|轮船, 邮轮
airplane|2708|架||airplane, plane|飞机
helicopter|1f681|架||helicopter|直升机
ufo|1f6f8|个||ufo, flying saucer|飞碟, 不明飞行物
anchor|2693|个|cyan|anchor|锚, 船锚
traffic light|1f6a6|个|black|traffic light|红绿灯
snowflake|2744|片||snowflake|雪花
lightning|26a1|道|orange|lightning, lightning bolt, thunderbolt|闪电
fire|1f525|团||fire, flame|火, 火焰
water drop|1f4a7|滴|cyan|water drop, drop of water, raindrop|水滴
wave|1f30a|道||wave, ocean wave|海浪, 波浪
comet|2604|颗||comet|彗星
saturn|1fa90|颗||saturn, ringed planet, planet|土星, 行星
tornado|1f32a|道||tornado|龙卷风
gift|1f381|份||gift, present, gift box|礼物, 礼物盒
trophy|1f3c6|座||trophy|奖杯
gold medal|1f947|枚||gold medal, medal|金牌, 奖牌
soccer ball|26bd|个||soccer ball, football|足球
baseball|26be|个||baseball|棒球
basketball|1f3c0|个||basketball|篮球
tennis racket|1f3be|把||tennis racket, tennis|网球拍, 网球
boxing glove|1f94a|只||boxing glove|拳击手套
dartboard|1f3af|个||dartboard, target, bullseye|靶子, 飞镖靶
kite|1fa81|只||kite|风筝
crystal ball|1f52e|个||crystal ball|水晶球
game controller|1f3ae|个|purple|game controller, gamepad|游戏手柄, 手柄
dice|1f3b2|个||dice, die|骰子
puzzle piece|1f9e9|块||puzzle piece, jigsaw piece|拼图
teddy bear|1f9f8|只|orange|teddy bear, teddy|泰迪熊, 玩具熊
palette|1f3a8|个||palette, paint palette|调色板, 调色盘
yarn|1f9f6|团|blue|yarn, ball of yarn|毛线, 毛线球
glasses|1f453|副||glasses, eyeglasses|眼镜
sunglasses|1f576|副||sunglasses|墨镜, 太阳镜
t-shirt|1f455|件|green|t-shirt, shirt|T恤, 衬衫
jeans|1f456|条|blue|jeans, trousers|牛仔裤, 裤子
scarf|1f9e3|条|red|scarf|围巾
dress|1f457|条|blue|dress|裙子, 连衣裙
backpack|1f392|个||backpack, school bag|书包, 背包
handbag|1f45c|个||handbag, purse|手提包, 包
shoe|1f45f|只||shoe, sneaker|鞋, 鞋子, 运动鞋
high heel|1f460|只|red|high heel, high-heeled shoe|高跟鞋
hat|1f452|顶||hat, straw hat|帽子, 草帽
top hat|1f3a9|顶|black|top hat|礼帽
graduation cap|1f393|顶|black|graduation cap|学士帽
ring|1f48d|枚||ring, diamond ring|戒指
diamond|1f48e|颗||diamond, gem|钻石, 宝石
bell|1f514|个||bell|铃铛, 钟
music note|1f3b5|个|black|music note, musical note|音符
microphone|1f3a4|个|gray|microphone|麦克风, 话筒
headphones|1f3a7|副||headphones, headphone|耳机
saxophone|1f3b7|把||saxophone|萨克斯
trumpet|1f3ba|把||trumpet|小号, 喇叭
guitar|1f3b8|把||guitar|吉他
violin|1f3bb|把|brown|violin|小提琴
drum|1f941|面||drum|鼓
phone|1f4f1|部||phone, smartphone, mobile phone|手机
telephone|260e|部|red|telephone|电话
laptop|1f4bb|台||laptop, computer|笔记本电脑, 电脑
camera|1f4f7|台||camera|相机, 照相机
television|1f4fa|台||television, tv|电视, 电视机
magnifying glass|1f50d|个||magnifying glass|放大镜
candle|1f56f|根|white|candle|蜡烛
light bulb|1f4a1|个|yellow|light bulb, lamp|灯泡, 灯
lantern|1f3ee|个||lantern, red lantern|灯笼
book|1f4d5|本|red|book|书, 书本
coin|1fa99|枚||coin|硬币
money bag|1f4b0|袋||money bag, bag of money|钱袋
envelope|2709|封|white|envelope, letter|信封, 信
cardboard box|1f4e6|个||cardboard box, box, package|纸箱, 箱子, 包裹
pencil|270f|支||pencil|铅笔
paintbrush|1f58c|支||paintbrush, brush|画笔, 毛笔
scissors|2702|把||scissors|剪刀
lock|1f512|把||lock, padlock|锁
key|1f511|把|yellow|key|钥匙
hammer|1f528|把||hammer|锤子
axe|1fa93|把||axe|斧头, 斧子
sword|1f5e1|把||sword, dagger|剑, 匕首
bomb|1f4a3|个||bomb|炸弹
bow and arrow|1f3f9|把||bow and arrow, bow|弓箭, 弓
shield|1f6e1|面||shield|盾牌, 盾
wrench|1f527|把|white|wrench, spanner|扳手
gear|2699|个||gear, cogwheel|齿轮
magnet|1f9f2|块|red|magnet|磁铁
microscope|1f52c|台|gray|microscope|显微镜
telescope|1f52d|架||telescope|望远镜
door|1f6aa|扇|orange|door|门
bed|1f6cf|张||bed|床
sofa|1f6cb|张|blue|sofa, couch|沙发
chair|1fa91|把|brown|chair|椅子
bathtub|1f6c1|个||bathtub|浴缸
broom|1f9f9|把||broom|扫帚
bucket|1faa3|个||bucket, pail|水桶, 桶
shopping cart|1f6d2|辆|gray|shopping cart|购物车
alarm clock|23f0|个||alarm clock, clock|闹钟, 时钟
watch|231a|块||watch, wristwatch|手表
hourglass|23f3|个||hourglass|沙漏
pumpkin|1f383|个||pumpkin, jack-o-lantern|南瓜, 南瓜灯
christmas tree|1f384|棵||christmas tree|圣诞树
firecracker|1f9e8|个|red|firecracker|鞭炮, 爆竹
smiley|1f600|个||smiley, smiling face, happy face|笑脸
crying face|1f622|个||crying face, sad face|哭脸
angry face|1f620|个||angry face|生气的脸, 怒脸
cool face|1f60e|个||cool face, face with sunglasses|墨镜脸, 酷脸
sleeping face|1f634|个||sleeping face, sleepy face|睡脸
heart eyes|1f60d|个||heart eyes, face with heart eyes|爱心眼, 花痴脸
skull|1f480|个|white|skull|骷髅, 骷髅头
clown|1f921|个||clown|小丑
alien|1f47d|个|green|alien|外星人
devil|1f608|个|purple|devil, demon|恶魔, 魔鬼
circle||个||circle, ball|圆, 圆形, 球
square||个||square|方块, 正方形
triangle||个||triangle|三角形
""")

FIXED_COLOUR = frozenset({"rainbow"})  # recolouring would take away what it is
PLAIN_SHAPES = frozenset({"circle", "square", "triangle"})  # these have no colour of their own

PLURALS = {
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "shrimp": "shrimp",
    "mouse": "mice",
    "wolf": "wolves",
    "leaf": "leaves",
    "cactus": "cacti",
    "octopus": "octopuses",
    "snowman": "snowmen",
    "loaf of bread": "loaves of bread",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
    "slice of cake": "slices of cake",
    "pair of cherries": "pairs of cherries",
    "cup of coffee": "cups of coffee",
    "glass of milk": "glasses of milk",
    "glass of wine": "glasses of wine",
    "mug of beer": "mugs of beer",
    "bowl of rice": "bowls of rice",
    "ear of corn": "ears of corn",
    "bunch of grapes": "bunches of grapes",
    "bunch of flowers": "bunches of flowers",
    "ball of yarn": "balls of yarn",
    "bag of money": "bags of money",
    "drop of water": "drops of water",
    "bow and arrow": "bows and arrows",
    "statue of liberty": "statues of liberty",
    "face with sunglasses": "faces with sunglasses",
    "face with heart eyes": "faces with heart eyes",
    "music note": "music notes",
}
THE_SAME = ("glasses", "grapes", "scissors", "jeans", "trousers", "headphones", "noodles", "fries", "dice")
"""English names that are plural as they are, or end with such a word."""


def plural(name: str) -> str:
    """English plural of a thing's name."""
    if name in PLURALS or name.endswith(THE_SAME) or name == "heart eyes":
        return PLURALS.get(name, name)
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


@dataclass(frozen=True)
class Style:
    """A way of drawing: whose pictures it is learned from, and how it is asked for in either language."""

    key: str
    vendor: str
    en: tuple[str, ...]
    zh: tuple[str, ...]


STYLES = (
    Style("3d", "fluent3d", ("3d", "3d style", "3d render"), ("3D", "3D风格", "立体风格")),
    Style(
        "flat", "flat", ("flat", "flat style", "flat design", "flat icon"), ("扁平", "扁平风格", "平面风格")
    ),
)
"""The first is what a prompt gets that names none."""


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
NO_STYLE = len(STYLES)  # the class "not said"
NO_COLOUR = len(COLOURS)  # the class "not said", and a thing's natural colours


def held_out(thing: int, colour: int) -> bool:
    """Whether this pair is never shown in training: the composition test (about one pair in nine)."""
    natural = THINGS[thing].natural == COLOURS[colour].key
    return not natural and (thing * 5 + colour * 7) % 9 == 0
