"""Names and descriptions of commands, parameters and choices in Simplified Chinese, by the English ones."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    # Commands
    "imagine": "想象",
    "Paint a grid of pictures from your words.": "用你的文字画一组图。",
    "blend": "融合",
    "Mix two to five pictures into new ones.": "把两到五张图融合成新图。",
    "describe": "描述",
    "Get four prompts for a picture.": "为一张图得到四条提示词。",
    "shorten": "精简",
    "See which words of a prompt matter, and get shorter ones.": "看看提示词里哪些词重要，并得到更短的。",
    "remix": "重绘",
    "Paint a picture again from what its file says: the same, changed, or varied.": (
        "按图片文件里的参数重画：原样、修改或变体。"
    ),
    "history": "历史",
    "Find your pictures again: by words, model, day, favourites.": "找回你的作品：按文字、模型、日期、收藏。",
    "show": "展示",
    "Post a job of yours again, with its buttons.": "再次发出你的任务，带按钮。",
    "info": "信息",
    "Your credit, your jobs, and what you have painted so far.": "你的额度、任务和累计作品。",
    "settings": "设置",
    "Model, style, speed and more for all of your prompts.": "所有提示词的模型、风格、速度等。",
    "prefer": "偏好",
    "Options and a suffix of your own, remix, variability, direct messages.": (
        "自己的选项和后缀、混合、变体强度、私信。"
    ),
    "fast": "快速",
    "Paint your jobs fast from now on.": "从现在起快速作画。",
    "relax": "休闲",
    "Let your jobs wait behind the others and cost less.": "让你的任务排在后面，花费更少。",
    "turbo": "极速",
    "Let your jobs go before the others and cost more.": "让你的任务排在前面，花费更多。",
    "stealth": "隐藏",
    "Keep your pictures out of galleries from now on.": "从现在起作品不进入画廊。",
    "public": "公开",
    "Let galleries show your pictures from now on.": "从现在起画廊可以展示你的作品。",
    "privacy": "隐私",
    "What I store of you; get it as a file, or delete it.": "我存储了你的什么；导出或删除。",
    "quota": "额度",
    "Show and change who may paint how much (admins only).": "查看和修改谁能画多少（仅管理员）。",
    "help": "帮助",
    "How to ask for pictures, all flags, and what is stored.": "如何作画、全部参数，以及存储的内容。",
    # Their parts
    "option": "选项",
    "Flags of your own.": "你自己的参数。",
    "set": "设定",
    "list": "列表",
    "suffix": "后缀",
    "variability": "变体强度",
    "auto_dm": "自动私信",
    "grant": "赠送",
    "reset": "重置",
    "Let --name stand for a text or flags of yours; no value removes it.": (
        "让 --名字 代表你的文字或参数；不写内容则去掉。"
    ),
    "The options you have set.": "你设置的选项。",
    "Put a text or flags behind each of your prompts.": "在你每条提示词后面加上文字或参数。",
    "Switch remix on or off: buttons let you change the prompt first.": (
        "开关混合模式：按钮先让你修改提示词。"
    ),
    "Switch between strong and subtle variations.": "在强变体和细微变体之间切换。",
    "Switch results by direct message on or off.": "开关私信发送结果。",
    "What a user, a role or everyone may spend, and what is left.": "某用户、身份组或所有人的额度和剩余。",
    "Limit what may be spent per hour, day or month.": "限制每小时、每日或每月的消费。",
    "Give credit on top, spent when the ordinary credit is used up.": "额外赠送额度，普通额度用完后使用。",
    "Forget what was spent, and the limits that admins set.": "清除已消费的记录和管理员设的限制。",
    # Parameters
    "prompt": "提示词",
    "What to paint, then flags such as --ar 3:2 or --seed 7; /help lists them.": (
        "要画什么，然后是参数，如 --ar 3:2 或 --seed 7；见 /help。"
    ),
    "image": "图片",
    "A picture to start from (--iw says how strongly it counts).": "作为起点的图片（--iw 决定它的权重）。",
    "link": "链接",
    "image1": "图片1",
    "image2": "图片2",
    "image3": "图片3",
    "image4": "图片4",
    "image5": "图片5",
    "The first picture.": "第一张图片。",
    "The second picture.": "第二张图片。",
    "A third picture.": "第三张图片。",
    "A fourth picture.": "第四张图片。",
    "A fifth picture.": "第五张图片。",
    "dimensions": "比例",
    "The shape of the new pictures; square when left out.": "新图的比例；不写则为正方形。",
    "portrait 2:3": "竖版 2:3",
    "square": "正方形",
    "landscape 3:2": "横版 3:2",
    "The picture.": "图片。",
    "A link to the picture, in place of an attached one.": "图片的链接，代替附件。",
    "A link to such a picture, in place of an attached one.": "这类图片的链接，代替附件。",
    "A picture of this bot, stable-diffusion-webui, ComfyUI, Fooocus or NovelAI, with its data.": (
        "本机器人、stable-diffusion-webui、ComfyUI、Fooocus 或 NovelAI 的原图，带参数。"
    ),
    "The prompt to shorten; its flags stay.": "要精简的提示词；参数保留。",
    "text": "文字",
    "Words that the prompt holds.": "提示词里含有的文字。",
    "favourites": "收藏",
    "Only jobs with a picture among your favourites.": "只看有收藏图片的任务。",
    "model": "模型",
    "Only jobs of this model.": "只看这个模型的任务。",
    "since": "起始",
    "From this day on, such as 2026-06-15 (UTC).": "从这天起，如 2026-06-15（世界时）。",
    "until": "截止",
    "Up to this day, such as 2026-06-30 (UTC).": "到这天为止，如 2026-06-30（世界时）。",
    "job_id": "任务编号",
    "The job's id, or the name of a picture's file that ends with it.": "任务编号，或以它结尾的图片文件名。",
    "name": "名字",
    "The option's name, such as mine for --mine.": "选项的名字，如 mine 对应 --mine。",
    "value": "内容",
    "What it stands for, such as --ar 3:2 --s 250; left out, the option is removed.": (
        "它代表的内容，如 --ar 3:2 --s 250；不写则去掉该选项。"
    ),
    "What to add, such as soft light --ar 3:2; left out, nothing is added.": (
        "要加的内容，如 柔光 --ar 3:2；不写则什么都不加。"
    ),
    "topic": "主题",
    "What to read about; the basics when left out.": "想了解什么；不写则为基础。",
    "Basics": "基础",
    "Commands": "命令",
    "All flags": "全部参数",
    "Buttons and reactions": "按钮和表情",
    "Pictures as prompts": "以图作画",
    "Several jobs at once": "一次多个任务",
    "Privacy": "隐私",
    "target": "对象",
    "A user or a role; left out, the default for everyone in this server.": (
        "用户或身份组；不写则为本服务器所有人的默认值。"
    ),
    "scope": "范围",
    "Say `default` for the default of everyone in this server, in place of a user or a role.": (
        "写 `default` 表示本服务器所有人的默认值，代替用户或身份组。"
    ),
    "window": "周期",
    "Which calendar window (UTC) the limit is for.": "限制所属的周期（世界时）。",
    "amount": "数量",
    "Credits per window: 0 is none at all; left out, unlimited.": "每周期的额度：0 为完全没有；不写为不限。",
    "How much to give.": "赠送多少。",
    "default": "默认",
    "HOUR": "小时",
    "DAY": "日",
    "MONTH": "月",
    # Menus of messages
    "Cancel Job": "取消任务",
    "DM Results": "私信结果",
    "Report Job": "举报任务",
    "Use as Image Prompt": "用作参考图",
    "Describe & Parameters": "描述与参数",
}
