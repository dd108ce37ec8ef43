"""The sentences of the prompt language in Simplified Chinese, by the English ones."""

from __future__ import annotations

from bot.domain.flags import FLAGS

PROMPTS: dict[str, str] = {
    **{flag.help: flag.zh for flag in FLAGS},
    # What is wrong with a prompt
    "The prompt is empty; say what to paint, for example `a red apple --ar 3:2`.": (
        "提示词是空的；请写下要画什么，例如 `一个红苹果 --ar 3:2`。"
    ),
    "The prompt has {length:,} characters; at most {most:,} are taken. Please shorten it.": (
        "提示词有 {length:,} 个字符，最多 {most:,} 个；请缩短。"
    ),
    "Character {place:,} of the prompt (U+{code:04X}) is a control code, not text; please leave it out.": (
        "提示词的第 {place:,} 个字符（U+{code:04X}）是控制码，不是文字；请去掉。"
    ),
    "The weights behind `::` add up to {sum:g}; together they must be more than 0, "
    "for example `cat::2 fog::-1`.": ("`::` 后的权重之和为 {sum:g}；总和必须大于 0，例如 `猫::2 雾::-1`。"),
    "In your suffix (change it with /prefer suffix): {fault}": (
        "你的后缀有误（用 /prefer suffix 修改）：{fault}"
    ),
    "`{{a, b}}` and `--repeat` ask for {count} jobs; at most {most} may be ordered at once.": (
        "`{{a, b}}` 和 `--repeat` 共要 {count} 个任务；一次最多 {most} 个。"
    ),
    "`{{a, b}}` and `--repeat` ask for more than {most} jobs; ask for {most} or fewer.": (
        "`{{a, b}}` 和 `--repeat` 要的任务超过 {most} 个；请减到 {most} 个以内。"
    ),
    "Sets in `{{}}` may stand inside each other {most} deep; please use fewer.": (
        "`{{}}` 最多嵌套 {most} 层；请减少层数。"
    ),
    # Flags
    "{typed}: the value must be {allowed}.": "{typed}：值必须是{allowed}。",
    "`--{name}`: a value is missing; it must be {allowed}.": "`--{name}`：缺少值；必须是{allowed}。",
    "{typed}: `--{name}` takes no value; write it alone.": "{typed}：`--{name}` 不带值；请单独写。",
    "{typed}: flags are written in lowercase; write `--{name}`.": "{typed}：参数用小写；请写 `--{name}`。",
    "{typed}: there is no such flag; did you mean `--{name}`?": "{typed}：没有这个参数；是不是 `--{name}`？",
    "{typed}: there is no such flag. Flags are {names}.": "{typed}：没有这个参数。可用的参数有 {names}。",
    "{typed}: there is no such flag.": "{typed}：没有这个参数。",
    "{typed}: put a space before `--{name}`.": "{typed}：请在 `--{name}` 前加空格。",
    "{typed} belongs to Midjourney's own models; leave it out.": "{typed} 只属于 Midjourney 的模型；请去掉。",
    "{typed}: Tessera paints still pictures; leave it out.": "{typed}：Tessera 只画静态图片；请去掉。",
    "{typed} named an old model of Midjourney's; leave it out, or choose a model with `--model`.": (
        "{typed} 是 Midjourney 的旧模型；请去掉，或用 `--model` 选择模型。"
    ),
    "{typed}: enlarging has its own buttons under the picture; leave it out.": (
        "{typed}：放大请用图片下方的按钮；请去掉。"
    ),
    "{typed} is no flag here; write `{instead}`.": "这里没有 {typed}；请写 `{instead}`。",
    # Values
    "one of {names}": "以下之一：{names}",
    "one of {names}, or nothing": "以下之一：{names}，或不写",
    "two whole numbers like `{example}`, from {low} to {high}": (
        "两个整数，如 `{example}`，从 {low} 到 {high}"
    ),
    "width and height in pixels like `{example}`, each from {low:g} to {high:g}": (
        "以像素为单位的宽和高，如 `{example}`，各从 {low:g} 到 {high:g}"
    ),
    "a whole number from {low:g} to {high}": "{low:g} 到 {high} 的整数",
    "a number from {low:g} to {high}": "{low:g} 到 {high} 的数",
    "a list of words with commas, like `{example}`": "用逗号分开的词，如 `{example}`",
    "http or https links to pictures, like `{example}`": "图片的 http 或 https 链接，如 `{example}`",
    "a model's name, like `{example}`": "模型的名字，如 `{example}`",
    "a style's name, like `{example}`": "风格的名字，如 `{example}`",
    "a sampler's name, like `{example}`": "采样器的名字，如 `{example}`",
    "a name, like `{example}`": "一个名字，如 `{example}`",
    # Pictures
    "{typed}: image links go before the text; move it to the front.": (
        "{typed}：图片链接要放在文字之前；请移到最前面。"
    ),
    "{typed}: only http and https links to pictures are taken.": "{typed}：只接受图片的 http 或 https 链接。",
    "{typed} is not a complete link; copy it again from the picture.": "{typed} 不是完整的链接；请重新复制。",
    "{count} image prompts were given; at most {most} are taken.": "给了 {count} 张参考图；最多 {most} 张。",
    "`--{name}`: {count} pictures were given; at most {most} are taken.": (
        "`--{name}`：给了 {count} 张图片；最多 {most} 张。"
    ),
    "{typed}: style codes belong to Midjourney's own models; give a link to a picture, or one of this "
    "server's styles with `--style`.": (
        "{typed}：风格代码只属于 Midjourney 的模型；请给图片链接，或用 `--style` 选本服务器的风格。"
    ),
    # Names
    "`--{flag}` {typed}: there is no such model here; choose one of {names}.": (
        "`--{flag}` {typed}：这里没有这个模型；可选 {names}。"
    ),
    "`--{flag}` {typed}: there is no such style here; choose one of {names}.": (
        "`--{flag}` {typed}：这里没有这个风格；可选 {names}。"
    ),
    "{typed} cannot be the name of an option; use 1 to 32 lowercase letters, digits and dashes, "
    "for example `mine`.": "{typed} 不能作为选项名；请用 1 到 32 个小写字母、数字和连字符，例如 `mine`。",
    "`--{name}` is a flag already; choose another name for your option.": (
        "`--{name}` 已是参数；请给选项换个名字。"
    ),
    # What a model cannot do
    "The model {model} cannot start from a picture; leave the picture out, or choose another `--model`.": (
        "模型 {model} 不能从图片开始；请去掉图片，或换一个 `--model`。"
    ),
    "The model {model} cannot honour `--{flag}`; leave it out, or choose another `--model`.": (
        "模型 {model} 不支持 `--{flag}`；请去掉，或换一个 `--model`。"
    ),
    "The model {model} has no adapter for {kind} references; leave `--{flag}` out, or choose another "
    "`--model`. A picture in front of the text works with most models.": (
        "模型 {model} 没有{kind}参考的适配器；请去掉 `--{flag}`，或换一个 `--model`。"
        "多数模型支持在文字前放图片。"
    ),
    "The model {model} has no sampler {sampler}; choose one of {names}.": (
        "模型 {model} 没有采样器 {sampler}；可选 {names}。"
    ),
    "The model {model} has no LoRA {lora}; choose one of {names}.": (
        "模型 {model} 没有 LoRA {lora}；可选 {names}。"
    ),
    "The model {model} has no LoRA {lora}, nor any other here; leave it out.": (
        "模型 {model} 没有 LoRA {lora}，这里也没有别的；请去掉。"
    ),
    "`--size {size}`: the model {model} paints from {low} to {high} pixels a side; choose within these, "
    "or give the shape with `--ar`.": (
        "`--size {size}`：模型 {model} 每边可画 {low} 到 {high} 像素；"
        "请在此范围内选择，或用 `--ar` 指定比例。"
    ),
    "`--preset` {preset}: the model {model} has no such preset; choose one of {names}.": (
        "`--preset` {preset}：模型 {model} 没有这个预设；可选 {names}。"
    ),
    # Several jobs
    "These are {count} jobs, and you have room for {room}: {running} may run and {waiting} may wait. "
    "Ask for fewer at once, or try again when some are done. Nothing was taken.": (
        "共 {count} 个任务，而你还能下 {room} 个：可同时进行 {running} 个，等待 {waiting} 个。"
        "请减少数量，或等一些完成后再试。没有扣费。"
    ),
    "This asks for {count} jobs; the command line paints one at a time.": (
        "这要 {count} 个任务；命令行一次只画一个。"
    ),
    "`::` divides the prompt into {count} parts, and the model {model} weighs at most {most} in one "
    "picture; join some with commas, or leave some out.": (
        "`::` 把提示词分成 {count} 个部分，而模型 {model} 在一张图中最多支持 {most} 个；"
        "请用逗号合并一些，或去掉一些。"
    ),
    # The explanation
    "what to paint": "要画的内容",
    "weight {weight:g}": "权重 {weight:g}",
    "the style {name} adds: {words}": "风格 {name} 加上：{words}",
    "left aside, since `--{by}` says it exactly": "不起作用，因为 `--{by}` 已直接指定",
    "without effect: {model} paints without guidance": "不起作用：{model} 不使用引导",
    "without effect: there is no picture in front of the text": "不起作用：文字前没有图片",
    "without effect: there is no `--{flag}`": "不起作用：没有 `--{flag}`",
    "{model} cannot take the style alone: what the picture shows comes with it": (
        "{model} 无法只取风格：图片中的内容也会一起带入"
    ),
    "{model} reads all words alike: weights in the text are left out": (
        "{model} 对所有词一视同仁：文字里的权重被略去"
    ),
    "{model} has no negative prompt: parts of negative weight are left out": (
        "{model} 没有反向提示词：负权重的部分被略去"
    ),
    "{model} lacks LoRAs of this style: {names}": "{model} 缺少此风格的 LoRA：{names}",
    "there is no anime model here; the style {style} takes its place": (
        "这里没有动漫模型；以风格 {style} 代替"
    ),
}
